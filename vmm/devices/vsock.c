#include "vmm/devices/vsock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"
#include "vmm/devices/vsock_stream.h"

enum queue { TO_GUEST = 0, FROM_GUEST = 1, EVENTS = 2, QUEUES = 3 };

#define FEATURE_STREAM 0
#define FIRST_PORT     (1u << 30) /* for connections that the host begins */
#define PORT_SUFFIX    11         /* "_4294967295" */

static void watch_all(struct vsock *v)
{
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        if (v->stream[i])
            vsock_stream_watch(v->stream[i]);
}

bool vsock_has_room(struct vsock *v)
{
    if (!v->held) {
        bool starved = !virtio_next(&v->virtio, TO_GUEST, &v->room);
        if (!starved && v->room.writable_len <= sizeof(struct vsock_header)) {
            virtio_break(&v->virtio, &(struct cofre_err){"a receive buffer that holds no packet"});
            starved = true;
        }
        v->held = !starved;
        if (starved != v->starved) {
            v->starved = starved;
            watch_all(v);
        }
    }
    return v->held;
}

void vsock_send(struct vsock *v, struct vsock_header *h, const void *data)
{
    h->dst_cid = v->cid;
    chain_write(&v->room, 0, h, sizeof *h);
    chain_write(&v->room, sizeof *h, data, h->len);
    v->held = false;
    virtio_done(&v->virtio, TO_GUEST, &v->room, sizeof *h + h->len);
}

void vsock_owe_reset(struct vsock *v, const struct vsock_reset *reset)
{
    if (v->resets < VSOCK_RESETS)
        v->reset[v->resets++] = *reset;
}

static void send_reset(struct vsock *v)
{
    const struct vsock_reset *r = &v->reset[--v->resets];
    struct vsock_header h = {
        .src_cid = r->host_cid,
        .src_port = r->host_port,
        .dst_port = r->guest_port,
        .type = r->type,
        .op = VSOCK_RST,
    };
    vsock_send(v, &h, NULL);
}

void vsock_flush(struct vsock *v)
{
    while (v->resets && vsock_has_room(v))
        send_reset(v);
    for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
        struct vsock_stream *s = v->stream[i];
        while (s && s->owed && vsock_has_room(v))
            vsock_stream_pay(s);
        if (s)
            vsock_stream_watch(s);
    }
}

static struct vsock_stream *find(const struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
    for (unsigned i = 0; i < VSOCK_STREAMS; i++) {
        struct vsock_stream *s = v->stream[i];
        if (s && s->state != VSOCK_GREETING && s->host_port == host_port && s->guest_port == guest_port)
            return s;
    }
    return NULL;
}

/* The guest connects to a port of the host, if somebody listens there. */
static bool accept_guest(struct vsock *v, const struct vsock_header *h)
{
    int fd = v->way.connect(v->way.context, h->dst_port);
    struct vsock_stream *s = fd < 0 ? NULL : vsock_stream_new(v, fd, VSOCK_OPEN);
    if (!s)
        return false;
    s->host_port = h->dst_port;
    s->guest_port = h->src_port;
    s->peer_alloc = h->buf_alloc;
    s->peer_forwarded = h->fwd_cnt;
    s->owed = 1u << VSOCK_RESPONSE;
    return true;
}

/* A packet that nobody takes is answered with a reset, except a reset (virtio 1.2, 5.10.6.4). */
static void dispatch(struct vsock *v, const struct vsock_header *h, const struct queue_chain *chain)
{
    bool ours = h->dst_cid == VSOCK_HOST && h->type == VSOCK_STREAM_TYPE;
    struct vsock_stream *s = ours ? find(v, h->dst_port, h->src_port) : NULL;
    if (h->src_cid != v->cid)
        return;
    if (s)
        vsock_stream_packet(s, h, chain);
    else if (h->op != VSOCK_RST && !(ours && h->op == VSOCK_REQUEST && accept_guest(v, h)))
        vsock_owe_reset(v, &(struct vsock_reset){h->dst_cid, h->dst_port, h->src_port, h->type});
}

