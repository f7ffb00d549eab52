#include "vmm/host/front/gate.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_ROOM "front"
#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/host/front/jail.h"
#include "vmm/host/front/pair.h"
#include "vmm/host/front/peer.h"
#include "vmm/host/front/zygote.h"

#define HELD_MAX       65536 /* bytes of a connection that are on their way, each way */
#define PEER_GONE_SECS 60    /* a client of TCP that answers nothing for so long is gone */

struct connection {
    struct gate *gate;
    struct identity identity;
    struct bufferevent *client, *parser;
    struct event *late; /* TLS is not done in time */
    bool ending;        /* one side has ended; what is for the other still goes there */
    TAILQ_ENTRY(connection) entry;
};
TAILQ_HEAD(connections, connection);

struct gate {
    const struct gate_config *config;
    struct event_base *base;
    struct event *accept[GATE_LISTENERS_MAX], *term, *gone[2];
    struct connections connections;
    unsigned count;
    bool full; /* no connection is taken */
    struct log_allowance said;
};

static void set_accepting(struct gate *g, bool full)
{
    if (full == g->full)
        return;
    g->full = full;
    for (size_t i = 0; i < g->config->listeners; i++)
        if (g->accept[i])
            (void)(full ? event_del(g->accept[i]) : event_add(g->accept[i], NULL));
}

static void end(struct connection *c)
{
    struct gate *g = c->gate;
    SSL *ssl = c->client ? bufferevent_openssl_get_ssl(c->client) : NULL;
    if (ssl && SSL_is_init_finished(ssl))
        (void)SSL_shutdown(ssl); /* says that this is the end, and does not wait for an answer */
    if (c->client)
        bufferevent_free(c->client);
    if (c->parser)
        bufferevent_free(c->parser);
    if (c->late)
        event_free(c->late);
    TAILQ_REMOVE(&g->connections, c, entry);
    g->count--;
    free(c);
    set_accepting(g, false);
}

static void refuse(struct connection *c, const char *why)
{
    const char *last = log_allow(&c->gate->said);
    if (last)
        log_info("a connection from %s is not taken: %s%s", c->identity.address, why, last);
    end(c);
}

/* Carrying bytes: what one side reads goes to the other, and no more is read than the other takes. */

static struct bufferevent *other(const struct connection *c, const struct bufferevent *side)
{
    return side == c->client ? c->parser : c->client;
}

static void on_read(struct bufferevent *from, void *context)
{
    struct connection *c = context;
    struct bufferevent *to = other(c, from);
    (void)bufferevent_read_buffer(from, bufferevent_get_output(to));
    if (evbuffer_get_length(bufferevent_get_output(to)) >= HELD_MAX)
        (void)bufferevent_disable(from, EV_READ);
}

/* All that there was has been written. */
static void on_written(struct bufferevent *to, void *context)
{
    struct connection *c = context;
    if (c->ending)
        end(c);
    else
        (void)bufferevent_enable(other(c, to), EV_READ);
}

/* One side has ended, and so the connection has, when the other has got what is under way. A parser that sees its end
 * ends itself; a client that has sent all that it wants to is gone (docs/cofred.md). */
static void on_end(struct bufferevent *from, short what, void *context)
{
    struct connection *c = context;
    struct bufferevent *to = other(c, from);
    (void)what;
    if (c->ending || from == c->client) {
        end(c);
        return;
    }
    c->ending = true;
    (void)bufferevent_disable(from, EV_READ | EV_WRITE);
    (void)bufferevent_read_buffer(from, bufferevent_get_output(to));
    (void)bufferevent_disable(to, EV_READ);
    if (!evbuffer_get_length(bufferevent_get_output(to)))
        end(c);
}

/* Making a parser */

static unsigned count_same(const struct connection *c)
{
    unsigned count = 0;
    const struct connection *each;
    TAILQ_FOREACH(each, &c->gate->connections, entry)
    count += each != c && peer_is_same(&each->identity, &c->identity);
    return count;
}

/* First the decider, so that no parser asks before it is known for whom. */
static int hand_over(struct connection *c, int parser_end)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    CLEAN_FD of_decider = pair[0], of_parser = pair[1];
    const struct view identity = {(const uint8_t *)&c->identity, sizeof c->identity},
                      byte = {(const uint8_t *)"", 1};
    const int ends[ZYGOTE_ENDS] = {parser_end, of_parser};
    const int rc = pair_send(c->gate->config->decider, identity, &of_decider, 1);
    return rc < 0 ? rc : pair_send(c->gate->config->zygote, byte, ends, ZYGOTE_ENDS);
}

static void have_parsed(struct connection *c)
{
    int ends[2];
    if (c->identity.kind != IDENTITY_ANYBODY && count_same(c) >= c->gate->config->limits.of_one) {
        refuse(c, "who asks has as many as one may have");
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        refuse(c, strerror(errno));
        return;
    }
    CLEAN_FD parser_end = ends[1];
    c->parser = bufferevent_socket_new(c->gate->base, ends[0], BEV_OPT_CLOSE_ON_FREE);
    if (!c->parser)
        close(ends[0]);
    const int rc = c->parser ? hand_over(c, parser_end) : -ENOMEM;
    if (rc < 0) {
        refuse(c, rc == -EAGAIN ? "too many come at once" : strerror(-rc));
        return;
    }
    struct bufferevent *const side[] = {c->client, c->parser};
    for (size_t i = 0; i < 2; i++) {
        bufferevent_setcb(side[i], on_read, on_written, on_end, c);
        bufferevent_setwatermark(side[i], EV_READ, 0, HELD_MAX);
        (void)bufferevent_enable(side[i], EV_READ | EV_WRITE);
    }
    on_read(c->client, c); /* what came with the end of TLS's handshake */
}

