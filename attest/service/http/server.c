#include "attest/service/http/server.h"

#include <errno.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attest/service/http/server_parts.h"

/* evhttp answers what is larger than this itself, in words of its own; up to there the sentence is ours. */
#define BODY_HARD_LIMIT(LIMIT) ((ev_ssize_t)(2 * (LIMIT) + 65536))

int64_t server_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void stop_taking(struct loop *loop)
{
    for (size_t i = 0; i < SERVER_LISTENERS_MAX; i++) {
        if (loop->bound[i])
            evhttp_del_accept_socket(loop->http, loop->bound[i]);
        loop->bound[i] = NULL;
    }
}

/* What other threads left for this one. */
static void woken(evutil_socket_t fd, short events, void *context)
{
    struct loop *loop = context;
    struct requests answered = TAILQ_HEAD_INITIALIZER(answered);
    struct request *r;
    (void)fd;
    (void)events;
    pthread_mutex_lock(&loop->lock);
    TAILQ_CONCAT(&answered, &loop->answered, entry);
    const bool draining = loop->draining;
    pthread_mutex_unlock(&loop->lock);
    while ((r = TAILQ_FIRST(&answered))) {
        TAILQ_REMOVE(&answered, r, entry);
        request_send(r);
    }
    if (draining)
        stop_taking(loop);
}

static void *run(void *context)
{
    struct loop *loop = context;
    loop->self = pthread_self();
    (void)event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

static int failed(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "the server's event loop could not be made");
}

/* An answer's body, which follows its headers, does not wait until the client has acknowledged those, which takes it 40 ms.
 * Connections have this of their listening socket. */
static int listen_on(struct loop *loop, const struct server_config *config, struct cofre_err *err)
{
    for (size_t i = 0; i < config->listeners; i++) {
        int fd = fcntl(config->listening[i], F_DUPFD_CLOEXEC, 0);
        if (fd >= 0)
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (fd < 0 || evutil_make_socket_nonblocking(fd) < 0)
            return cofre_fail(err, COFRE_FAILED, "a listening socket: %s", strerror(errno));
        loop->bound[i] = evhttp_accept_socket_with_handle(loop->http, fd);
        if (!loop->bound[i]) {
            close(fd);
            return failed(err);
        }
    }
    return 0;
}

static int make_loop(struct loop *loop, struct server *server, const struct server_config *config,
                     struct cofre_err *err)
{
    const struct server_limits *limits = &server->limits;
    loop->server = server;
    TAILQ_INIT(&loop->connections);
    TAILQ_INIT(&loop->answered);
    pthread_mutex_init(&loop->lock, NULL);
    loop->base = event_base_new();
    loop->http = loop->base ? evhttp_new(loop->base) : NULL;
    if (!loop->http)
        return failed(err);
    evhttp_set_allowed_methods(loop->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                               EVHTTP_REQ_DELETE | EVHTTP_REQ_HEAD | EVHTTP_REQ_PATCH |
                                               EVHTTP_REQ_OPTIONS);
    evhttp_set_max_headers_size(loop->http, (ev_ssize_t)limits->headers);
    evhttp_set_max_body_size(loop->http, BODY_HARD_LIMIT(limits->body));
    evhttp_set_timeout(loop->http, (int)limits->seconds);
    evhttp_set_default_content_type(loop->http, NULL);
    evhttp_set_bevcb(loop->http, connection_new, loop);
    evhttp_set_gencb(loop->http, request_arrives, loop);
    loop->sweep = event_new(loop->base, -1, EV_PERSIST, connections_sweep, loop);
    loop->wake = event_new(loop->base, -1, EV_PERSIST | EV_READ, woken, loop);
    if (!loop->sweep || !loop->wake || event_add(loop->sweep, &(struct timeval){.tv_sec = 1}) < 0)
        return failed(err);
    return listen_on(loop, config, err);
}

static int start(struct server *server, const struct server_config *config, struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < server->loops && rc == 0; i++) {
        struct loop *loop = &server->loop[i];
        rc = make_loop(loop, server, config, err);
        if (rc == 0 && pthread_create(&loop->thread, NULL, run, loop) != 0)
            rc = cofre_fail(err, COFRE_FAILED, "the server's thread could not be started");
        loop->started = rc == 0;
    }
    return rc;
}

int server_start(struct server **out, const struct server_config *config, struct cofre_err *err)
{
    if (config->listeners > SERVER_LISTENERS_MAX)
        return cofre_fail(err, COFRE_USAGE, "more than %d addresses to listen at", SERVER_LISTENERS_MAX);
    struct server *server = calloc(1, sizeof *server + config->loops * sizeof server->loop[0]);
    if (!server || evthread_use_pthreads() < 0) {
        free(server);
        return failed(err);
    }
    signal(SIGPIPE, SIG_IGN);
    server->limits = config->limits;
    server->handle = config->handle;
    server->context = config->context;
    server->loops = config->loops;
    pthread_mutex_init(&server->lock, NULL);
    SSL_CTX_up_ref(config->tls);
    server->tls = config->tls;
    int rc = start(server, config, err);
    if (rc < 0) {
        server_free(server);
        return rc;
    }
    *out = server;
    return 0;
}

void server_use_tls(struct server *server, SSL_CTX *tls)
{
    SSL_CTX_up_ref(tls);
    pthread_mutex_lock(&server->lock);
    SSL_CTX *old = server->tls;
    server->tls = tls;
    pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(old);
}

bool server_drain(struct server *server, unsigned milliseconds)
{
    const int64_t end = server_now() + milliseconds;
    atomic_store(&server->draining, true);
    for (unsigned i = 0; i < server->loops; i++) {
        struct loop *loop = &server->loop[i];
        pthread_mutex_lock(&loop->lock);
        loop->draining = true;
        pthread_mutex_unlock(&loop->lock);
        event_active(loop->wake, EV_READ, 0);
    }
    while (atomic_load(&server->pending) && server_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return atomic_load(&server->pending) == 0;
}

static void free_loop(struct loop *loop)
{
    if (loop->started) {
        (void)event_base_loopexit(loop->base, NULL);
        pthread_join(loop->thread, NULL);
    }
    if (loop->http) {
        stop_taking(loop);
        evhttp_free(loop->http);
    }
    if (loop->sweep)
        event_free(loop->sweep);
    if (loop->wake)
        event_free(loop->wake);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->server)
        pthread_mutex_destroy(&loop->lock);
}

void server_free(struct server *server)
{
    for (unsigned i = 0; i < server->loops; i++)
        free_loop(&server->loop[i]);
    SSL_CTX_free(server->tls);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

struct server_counts server_count(const struct server *server)
{
    return (struct server_counts){
        .connections = atomic_load(&server->connections),
        .pending = atomic_load(&server->pending),
        .accepted = atomic_load(&server->accepted),
        .requests = atomic_load(&server->requests),
        .refused = atomic_load(&server->refused),
        .too_slow = atomic_load(&server->too_slow),
        .too_much = atomic_load(&server->too_much),
    };
}
