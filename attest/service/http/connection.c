/* TLS connections: counted, and ended where no request becomes whole in time. OpenSSL tells when one is gone. */
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "attest/service/http/server_parts.h"

static int slot = -1; /* of SSL's extra data, for its connection */
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;

static unsigned share(const struct loop *loop)
{
    unsigned part = loop->server->limits.connections / loop->server->loops;
    return part ? part : 1;
}

/* While there are as many as there may be, the loop takes none: they wait in the kernel's queue. */
static void take_or_not(struct loop *loop)
{
    const bool full = loop->count >= share(loop);
    if (full == loop->full)
        return;
    loop->full = full;
    for (size_t i = 0; i < SERVER_LISTENERS_MAX && loop->bound[i]; i++) {
        struct evconnlistener *listener = evhttp_bound_socket_get_listener(loop->bound[i]);
        (void)(full ? evconnlistener_disable(listener) : evconnlistener_enable(listener));
    }
}

/* evhttp finds the end of what it reads, and clears away the connection and what it holds. */
static void end(struct connection *c)
{
    c->loop->held -= c->held;
    c->held = 0;
    c->since = INT64_MAX; /* once */
    (void)shutdown(bufferevent_getfd(c->events), SHUT_RDWR);
}

/* Whoever keeps most waiting goes first. What is at work ends by itself, and there is a bound to how much that is. */
static void make_room(struct loop *loop)
{
    struct connection *c, *most = NULL;
    TAILQ_FOREACH(c, &loop->connections, entry)
    {
        if (!c->working && (!most || c->held > most->held))
            most = c;
    }
    if (!most || !most->held)
        return;
    atomic_fetch_add(&loop->server->too_much, 1);
    end(most);
}

static void received(struct evbuffer *buffer, const struct evbuffer_cb_info *change, void *context)
{
    struct connection *c = context;
    struct loop *loop = c->loop;
    (void)buffer;
    if (c->since == INT64_MAX)
        return;
    c->held += change->n_added;
    loop->held += change->n_added;
    const size_t bound = loop->server->limits.held / loop->server->loops;
    if (bound && change->n_added && loop->held > bound)
        make_room(loop);
}

/* Of what came behind the request that was answered, nothing is yet. */
void connection_answered(struct connection *c)
{
    const size_t left = evbuffer_get_length(bufferevent_get_input(c->events));
    c->working = false;
    if (c->since == INT64_MAX)
        return;
    c->loop->held = c->loop->held - c->held + left;
    c->held = left;
    c->since = server_now();
}

static void gone(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    struct connection *c = pointer;
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (!c)
        return;
    struct loop *loop = c->loop;
    TAILQ_REMOVE(&loop->connections, c, entry);
    loop->held -= c->held;
    loop->count--;
    atomic_fetch_sub(&loop->server->connections, 1);
    take_or_not(loop);
    bytes_free(&c->channel.key);
    free(c);
}

static void make_slot(void)
{
    slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, gone);
}

static SSL *new_tls(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    SSL *ssl = SSL_new(server->tls);
    pthread_mutex_unlock(&server->lock);
    return ssl;
}

/* Where this fails evhttp would speak plain HTTP: there is no going on without memory. */
struct bufferevent *connection_new(struct event_base *base, void *context)
{
    struct loop *loop = context;
    (void)pthread_once(&slot_once, make_slot);
    struct connection *c = calloc(1, sizeof *c);
    SSL *ssl = c ? new_tls(loop->server) : NULL;
    if (!ssl || !SSL_set_ex_data(ssl, slot, c))
        abort();
    *c = (struct connection){.loop = loop, .since = server_now()};
    c->events =
        bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!c->events || !evbuffer_add_cb(bufferevent_get_input(c->events), received, c))
        abort();
    /* A client that closes without TLS's goodbye has still ended: requests have a length of their own. */
    bufferevent_openssl_set_allow_dirty_shutdown(c->events, 1);
    TAILQ_INSERT_TAIL(&loop->connections, c, entry);
    loop->count++;
    atomic_fetch_add(&loop->server->connections, 1);
    atomic_fetch_add(&loop->server->accepted, 1);
    take_or_not(loop);
    return c->events;
}

struct connection *connection_of(struct evhttp_request *http)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(http);
    SSL *ssl = bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(connection));
    return SSL_get_ex_data(ssl, slot);
}

void connections_sweep(evutil_socket_t fd, short events, void *context)
{
    struct loop *loop = context;
    const int64_t before = server_now() - (int64_t)loop->server->limits.seconds * 1000;
    struct connection *c;
    (void)fd;
    (void)events;
    TAILQ_FOREACH(c, &loop->connections, entry)
    {
        if (c->working || c->since > before)
            continue;
        atomic_fetch_add(&loop->server->too_slow, 1);
        end(c);
    }
}
