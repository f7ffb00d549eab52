#include "tests/unit/service/client.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUST(X)                                                                                              \
    do {                                                                                                     \
        if (!(X)) {                                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #X);                                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

struct identity identity_new(const char *name)
{
    struct identity id = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    MUST(id.key && id.cert && X509_set_version(id.cert, X509_VERSION_3));
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(id.cert), 1));
    MUST(X509_gmtime_adj(X509_getm_notBefore(id.cert), -3600));
    MUST(X509_gmtime_adj(X509_getm_notAfter(id.cert), 24 * 3600));
    X509_NAME *subject = X509_get_subject_name(id.cert);
    MUST(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1, 0));
    MUST(X509_set_issuer_name(id.cert, subject));
    MUST(X509_set_pubkey(id.cert, id.key));
    X509_EXTENSION *at = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    MUST(at && X509_add_ext(id.cert, at, -1) == 1);
    X509_EXTENSION_free(at);
    MUST(X509_sign(id.cert, id.key, EVP_sha256()));
    return id;
}

void identity_free(struct identity *id)
{
    X509_free(id->cert);
    EVP_PKEY_free(id->key);
}

SSL_CTX *server_tls(const struct identity *identity, X509 *ca)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    MUST(tls && SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION));
    MUST(SSL_CTX_use_certificate(tls, identity->cert) == 1);
    MUST(SSL_CTX_use_PrivateKey(tls, identity->key) == 1);
    if (ca) {
        MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), ca));
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    }
    return tls;
}

struct client client_connect(uint16_t port)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    MUST(c.fd >= 0 && connect(c.fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return c;
}

bool client_handshake(struct client *c, const struct identity *identity, int version)
{
    c->tls = SSL_CTX_new(TLS_client_method());
    MUST(c->tls && SSL_CTX_set_max_proto_version(c->tls, version));
    if (identity)
        MUST(SSL_CTX_use_certificate(c->tls, identity->cert) == 1 &&
             SSL_CTX_use_PrivateKey(c->tls, identity->key) == 1);
    c->ssl = SSL_new(c->tls);
    MUST(c->ssl && SSL_set_fd(c->ssl, c->fd));
    return SSL_connect(c->ssl) == 1;
}

struct client client_new(uint16_t port)
{
    struct client c = client_connect(port);
    MUST(client_handshake(&c, NULL, TLS1_3_VERSION));
    return c;
}

bool client_send(struct client *c, const char *text)
{
    return SSL_write(c->ssl, text, (int)strlen(text)) == (int)strlen(text);
}

int client_answer(struct client *c, char *out, size_t size)
{
    size_t used = 0, length = 0;
    char *body = NULL;
    out[0] = 0;
    while (!body || used < (size_t)(body - out) + length) {
        int n = SSL_read(c->ssl, out + used, (int)(body ? (size_t)(body - out) + length - used : 1));
        if (n <= 0)
            return 0;
        used += (size_t)n;
        MUST(used < size);
        out[used] = 0;
        if (!body && (body = strstr(out, "\r\n\r\n"))) {
            const char *given = strcasestr(out, "content-length: ");
            body += 4;
            length = given ? strtoul(given + 16, NULL, 10) : 0;
        }
    }
    return strncmp(out, "HTTP/1.1 ", 9) == 0 ? atoi(out + 9) : -1;
}

int client_ask(struct client *c, const char *request, char *out, size_t size)
{
    return client_send(c, request) ? client_answer(c, out, size) : 0;
}

void client_wait_for_end(struct client *c)
{
    char dropped[512];
    while (c->ssl ? SSL_read(c->ssl, dropped, sizeof dropped) > 0 : read(c->fd, dropped, sizeof dropped) > 0)
        continue;
}

void client_close(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->tls);
    close(c->fd);
}
