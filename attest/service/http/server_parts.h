/* Between server.c, connection.c and request.c: a loop, its connections, its requests. */
#ifndef COFRE_ATTEST_SERVICE_HTTP_SERVER_PARTS_H
#define COFRE_ATTEST_SERVICE_HTTP_SERVER_PARTS_H

#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "attest/service/http/server.h"

#define SERVER_LISTENERS_MAX 8

struct connection {
    struct loop *loop;
    struct bufferevent *events;
    int64_t since; /* milliseconds of CLOCK_MONOTONIC: its start, or its last answer */
    bool working;  /* a request is at work: its time is not the client's */
    size_t held;   /* bytes that came and are not answered */
    bool noted;    /* whether the client has shown a key, and what is bound to it */
    struct request_channel channel;
    TAILQ_ENTRY(connection) entry;
};
TAILQ_HEAD(connections, connection);

struct request {
    struct loop *loop;
    struct evhttp_request *http;
    struct connection *connection;
    struct evkeyvalq query;
    char *path;
    const char *method;
    struct view body;
    /* The answer, when it is there. */
    int status;
    char *type;
    struct bytes answer;
    TAILQ_ENTRY(request) entry;
};
TAILQ_HEAD(requests, request);

struct loop {
    struct server *server;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound[SERVER_LISTENERS_MAX];
    struct event *sweep, *wake;
    struct connections connections;
    unsigned count; /* of them */
    size_t held;    /* by them */
    bool full;      /* none is taken */
    pthread_mutex_t lock;
    struct requests answered; /* by other threads; under the lock */
    bool draining;            /* under the lock */
    pthread_t thread, self;   /* for whoever joins it; as it knows itself, before its first request */
    bool started;
};

struct server {
    struct server_limits limits;
    void (*handle)(void *context, struct request *request);
    void *context;
    pthread_mutex_t lock; /* of tls */
    SSL_CTX *tls;
    atomic_uint connections, pending;
    atomic_ullong accepted, requests, refused, too_slow, too_much;
    atomic_bool draining;
    unsigned loops;
    struct loop loop[];
};

int64_t server_now(void); /* milliseconds of CLOCK_MONOTONIC */

/* connection.c: for evhttp, which asks for the transport of each connection that it takes. */
struct bufferevent *connection_new(struct event_base *base, void *loop);
struct connection *connection_of(struct evhttp_request *http);
/* What it held was answered. */
void connection_answered(struct connection *connection);
void connections_sweep(evutil_socket_t fd, short events, void *loop);

/* request.c: evhttp has a request; and one that another thread answered. */
void request_arrives(struct evhttp_request *http, void *loop);
void request_send(struct request *request);

#endif
