#include "attest/channel/carry.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 16384 /* a TLS record's */

/* What is under way in one direction. */
struct piece {
    uint8_t data[PIECE];
    size_t len, done;
};

struct carry {
    struct channel *channel;
    SSL *tls;
    const struct channel_carriage *way;
    struct piece going, coming;
    bool in_ended, told, peer_ended, closed; /* told: of in's end; closed: out, after the peer's */
    bool wants_to_write;                     /* TLS, before anything else */
};

static size_t left(const struct piece *p)
{
    return p->len - p->done;
}

/* What TLS says of a call that did not succeed: it waits, or it is over. */
static int waits(struct carry *c, int result, const char *during, struct cofre_err *err)
{
    const int kind = SSL_get_error(c->tls, result);
    c->wants_to_write |= kind == SSL_ERROR_WANT_WRITE;
    return kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE
               ? 0
               : channel_lost(c->channel, result, during, err);
}

static int receive(struct carry *c, struct cofre_err *err)
{
    ERR_clear_error();
    int n = SSL_read(c->tls, c->coming.data, PIECE);
    if (n > 0) {
        c->coming.len = (size_t)n;
        c->coming.done = 0;
        return 0;
    }
    c->peer_ended = SSL_get_error(c->tls, n) == SSL_ERROR_ZERO_RETURN;
    return c->peer_ended ? 0 : waits(c, n, "reading", err);
}

static int transmit(struct carry *c, struct cofre_err *err)
{
    ERR_clear_error();
    int n = SSL_write(c->tls, c->going.data + c->going.done, (int)left(&c->going));
    if (n <= 0)
        return waits(c, n, "writing", err);
    c->going.done += (size_t)n;
    return 0;
}

/* The goodbye of this side; the other one may go on. */
static int tell(struct carry *c, struct cofre_err *err)
{
    ERR_clear_error();
    int n = SSL_shutdown(c->tls);
    c->told = n >= 0;
    return n >= 0 ? 0 : waits(c, n, "ending", err);
}

static int fill(struct carry *c, struct cofre_err *err)
{
    ssize_t n = read(c->way->in, c->going.data, PIECE);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return cofre_fail(err, COFRE_FAILED, "what goes over the channel cannot be read: %s",
                          strerror(errno));
    c->going.len = (size_t)n;
    c->going.done = 0;
    c->in_ended = n == 0;
    return 0;
}

static int drain(struct carry *c, struct cofre_err *err)
{
    ssize_t n = write(c->way->out, c->coming.data + c->coming.done, left(&c->coming));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        return cofre_fail(err, COFRE_FAILED, "what came over the channel cannot be written: %s",
                          strerror(errno));
    c->coming.done += (size_t)n;
    return 0;
}

/* All that TLS can do now. */
static int work(struct carry *c, struct cofre_err *err)
{
    int rc = 0;
    c->wants_to_write = false;
    if (!left(&c->coming) && !c->peer_ended)
        rc = receive(c, err);
    if (rc == 0 && left(&c->going))
        rc = transmit(c, err);
    if (rc == 0 && c->in_ended && !c->told)
        rc = tell(c, err);
    if (rc == 0 && c->peer_ended && !left(&c->coming) && !c->closed) {
        (void)shutdown(c->way->out, SHUT_WR); /* of what is no socket, nothing */
        c->closed = true;
    }
    return rc;
}

static bool over(const struct carry *c)
{
    return c->closed && (c->way->until_peer || c->told);
}

static int step(struct carry *c, struct cofre_err *err)
{
    const bool reads = !left(&c->going) && !c->in_ended, writes = left(&c->coming);
    struct pollfd fds[] = {
        {SSL_get_fd(c->tls),
         (short)((writes || c->peer_ended ? 0 : POLLIN) | (c->wants_to_write ? POLLOUT : 0)), 0},
        {reads ? c->way->in : -1, POLLIN, 0},
        {writes ? c->way->out : -1, POLLOUT, 0},
    };
    if (fds[0].events == 0)
        fds[0].fd = -1; /* its hang-up is not news */
    /* What TLS has read already is not seen by poll. */
    if (poll(fds, 3, !writes && SSL_pending(c->tls) > 0 ? 0 : -1) < 0 && errno != EINTR)
        return cofre_fail(err, COFRE_FAILED, "poll: %s", strerror(errno));
    int rc = 0;
    if (fds[1].revents)
        rc = fill(c, err);
    if (rc == 0 && fds[2].revents)
        rc = drain(c, err);
    return rc;
}

int channel_carry(struct channel *channel, const struct channel_carriage *carriage, struct cofre_err *err)
{
    struct carry c = {.channel = channel, .tls = channel_tls(channel), .way = carriage};
    int rc = work(&c, err);
    while (rc == 0 && !over(&c)) {
        rc = step(&c, err);
        if (rc == 0)
            rc = work(&c, err);
    }
    return rc;
}
