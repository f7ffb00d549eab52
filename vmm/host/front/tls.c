/* The gate's end of TLS. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "vmm/host/front/gate.h"

static int failed(struct cofre_err *err, const char *what, const char *file)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return cofre_fail(err, COFRE_LACKING, "%s %s: %s", what, file, why ? why : "it cannot be read");
}

static int ask_clients(SSL_CTX *tls, const char *client_ca, struct cofre_err *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
    if (!names || SSL_CTX_load_verify_file(tls, client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return failed(err, "the clients' CA", client_ca);
    }
    SSL_CTX_set_client_CA_list(tls, names);
    /* A client without a certificate must have a token; one whose certificate is no good is not let in at all. */
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    return 0;
}

/* Without tickets a connection has its own keys to the end, and a client shows its certificate each time. */
static int fill(SSL_CTX *tls, const char *certificate, const char *key, const char *client_ca,
                struct cofre_err *err)
{
    if (SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(tls, 0) != 1)
        return cofre_fail(err, COFRE_FAILED, "TLS 1.3 is not to be had from OpenSSL");
    (void)SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1)
        return failed(err, "the certificate", certificate);
    if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        return failed(err, "the key", key);
    if (SSL_CTX_check_private_key(tls) != 1)
        return cofre_fail(err, COFRE_LACKING, "the key %s is not the one of the certificate %s", key,
                          certificate);
    return client_ca ? ask_clients(tls, client_ca, err) : 0;
}

int gate_tls_new(SSL_CTX **out, const char *certificate, const char *key, const char *client_ca,
                 struct cofre_err *err)
{
    *out = SSL_CTX_new(TLS_server_method());
    const int rc = *out ? fill(*out, certificate, key, client_ca, err)
                        : cofre_fail(err, COFRE_FAILED, "TLS: out of memory");
    if (rc < 0) {
        SSL_CTX_free(*out);
        *out = NULL;
    }
    return rc;
}
