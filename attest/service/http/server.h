/*
 * HTTPS for a service: TLS 1.3 and HTTP/1.1 by OpenSSL and libevent, on one or more event loops with a thread each.
 * Everything that comes from outside is bounded here: connections, their time, headers, bodies, requests at work. It knows
 * no route.
 */
#ifndef COFRE_ATTEST_SERVICE_HTTP_SERVER_H
#define COFRE_ATTEST_SERVICE_HTTP_SERVER_H

#include <openssl/types.h>

#include "attest/service/http/request.h"

struct server_limits {
    unsigned connections; /* open at once; further ones wait in the kernel's queue */
    unsigned pending;     /* requests at work at once; further ones are answered 503 */
    size_t headers, body; /* bytes of a request */
    unsigned
        seconds; /* until a request is there whole, from the connection's start or the last answer on it */
    size_t held; /* bytes of requests that are not answered yet, of all connections together; 0: no bound */
};

struct server_config {
    const int *listening; /* sockets that listen; the server has copies of its own */
    size_t listeners;
    SSL_CTX *tls; /* the server's own reference */
    unsigned loops;
    struct server_limits limits;
    /* In a loop's thread. It answers the request, at once or later and from any thread, and does not block. */
    void (*handle)(void *context, struct request *request);
    void *context;
};

struct server;

int server_start(struct server **out, const struct server_config *config, struct cofre_err *err);

/* For connections from now on: new certificates. */
void server_use_tls(struct server *server, SSL_CTX *tls);

/* No connection is taken any more, and each ends with the answer under way. Returns when there is none at work, or after
 * so many milliseconds: false, then. */
bool server_drain(struct server *server, unsigned milliseconds);
/* Every request has been answered. */
void server_free(struct server *server);

struct server_counts {
    unsigned connections, pending;                  /* now */
    uint64_t accepted, requests, refused, too_slow; /* so far; refused: 503 for want of room */
    uint64_t too_much;                              /* connections ended because too much was held */
};
struct server_counts server_count(const struct server *server);

#endif
