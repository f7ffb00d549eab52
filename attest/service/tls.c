#include "attest/service/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static int failed(struct cofre_err *err, const char *what, const char *file)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return cofre_fail(err, COFRE_LACKING, "%s %s: %s", what, file, why ? why : "it cannot be read");
}

/* A certificate that nobody vouches for is a key all the same, to which evidence can be bound (docs/channel.md). It stands for no
 * caller: SSL_get_verify_result keeps what is said here. */
static int take_any_certificate(int good, X509_STORE_CTX *store)
{
    if (!good && X509_STORE_CTX_get_error(store) == X509_V_OK)
        X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    return 1;
}

/* Without tickets a connection has its own keys to the end, and a client shows its certificate each time. */
static int fill(SSL_CTX *tls, const struct trust_config *config, struct cofre_err *err)
{
    if (SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(tls, 0) != 1)
        return cofre_fail(err, COFRE_FAILED, "TLS 1.3 is not to be had from OpenSSL");
    (void)SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); /* idle connections cost little */
    if (SSL_CTX_use_certificate_chain_file(tls, config->certificate) != 1)
        return failed(err, "the certificate", config->certificate);
    if (SSL_CTX_use_PrivateKey_file(tls, config->key, SSL_FILETYPE_PEM) != 1)
        return failed(err, "the key", config->key);
    if (SSL_CTX_check_private_key(tls) != 1)
        return cofre_fail(err, COFRE_LACKING, "the key %s is not the one of the certificate %s", config->key,
                          config->certificate);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, take_any_certificate);
    if (config->client_ca && SSL_CTX_load_verify_file(tls, config->client_ca) != 1)
        return failed(err, "the clients' CA", config->client_ca);
    return 0;
}

int trust_tls_new(SSL_CTX **out, const struct trust_config *config, struct cofre_err *err)
{
    *out = SSL_CTX_new(TLS_server_method());
    int rc = *out ? fill(*out, config, err) : cofre_fail(err, COFRE_FAILED, "TLS: out of memory");
    if (rc < 0) {
        SSL_CTX_free(*out);
        *out = NULL;
    }
    return rc;
}
