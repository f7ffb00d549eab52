#include "vmm/devices/net_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"
#define LOG_ROOM "net"
#include "vmm/base/log.h"

#define PREFIX sizeof(uint32_t)

/* A frame that has begun is gone through with in either direction: a driver that goes away in between has the rest of
 * its frame sent as zeros, and what the other end still sends of one is thrown away. */
struct stream {
    struct net_backend backend;
    bool ended; /* it lost its meaning: nothing is taken from it any more */
    struct {
        uint32_t prefix;  /* big-endian */
        size_t len, done; /* of prefix and frame; done is 0 between frames */
        bool forgotten;
    } out;
    struct {
        uint8_t prefix[PREFIX];
        size_t prefix_done, len, done; /* len: the frame's; 0 until the prefix is whole */
        bool forgotten;
    } in;
    struct iovec iov[NET_IOV_MAX + 1];
};

static ssize_t socket_send(const struct stream *s, const struct iovec *iov, unsigned count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    return sendmsg(s->backend.fd[0], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static enum net_outcome failed(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? NET_LATER : NET_GONE;
}

/* Whether the stream is at the end of a frame. */
static enum net_outcome pad(struct stream *s)
{
    static const uint8_t zeros[4096];
    while (s->out.forgotten && s->out.done < s->out.len) {
        size_t left = s->out.len - s->out.done;
        struct iovec iov = {(void *)zeros, left < sizeof zeros ? left : sizeof zeros};
        ssize_t n = socket_send(s, &iov, 1);
        if (n < 0)
            return failed();
        s->out.done += (size_t)n;
    }
    if (s->out.forgotten)
        s->out.done = 0;
    s->out.forgotten = false;
    return NET_DONE;
}

static enum net_outcome stream_send(struct net_backend *backend, unsigned pair, struct iovec *iov,
                                    unsigned count)
{
    struct stream *s = (struct stream *)backend;
    (void)pair;
    enum net_outcome padded = pad(s);
    if (padded != NET_DONE)
        return padded;
    if (s->out.done == 0) {
        size_t frame = 0;
        for (unsigned i = 1; i < count; i++)
            frame += iov[i].iov_len;
        if (frame > NET_STREAM_FRAME_MAX)
            return NET_DROPPED;
        s->out.prefix = htonl((uint32_t)frame);
        s->out.len = PREFIX + frame;
    }
    iov[0] = (struct iovec){&s->out.prefix, PREFIX};
    count = net_cut(iov, count, s->out.done, s->out.len - s->out.done, iov);
    ssize_t n = socket_send(s, iov, count);
    if (n < 0)
        return failed();
    s->out.done += (size_t)n;
    if (s->out.done < s->out.len)
        return NET_LATER;
    s->out.done = 0;
    return NET_DONE;
}

/* Reads into count buffers of s->iov; 0 is the end of the stream. */
static ssize_t socket_receive(struct stream *s, unsigned count, enum net_outcome *why)
{
    struct msghdr message = {.msg_iov = s->iov, .msg_iovlen = count};
    ssize_t n = recvmsg(s->backend.fd[0], &message, MSG_DONTWAIT);
    *why = n < 0 ? failed() : NET_GONE;
    return n;
}

/* The prefix of a next frame is whole: what it announces must be a frame. */
static bool prefix_done(struct stream *s)
{
    uint32_t len;
    memcpy(&len, s->in.prefix, sizeof len);
    s->in.len = ntohl(len);
    s->in.done = s->in.prefix_done = 0;
    if (s->in.len >= NET_FRAME_MIN && s->in.len <= NET_FRAME_MAX)
        return true;
    log_warn("%s: it announced a frame of %zu bytes; the connection is closed", s->backend.name, s->in.len);
    s->ended = true;
    (void)shutdown(s->backend.fd[0], SHUT_RDWR);
    return false;
}

static enum net_outcome read_prefix(struct stream *s)
{
    enum net_outcome why;
    while (s->in.prefix_done < PREFIX) {
        s->iov[0] = (struct iovec){s->in.prefix + s->in.prefix_done, PREFIX - s->in.prefix_done};
        ssize_t n = socket_receive(s, 1, &why);
        if (n <= 0)
            return why;
        s->in.prefix_done += (size_t)n;
    }
    return prefix_done(s) ? NET_DONE : NET_GONE;
}

/* One read takes the rest of the frame, to its place after the header, and the prefix of the next one, if it is there
 * already. */
static enum net_outcome read_frame(struct stream *s, const struct iovec *iov, unsigned count)
{
    enum net_outcome why;
    size_t left = s->in.len - s->in.done;
    unsigned n = net_cut(iov, count, sizeof(struct net_header) + s->in.done, left, s->iov);
    s->iov[n++] = (struct iovec){s->in.prefix, PREFIX};
    ssize_t got = socket_receive(s, n, &why);
    if (got <= 0)
        return why == NET_LATER ? NET_PARTIAL : why;
    if ((size_t)got < left) {
        s->in.done += (size_t)got;
        return NET_PARTIAL;
    }
    s->in.prefix_done = (size_t)got - left;
    s->in.len = s->in.done = 0;
    return NET_DONE;
}

static enum net_outcome skip(struct stream *s)
{
    uint8_t rest[4096];
    enum net_outcome why;
    while (s->in.len) {
        size_t left = s->in.len - s->in.done;
        s->iov[0] = (struct iovec){rest, left < sizeof rest ? left : sizeof rest};
        ssize_t n = socket_receive(s, 1, &why);
        if (n <= 0)
            return why;
        s->in.done += (size_t)n;
        if (s->in.done == s->in.len)
            s->in.len = s->in.done = 0;
    }
    s->in.forgotten = false;
    return NET_DONE;
}

static enum net_outcome stream_receive(struct net_backend *backend, unsigned pair, const struct iovec *iov,
                                       unsigned count, size_t *len)
{
    struct stream *s = (struct stream *)backend;
    static const struct net_header plain;
    (void)pair;
    if (s->ended)
        return NET_GONE;
    (void)pad(s); /* the other end may wait for it before it sends anything */
    enum net_outcome outcome = s->in.forgotten ? skip(s) : NET_DONE;
    if (outcome == NET_DONE && s->in.len == 0)
        outcome = read_prefix(s);
    if (outcome != NET_DONE)
        return outcome;
    size_t expected = s->in.len;
    outcome = read_frame(s, iov, count);
    if (outcome == NET_DONE) {
        net_scatter(iov, count, 0, &plain, sizeof plain);
        *len = sizeof plain + expected;
    }
    return outcome;
}

static void stream_forget(struct net_backend *backend)
{
    struct stream *s = (struct stream *)backend;
    s->out.forgotten = s->out.done != 0;
    s->in.forgotten = s->in.len != 0;
}

static void stream_free(struct net_backend *backend)
{
    struct stream *s = (struct stream *)backend;
    cleanup_close(&backend->fd[0]);
    free(s);
}

static const struct net_backend_ops stream_ops = {
    .send = stream_send,
    .receive = stream_receive,
    .forget = stream_forget,
    .free = stream_free,
};

int net_stream_new(struct net_backend **out, const char *name, int fd, struct cofre_err *err)
{
    const int buffer = 1 << 20; /* some large frames; the kernel may give less */
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", name);
    }
    s->backend.ops = &stream_ops;
    snprintf(s->backend.name, sizeof s->backend.name, "%s", name);
    s->backend.fd[0] = fd;
    s->backend.pairs = 1;
    s->backend.paced = true;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    *out = &s->backend;
    return 0;
}
