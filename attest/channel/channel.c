#include "attest/channel/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "vmm/base/cleanup.h"

struct channel {
    int fd;
    SSL_CTX *context;
    SSL *tls;
    int64_t deadline; /* milliseconds of CLOCK_MONOTONIC; INT64_MAX: none */
    uint8_t peer[32];
};

static const uint8_t protocol[] = "\x0f" CHANNEL_PROTOCOL; /* as ALPN writes it; its final zero is not sent */
_Static_assert(sizeof CHANNEL_PROTOCOL - 1 == 0x0f, "the length that protocol begins with");

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int channel_lost(struct channel *c, int result, const char *during, struct cofre_err *err)
{
    const int kind = SSL_get_error(c->tls, result), error = errno;
    const unsigned long code = ERR_peek_last_error();
    const char *why = ERR_reason_error_string(code);
    const bool cut =
        kind == SSL_ERROR_ZERO_RETURN || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    ERR_clear_error();
    if (cut || (kind == SSL_ERROR_SYSCALL && (error == 0 || error == ECONNRESET || error == EPIPE)))
        return cofre_fail(err, COFRE_FAILED, "the other end closed the connection during %s", during);
    return cofre_fail(err, COFRE_FAILED, "%s failed: %s", during,
                      kind == SSL_ERROR_SYSCALL ? strerror(error)
                      : why                     ? why
                                                : "TLS says no more");
}

/* Waits for what TLS wants next, or says why it wants nothing any more. */
static int wait_for(struct channel *c, int result, const char *during, struct cofre_err *err)
{
    const int kind = SSL_get_error(c->tls, result);
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
        return channel_lost(c, result, during, err);
    for (;;) {
        struct pollfd fd = {.fd = c->fd, .events = kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        const int64_t left = c->deadline == INT64_MAX ? -1 : c->deadline - now_ms();
        const int ready = c->deadline == INT64_MAX || left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (ready > 0)
            return 0;
        if (ready == 0)
            return cofre_fail(err, COFRE_FAILED, "the other end was too slow during %s", during);
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "poll: %s", strerror(errno));
    }
}

