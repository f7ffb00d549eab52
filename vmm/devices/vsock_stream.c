#include "vmm/devices/vsock_stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_MAX 32 /* "CONNECT 4294967295\n" and some */

/* The order in which owed packets leave: a connection before its end. */
static const enum vsock_op owed_order[] = {VSOCK_REQUEST, VSOCK_RESPONSE, VSOCK_CREDIT_UPDATE,
                                           VSOCK_SHUTDOWN};

static void owe(struct vsock_stream *s, enum vsock_op op)
{
    s->owed |= 1u << op;
}

__attribute__((format(printf, 2, 3))) static void tell_host(struct vsock_stream *s, const char *format, ...)
{
    char line[128];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    (void)send(s->source.fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* How much more the guest takes. What it claims to have forwarded may be a lie: then it gets nothing. */
static uint32_t credit(const struct vsock_stream *s)
{
    uint32_t in_flight = s->sent - s->peer_forwarded;
    return in_flight < s->peer_alloc ? s->peer_alloc - in_flight : 0;
}

static void send_packet(struct vsock_stream *s, enum vsock_op op, uint32_t flags, const void *data,
                        uint32_t len)
{
    struct vsock_header h = {
        .src_cid = VSOCK_HOST,
        .src_port = s->host_port,
        .dst_port = s->guest_port,
        .len = len,
        .type = VSOCK_STREAM_TYPE,
        .op = (uint16_t)op,
        .flags = flags,
        .buf_alloc = VSOCK_BUFFER,
        .fwd_cnt = s->forwarded,
    };
    s->told = s->forwarded;
    vsock_send(s->vsock, &h, data);
}

void vsock_stream_pay(struct vsock_stream *s)
{
    for (size_t i = 0; i < sizeof owed_order / sizeof *owed_order; i++) {
        enum vsock_op op = owed_order[i];
        if (!(s->owed & 1u << op))
            continue;
        s->owed &= ~(1u << op);
        send_packet(s, op, op == VSOCK_SHUTDOWN ? s->host_shut : 0, NULL, 0);
        break;
    }
    vsock_stream_watch(s);
}

void vsock_stream_watch(struct vsock_stream *s)
{
    bool open = s->state == VSOCK_OPEN;
    bool reads = open && !s->vsock->starved && credit(s) && !(s->host_shut & VSOCK_NO_SEND) &&
                 !(s->guest_shut & VSOCK_NO_RECEIVE) && !(s->owed & 1u << VSOCK_RESPONSE);
    uint32_t events = (reads || s->state == VSOCK_GREETING ? EPOLLIN : 0) | (open && s->count ? EPOLLOUT : 0);
    (void)loop_watch(virtio_loop(&s->vsock->virtio, 0), &s->source, events);
}

void vsock_stream_end(struct vsock_stream *s, bool tell_guest)
{
    struct vsock *v = s->vsock;
    if (s->state == VSOCK_REQUESTED)
        tell_host(s, "ERROR the guest refused the connection to port %u\n", s->guest_port);
    if (tell_guest && s->state != VSOCK_GREETING)
        vsock_owe_reset(v, &(struct vsock_reset){VSOCK_HOST, s->host_port, s->guest_port, VSOCK_STREAM_TYPE});
    (void)loop_watch(virtio_loop(&v->virtio, 0), &s->source, 0);
    close(s->source.fd);
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        if (v->stream[i] == s)
            v->stream[i] = NULL;
    free(s);
}

/* The guest sends no more, and it receives no more or the host sends no more. */
static bool both_ended(const struct vsock_stream *s)
{
    return (s->guest_shut & VSOCK_NO_SEND) &&
           ((s->guest_shut & VSOCK_NO_RECEIVE) || (s->host_shut & VSOCK_NO_SEND));
}

/* Moves what the guest sent on to the host. False when the stream is gone: the host's program does not read any more,
 * or both directions have ended and all is through. */
static bool drain(struct vsock_stream *s)
{
    while (s->count) {
        uint32_t piece = VSOCK_BUFFER - s->head < s->count ? VSOCK_BUFFER - s->head : s->count;
        ssize_t n = send(s->source.fd, s->buffer + s->head, piece, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            vsock_stream_end(s, true);
            return false;
        }
        s->head = (s->head + (uint32_t)n) % VSOCK_BUFFER;
        s->count -= (uint32_t)n;
        s->forwarded += (uint32_t)n;
    }
    if (s->forwarded - s->told >= VSOCK_BUFFER / 2)
        owe(s, VSOCK_CREDIT_UPDATE);
    if (s->count == 0 && both_ended(s)) {
        vsock_stream_end(s, true);
        return false;
    }
    if (s->count == 0 && (s->guest_shut & VSOCK_NO_SEND) && !s->host_told)
        s->host_told = shutdown(s->source.fd, SHUT_WR) == 0;
    return true;
}

/* The host's program sends no more; one that has closed its end altogether does not receive either. */
static void host_ended(struct vsock_stream *s, bool closed)
{
    s->host_shut |= closed ? VSOCK_NEITHER : VSOCK_NO_SEND;
    if (both_ended(s) && s->count == 0)
        vsock_stream_end(s, true);
    else
        owe(s, VSOCK_SHUTDOWN);
}

static void host_to_guest(struct vsock_stream *s, bool closed)
{
    uint8_t data[4096];
    if (credit(s) == 0 || !vsock_has_room(s->vsock))
        return;
    uint64_t room = s->vsock->room.writable_len - sizeof(struct vsock_header);
    room = room < sizeof data ? room : sizeof data;
    ssize_t n = recv(s->source.fd, data, room < credit(s) ? room : credit(s), MSG_DONTWAIT);
    if (n > 0) {
        send_packet(s, VSOCK_RW, 0, data, (uint32_t)n);
        s->sent += (uint32_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        host_ended(s, closed);
    }
}

static bool parse_port(const char *line, uint32_t *port)
{
    uint64_t value = 0;
    const char *p = line + strlen("CONNECT ");
    if (strncmp(line, "CONNECT ", strlen("CONNECT ")) != 0 || *p == 0)
        return false;
    for (; *p >= '0' && *p <= '9' && value < UINT32_MAX; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    *port = (uint32_t)value;
    return *p == 0 && value < UINT32_MAX; /* the largest is VMADDR_PORT_ANY */
}

/* The greeting so far lies in buffer. Returns whether it is whole, ended by zero; not a byte more is taken, as what
 * follows is the stream's. A line that is too long, or cut off, counts as whole and will not be understood. */
static bool read_greeting(struct vsock_stream *s)
{
    while (s->count < GREETING_MAX) {
        uint8_t *byte = &s->buffer[s->count];
        ssize_t n = recv(s->source.fd, byte, 1, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n <= 0)
            break;
        if (*byte == '\n') {
            *byte = 0;
            return true;
        }
        s->count++;
    }
    s->buffer[0] = 0;
    return true;
}

static void greet(struct vsock_stream *s)
{
    if (!read_greeting(s))
        return;
    s->count = 0;
    if (!parse_port((const char *)s->buffer, &s->guest_port)) {
        tell_host(s, "ERROR expected CONNECT, a space and a port number\n");
        vsock_stream_end(s, false);
    } else if (!virtio_live(&s->vsock->virtio, 0)) {
        tell_host(s, "ERROR the guest has no vsock driver yet\n");
        vsock_stream_end(s, false);
    } else {
        s->state = VSOCK_REQUESTED;
        owe(s, VSOCK_REQUEST);
    }
}

static void host_ready(void *context, uint32_t events)
{
    struct vsock_stream *s = context;
    struct vsock *v = s->vsock;
    if (s->state == VSOCK_GREETING)
        greet(s);
    else if (drain(s) && (s->source.watched & EPOLLIN))
        host_to_guest(s, events & EPOLLHUP);
    vsock_flush(v);
}

struct vsock_stream *vsock_stream_new(struct vsock *v, int fd, enum vsock_state state)
{
    unsigned i = 0;
    while (i < VSOCK_STREAMS && v->stream[i])
        i++;
    struct vsock_stream *s = i < VSOCK_STREAMS ? malloc(sizeof *s) : NULL;
    if (!s) {
        close(fd);
        return NULL;
    }
    memset(s, 0, offsetof(struct vsock_stream, buffer));
    s->vsock = v;
    s->state = state;
    s->source = (struct loop_source){.fd = fd, .ready = host_ready, .context = s};
    v->stream[i] = s;
    return s;
}

static bool take_data(struct vsock_stream *s, const struct vsock_header *h, const struct queue_chain *chain)
{
    if (h->len > VSOCK_BUFFER - s->count || (s->guest_shut & VSOCK_NO_SEND))
        return false;
    uint32_t tail = (s->head + s->count) % VSOCK_BUFFER;
    uint32_t first = h->len < VSOCK_BUFFER - tail ? h->len : VSOCK_BUFFER - tail;
    chain_read(chain, sizeof *h, s->buffer + tail, first);
    chain_read(chain, sizeof *h + first, s->buffer, h->len - first);
    s->count += h->len;
    return true;
}

/* What an open stream does with a packet; false where the packet is not one for it. */
static bool open_packet(struct vsock_stream *s, const struct vsock_header *h, const struct queue_chain *chain)
{
    switch (h->op) {
    case VSOCK_RW:
        return take_data(s, h, chain);
    case VSOCK_SHUTDOWN:
        s->guest_shut |= h->flags & VSOCK_NEITHER;
        return true;
    case VSOCK_CREDIT_REQUEST:
        owe(s, VSOCK_CREDIT_UPDATE);
        return true;
    case VSOCK_CREDIT_UPDATE:
        return true;
    default:
        return false;
    }
}

void vsock_stream_packet(struct vsock_stream *s, const struct vsock_header *h,
                         const struct queue_chain *chain)
{
    s->peer_alloc = h->buf_alloc;
    s->peer_forwarded = h->fwd_cnt;
    if (h->op == VSOCK_RST) {
        vsock_stream_end(s, false);
    } else if (s->state == VSOCK_REQUESTED && h->op == VSOCK_RESPONSE) {
        s->state = VSOCK_OPEN;
        tell_host(s, "OK %u\n", s->host_port);
        vsock_stream_watch(s);
    } else if (s->state != VSOCK_OPEN || !open_packet(s, h, chain)) {
        vsock_stream_end(s, true);
    } else if (drain(s)) {
        vsock_stream_watch(s);
    }
}