static void from_guest(struct vsock *v)
{
    struct queue_chain chain;
    struct vsock_header h;
    while (virtio_next(&v->virtio, FROM_GUEST, &chain)) {
        if (chain_read(&chain, 0, &h, sizeof h) != sizeof h || h.len > chain.readable_len - sizeof h) {
            virtio_break(&v->virtio, &(struct cofre_err){"a packet without its header or its data"});
            return;
        }
        dispatch(v, &h, &chain);
        virtio_done(&v->virtio, FROM_GUEST, &chain, 0);
    }
}

static void vsock_queue(void *device, unsigned index)
{
    struct vsock *v = device;
    if (index == FROM_GUEST)
        from_guest(v);
    else if (index == TO_GUEST)
        v->starved = false;
    vsock_flush(v);
}

static void host_connects(void *context, uint32_t events)
{
    struct vsock *v = context;
    (void)events;
    int fd = accept4(v->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct vsock_stream *s = fd < 0 ? NULL : vsock_stream_new(v, fd, VSOCK_GREETING);
    if (!s)
        return;
    s->host_port = FIRST_PORT | (v->next_port++ & (FIRST_PORT - 1));
    vsock_stream_watch(s);
}

static void vsock_reset_device(void *device)
{
    struct vsock *v = device;
    v->held = v->starved = false;
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        if (v->stream[i] && v->stream[i]->state != VSOCK_GREETING)
            vsock_stream_end(v->stream[i], false);
    v->resets = 0;
}

static void vsock_free(void *device)
{
    struct vsock *v = device;
    for (unsigned i = 0; i < VSOCK_STREAMS; i++)
        if (v->stream[i])
            vsock_stream_end(v->stream[i], false);
    cleanup_close(&v->listener.fd);
    free(v);
}

static const struct virtio_ops vsock_ops = {
    .name = "vsock",
    .id = VIRTIO_ID_VSOCK,
    .class_code = 0x028000,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE_MAX,
    .queue = vsock_queue,
    .reset = vsock_reset_device,
    .free = vsock_free,
};

/* A socket that a VMM left behind refuses connections; a living one is not taken over. */
static void remove_stale(const char *path)
{
    struct stat st;
    CLEAN_FD fd = unix_connect(path);
    if (fd < 0 && errno == ECONNREFUSED && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(path);
}

static int listen_at(const char *path, int *out, struct cofre_err *err)
{
    struct sockaddr_un address;
    if (strlen(path) + PORT_SUFFIX >= sizeof address.sun_path || !unix_address(&address, path))
        return cofre_fail(err, COFRE_USAGE, "vsock: %s: a socket's path has at most %zu bytes", path,
                          sizeof address.sun_path - 1 - PORT_SUFFIX);
    remove_stale(path);
    CLEAN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, VSOCK_STREAMS) < 0)
        return cofre_fail(err, COFRE_FAILED, "vsock: %s: %s", path,
                          errno == EADDRINUSE ? "another program has it" : strerror(errno));
    *out = TAKE_FD(fd);
    return 0;
}

int vsock_connect(void *path, uint32_t port)
{
    char name[sizeof((struct sockaddr_un *)0)->sun_path + PORT_SUFFIX];
    (void)snprintf(name, sizeof name, "%s_%u", (const char *)path, port);
    return unix_connect(name);
}

int virtio_vsock_new(struct virtio_device **out, uint64_t cid, const char *path, struct vsock_way way,
                     struct cofre_err *err)
{
    if (cid <= VSOCK_HOST || cid >= UINT32_MAX)
        return cofre_fail(err, COFRE_USAGE, "vsock: CID %" PRIu64 " is not a guest's (3 to 4294967294)", cid);
    struct vsock *v = calloc(1, sizeof *v);
    if (!v)
        return cofre_fail(err, COFRE_FAILED, "vsock: out of memory");
    v->cid = cid;
    v->listener = (struct loop_source){.fd = -1, .ready = host_connects, .context = v};
    v->way = way;
    int rc = listen_at(path, &v->listener.fd, err);
    if (!rc)
        rc = virtio_init(&v->virtio, &vsock_ops, v, err);
    if (rc) {
        vsock_free(v);
        return rc;
    }
    v->virtio.features = 1u << FEATURE_STREAM;
    v->virtio.config_len = sizeof cid;
    put_le64(v->virtio.config, cid);
    (void)loop_watch(virtio_loop(&v->virtio, 0), &v->listener, EPOLLIN);
    *out = &v->virtio;
    return 0;
}
