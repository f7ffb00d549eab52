#include "tests/unit/channel/ends.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void two_sockets(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void *open_side(void *context)
{
    struct side *s = context;
    s->rc = channel_open(&s->channel, s->fd, &s->options, &s->err);
    return NULL;
}

void side_open(struct side *s, int fd)
{
    s->fd = fd;
    s->err.text[0] = 0;
    if (s->options.seconds == 0)
        s->options.seconds = 20;
    assert_int_equal(pthread_create(&s->thread, NULL, open_side, s), 0);
}

void side_join(struct side *s)
{
    pthread_join(s->thread, NULL);
}

void side_free(struct side *s)
{
    channel_close(s->channel);
    s->channel = NULL;
}

static int raw_read(void *context, void *data, size_t len, struct cofre_err *err)
{
    uint8_t *at = data;
    while (len) {
        int n = SSL_read(context, at, (int)len);
        if (n <= 0)
            return cofre_fail(err, COFRE_FAILED, "ended");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int raw_write(void *context, const void *data, size_t len, struct cofre_err *err)
{
    return SSL_write(context, data, (int)len) == (int)len ? 0 : cofre_fail(err, COFRE_FAILED, "ended");
}

static int take_any(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static int choose(SSL *tls, const unsigned char **out, unsigned char *out_len, const unsigned char *offered,
                  unsigned len, void *context)
{
    const unsigned char *alpn = context;
    (void)tls;
    (void)offered;
    (void)len;
    *out = alpn + 1;
    *out_len = alpn[0];
    return SSL_TLSEXT_ERR_OK;
}

static void *run_raw(void *context)
{
    struct raw *r = context;
    SSL_CTX *x = SSL_CTX_new(r->server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_max_proto_version(x, r->highest);
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, take_any);
    if (r->alpn && r->server)
        SSL_CTX_set_alpn_select_cb(x, choose, (void *)(uintptr_t)r->alpn);
    else if (r->alpn)
        SSL_CTX_set_alpn_protos(x, (const unsigned char *)r->alpn, (unsigned)strlen(r->alpn));
    if (r->identity) {
        SSL_CTX_use_certificate(x, r->identity->certificate);
        SSL_CTX_use_PrivateKey(x, r->identity->key);
    }
    r->tls = SSL_new(x);
    SSL_set_fd(r->tls, r->fd);
    r->shaken = (r->server ? SSL_accept(r->tls) : SSL_connect(r->tls)) == 1;
    const struct channel_stream stream = {r->tls, raw_read, raw_write};
    if (r->shaken && r->script)
        r->script(r, &stream);
    SSL_CTX_free(x);
    SSL_free(r->tls);
    close(r->fd);
    return NULL;
}

void raw_start(struct raw *r, int fd)
{
    r->fd = fd;
    if (r->highest == 0)
        r->highest = TLS1_3_VERSION;
    assert_int_equal(pthread_create(&r->thread, NULL, run_raw, r), 0);
}

void raw_join(struct raw *r)
{
    pthread_join(r->thread, NULL);
}

static bool pass_on(SSL *from, SSL *to)
{
    char data[4096];
    do {
        int n = SSL_read(from, data, sizeof data);
        if (n <= 0 || SSL_write(to, data, n) != n)
            return false;
    } while (SSL_pending(from) > 0);
    return true;
}

void relay_between(SSL *a, SSL *b)
{
    struct pollfd fds[] = {{SSL_get_fd(a), POLLIN, 0}, {SSL_get_fd(b), POLLIN, 0}};
    for (bool on = true; on && poll(fds, 2, -1) > 0;) {
        if (fds[0].revents)
            on = pass_on(a, b);
        if (on && fds[1].revents)
            on = pass_on(b, a);
    }
}