/* TLS */

static void on_handshake(struct bufferevent *client, short what, void *context)
{
    struct connection *c = context;
    struct cofre_err err;
    if (!(what & BEV_EVENT_CONNECTED)) {
        const long verified = SSL_get_verify_result(bufferevent_openssl_get_ssl(client));
        refuse(c,
               verified == X509_V_OK ? "TLS was not agreed upon" : X509_verify_cert_error_string(verified));
        return;
    }
    event_free(c->late);
    c->late = NULL;
    if (peer_of_tls(&c->identity, bufferevent_openssl_get_ssl(client), &err) < 0)
        refuse(c, err.text);
    else
        have_parsed(c);
}

static void on_late(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    refuse(context, "TLS took too long");
}

static void begin_tls(struct connection *c, int fd)
{
    const struct timeval until = {.tv_sec = c->gate->config->limits.handshake_seconds};
    SSL *ssl = SSL_new(c->gate->config->tls);
    c->client = ssl ? bufferevent_openssl_socket_new(c->gate->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                     BEV_OPT_CLOSE_ON_FREE)
                    : NULL;
    if (ssl && !c->client)
        SSL_free(ssl);
    if (!c->client)
        close(fd);
    c->late = evtimer_new(c->gate->base, on_late, c);
    if (!c->client || !c->late || event_add(c->late, &until) < 0) {
        refuse(c, "there is no memory");
        return;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(c->client, 1);
    bufferevent_setcb(c->client, NULL, NULL, on_handshake, c);
    (void)bufferevent_enable(c->client, EV_READ | EV_WRITE);
}

static void take_tcp(struct connection *c, int fd, const struct sockaddr *address, socklen_t len)
{
    const int on = 1, milliseconds = PEER_GONE_SECS * 1000;
    peer_of_tcp(&c->identity, address, len);
    if (count_same(c) >= c->gate->config->limits.of_one) {
        close(fd);
        refuse(c, "its address has as many as one may have");
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
    begin_tls(c, fd);
}

static void take_unix(struct connection *c, int fd)
{
    struct cofre_err err = {"there is no memory"};
    const struct gate_config *config = c->gate->config;
    int rc = peer_of_unix(&c->identity, fd, &err);
    if (rc == 0 && c->identity.uid - config->guests_first < config->guests)
        rc = cofre_fail(&err, COFRE_USAGE, "user %u is a guest's", c->identity.uid);
    c->client = rc == 0 ? bufferevent_socket_new(c->gate->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (c->client) {
        have_parsed(c);
        return;
    }
    close(fd);
    refuse(c, err.text);
}

/* The loop */

static void on_accept(evutil_socket_t listener, short what, void *context)
{
    struct gate *g = context;
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    (void)what;
    const int fd = accept4(listener, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);
    if (!c) {
        if (fd >= 0)
            close(fd);
        return;
    }
    c->gate = g;
    TAILQ_INSERT_TAIL(&g->connections, c, entry);
    set_accepting(g, ++g->count >= g->config->limits.connections);
    bool tls = false;
    for (size_t i = 0; i < g->config->listeners; i++)
        tls = tls || (g->config->listener[i].fd == listener && g->config->listener[i].tls);
    if (tls)
        take_tcp(c, fd, (const struct sockaddr *)&address, len);
    else
        take_unix(c, fd);
}

static void on_stop(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    (void)event_base_loopbreak(((struct gate *)context)->base);
}

static int start(struct gate *g, struct cofre_err *err)
{
    const struct gate_config *config = g->config;
    const int others[] = {config->decider, config->zygote};
    g->base = event_base_new();
    g->term = g->base ? evsignal_new(g->base, SIGTERM, on_stop, g) : NULL;
    if (!g->term || event_add(g->term, NULL) < 0)
        return cofre_fail(err, COFRE_FAILED, "the gate has no event loop");
    for (size_t i = 0; i < config->listeners; i++) {
        g->accept[i] = event_new(g->base, config->listener[i].fd, EV_READ | EV_PERSIST, on_accept, g);
        if (!g->accept[i] || event_add(g->accept[i], NULL) < 0)
            return cofre_fail(err, COFRE_FAILED, "the gate cannot listen");
    }
    for (size_t i = 0; i < 2; i++) { /* neither says anything here: what is to be read is the end */
        g->gone[i] = event_new(g->base, others[i], EV_READ, on_stop, g);
        if (!g->gone[i] || event_add(g->gone[i], NULL) < 0)
            return cofre_fail(err, COFRE_FAILED, "the gate cannot watch its neighbours");
    }
    return 0;
}

static void stop(struct gate *g)
{
    struct connection *c;
    for (size_t i = 0; i < GATE_LISTENERS_MAX; i++)
        if (g->accept[i]) {
            event_free(g->accept[i]);
            g->accept[i] = NULL;
        }
    while ((c = TAILQ_FIRST(&g->connections)))
        end(c);
    for (size_t i = 0; i < 2; i++)
        if (g->gone[i])
            event_free(g->gone[i]);
    if (g->term)
        event_free(g->term);
    if (g->base)
        event_base_free(g->base);
}

int gate_run(const struct gate_config *config, struct cofre_err *err)
{
    struct gate g = {.config = config};
    TAILQ_INIT(&g.connections);
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = start(&g, err);
    if (rc == 0)
        rc = jail_gate(err);
    if (rc == 0 && event_base_dispatch(g.base) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "the gate's event loop failed");
    stop(&g);
    return rc;
}