static int choose_protocol(SSL *tls, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *context)
{
    unsigned char *chosen;
    (void)tls;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_len, protocol, sizeof protocol - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Nobody vouches for the other end's key but its evidence. That it has the private key, TLS shows. */
static int take_any_certificate(int good, X509_STORE_CTX *store)
{
    (void)good;
    (void)store;
    return 1;
}

static int set_up(struct channel *c, const struct channel_options *o, struct cofre_err *err)
{
    const bool server = o->end == CHANNEL_SERVER;
    SSL_CTX *x = c->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!x || SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(x, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(x, 0) != 1 ||
        SSL_CTX_set_alpn_protos(x, protocol, sizeof protocol - 1) != 0)
        return cofre_fail(err, COFRE_FAILED, "TLS 1.3 is not to be had from OpenSSL");
    SSL_CTX_set_alpn_select_cb(x, choose_protocol, NULL);
    (void)SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(x, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_mode(x, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(x, SSL_VERIFY_PEER, take_any_certificate);
    if (o->identity && (SSL_CTX_use_certificate(x, o->identity->certificate) != 1 ||
                        SSL_CTX_use_PrivateKey(x, o->identity->key) != 1))
        return cofre_fail(err, COFRE_FAILED, "the channel's key is not to TLS's liking");
    c->tls = SSL_new(x);
    if (!c->tls || SSL_set_fd(c->tls, c->fd) != 1)
        return cofre_fail(err, COFRE_FAILED, "TLS: out of memory");
    server ? SSL_set_accept_state(c->tls) : SSL_set_connect_state(c->tls);
    const int flags = fcntl(c->fd, F_GETFL);
    if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return cofre_fail(err, COFRE_FAILED, "the connection: %s", strerror(errno));
    return 0;
}

static int shake_hands(struct channel *c, struct cofre_err *err)
{
    int n, rc = 0;
    ERR_clear_error();
    while (rc == 0 && (n = SSL_do_handshake(c->tls)) != 1)
        rc = wait_for(c, n, "the handshake", err);
    if (rc < 0)
        return rc;
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(c->tls, &chosen, &len);
    return view_equal((struct view){chosen, len}, (struct view){protocol + 1, sizeof protocol - 2})
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE,
                            "the other end does not speak " CHANNEL_PROTOCOL ", so it attests nothing");
}

static int read_all(void *context, void *data, size_t len, struct cofre_err *err)
{
    struct channel *c = context;
    int n, rc = 0;
    for (uint8_t *at = data; rc == 0 && len;) {
        ERR_clear_error();
        n = SSL_read(c->tls, at, (int)len);
        if (n <= 0) {
            rc = wait_for(c, n, "attestation", err);
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
    return rc;
}

static int write_during(struct channel *c, const void *data, size_t len, const char *during,
                        struct cofre_err *err)
{
    int n, rc = 0;
    for (const uint8_t *at = data; rc == 0 && len;) {
        ERR_clear_error();
        n = SSL_write(c->tls, at, (int)(len < INT32_MAX ? len : INT32_MAX));
        if (n <= 0) {
            rc = wait_for(c, n, during, err);
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
    return rc;
}

static int write_all(void *context, const void *data, size_t len, struct cofre_err *err)
{
    return write_during(context, data, len, "attestation", err);
}

static int attest(struct channel *c, const struct channel_options *o, struct cofre_err *err)
{
    const struct channel_stream stream = {c, read_all, write_all};
    struct channel_facts facts = {.end = o->end};
    CLEAN_BYTES own = {0}, peer = {0};
    X509 *certificate = SSL_get0_peer_certificate(c->tls);
    int rc = channel_exporter(facts.exporter, c->tls, err);
    if (rc == 0 && o->identity)
        rc = channel_key_of(&own, o->identity->certificate, err);
    if (rc == 0 && certificate)
        rc = channel_key_of(&peer, certificate, err);
    if (rc == 0 && peer.len && EVP_Digest(peer.data, peer.len, c->peer, NULL, EVP_sha256(), NULL) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    facts.own_key = bytes_view(&own);
    facts.peer_key = bytes_view(&peer);
    return rc < 0 ? rc : channel_attest(&stream, &facts, &o->acts, err);
}

int channel_open(struct channel **out, int fd, const struct channel_options *options, struct cofre_err *err)
{
    struct channel *c = *out = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    c->fd = fd;
    c->deadline = now_ms() + (int64_t)options->seconds * 1000;
    int rc = set_up(c, options, err);
    if (rc == 0)
        rc = shake_hands(c, err);
    if (rc == 0)
        rc = attest(c, options, err);
    if (rc < 0) {
        channel_close(c);
        *out = NULL;
    }
    return rc;
}

static void set_deadline(struct channel *c, int milliseconds)
{
    c->deadline = milliseconds < 0 ? INT64_MAX : now_ms() + milliseconds;
}

ssize_t channel_read(struct channel *c, void *data, size_t len, int milliseconds, struct cofre_err *err)
{
    set_deadline(c, milliseconds);
    for (;;) {
        ERR_clear_error();
        const int n = SSL_read(c->tls, data, (int)(len < INT32_MAX ? len : INT32_MAX));
        if (n > 0)
            return n;
        if (SSL_get_error(c->tls, n) == SSL_ERROR_ZERO_RETURN)
            return 0;
        const int rc = wait_for(c, n, "reading", err);
        if (rc < 0)
            return rc;
    }
}

int channel_write(struct channel *c, const void *data, size_t len, int milliseconds, struct cofre_err *err)
{
    set_deadline(c, milliseconds);
    return write_during(c, data, len, "writing", err);
}

const uint8_t *channel_peer(const struct channel *c)
{
    return c->peer;
}

SSL *channel_tls(struct channel *c)
{
    return c->tls;
}

void channel_close(struct channel *c)
{
    if (c && c->tls && SSL_is_init_finished(c->tls))
        (void)SSL_shutdown(c->tls);
    channel_cut(c);
}

void channel_cut(struct channel *c)
{
    ERR_clear_error();
    if (!c)
        return;
    SSL_free(c->tls);
    SSL_CTX_free(c->context);
    close(c->fd);
    free(c);
}
