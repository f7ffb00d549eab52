/* A client of one connection that says exactly what a test wants, and certificates for both ends. */
#ifndef TESTS_UNIT_SERVICE_CLIENT_H
#define TESTS_UNIT_SERVICE_CLIENT_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key and a certificate of its own for that common name, at 127.0.0.1. */
struct identity {
    EVP_PKEY *key;
    X509 *cert;
};
struct identity identity_new(const char *name);
void identity_free(struct identity *identity);

/* Of a server with that identity, TLS 1.3 alone; clients that have a certificate are to show it, and ca (which may be NULL)
 * vouches for it. */
SSL_CTX *server_tls(const struct identity *identity, X509 *ca);

struct client {
    int fd;
    SSL *ssl;
    SSL_CTX *tls;
};
/* Connected, TLS not yet spoken. */
struct client client_connect(uint16_t port);
/* identity may be NULL; version: TLS1_3_VERSION or another as the highest. False where the server refuses. */
bool client_handshake(struct client *client, const struct identity *identity, int version);
struct client client_new(uint16_t port); /* both */
bool client_send(struct client *client, const char *text);
/* One answer, headers and body (Content-Length); its status, 0 where the connection ended. */
int client_answer(struct client *client, char *out, size_t size);
int client_ask(struct client *client, const char *request, char *out, size_t size);
/* Blocks until the server ends the connection; what came until then is dropped. */
void client_wait_for_end(struct client *client);
void client_close(struct client *client);

#endif
