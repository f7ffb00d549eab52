#include "tests/unit/devices/back_end.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/bytes.h"

#define PAYLOAD_MAX 512
#define FDS_MAX     8

struct incoming {
    uint32_t request, flags, size;
    uint8_t payload[PAYLOAD_MAX];
    int fd[FDS_MAX];
    unsigned fds;
};

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "vhost-user back end of the tests: %s\n", what);
        abort();
    }
}

void back_end_init(struct back_end *be)
{
    *be = (struct back_end){.features = ~BE_PACKED, .protocol = ~0ull, .queues = 2, .hush = -1, .fd = -1};
    for (unsigned i = 0; i < BACK_END_QUEUES; i++)
        be->ring[i].kick = be->ring[i].call = be->ring[i].error = -1;
}

static void take_descriptors(struct incoming *in, struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        must(c->cmsg_type == SCM_RIGHTS && in->fds + n <= FDS_MAX, "too many descriptors");
        memcpy(in->fd + in->fds, CMSG_DATA(c), n * sizeof(int));
        in->fds += n;
    }
}

/* False at the end of the connection. */
static bool read_all(struct back_end *be, struct incoming *in, void *out, size_t len)
{
    for (size_t have = 0; have < len;) {
        char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct iovec iov = {(uint8_t *)out + have, len - have};
        struct msghdr header = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(be->fd, &header, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) /* a fuzzer's clock */
            continue;
        if (n <= 0)
            return false;
        take_descriptors(in, &header);
        have += (size_t)n;
    }
    return true;
}

static bool read_message(struct back_end *be, struct incoming *in)
{
    uint8_t header[12];
    *in = (struct incoming){0};
    if (!read_all(be, in, header, sizeof header))
        return false;
    in->request = le32(header);
    in->flags = le32(header + 4);
    in->size = le32(header + 8);
    must(in->size <= PAYLOAD_MAX, "a message that is too long");
    return read_all(be, in, in->payload, in->size);
}

static void send_bytes(struct back_end *be, const uint8_t *data, size_t len, bool with_descriptor)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with_descriptor) {
        header.msg_control = control.room;
        header.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &be->fd, sizeof(int));
    }
    if (len)
        (void)sendmsg(be->fd, &header, MSG_NOSIGNAL);
}

static void spoil_payload(enum back_end_fault fault, uint8_t *payload)
{
    if (fault == FAULT_REFUSES)
        put_le64(payload, 22);
    else if (fault == FAULT_OTHER_OFFSET)
        put_le32(payload, 4);
    else if (fault == FAULT_OTHER_SIZE)
        put_le32(payload + 4, le32(payload + 4) - 1);
    else if (fault == FAULT_OTHER_RING)
        put_le32(payload, le32(payload) + 1);
}

static void hush(const struct back_end *be)
{
    if (be->hush >= 0)
        (void)eventfd_write(be->hush, 1);
}

/* Sends an answer with what is wrong about it. */
static void answer(struct back_end *be, const struct incoming *in, const void *payload, uint32_t size)
{
    enum back_end_fault fault = be->fault_at == in->request ? be->fault : FAULT_NONE;
    uint8_t out[12 + PAYLOAD_MAX] = {0};
    uint32_t claimed = fault == FAULT_EMPTY   ? 0
                       : fault == FAULT_SHORT ? size - 1
                       : fault == FAULT_LONG  ? size + 8
                       : fault == FAULT_HUGE  ? UINT32_MAX
                                              : size;
    size_t len = 12 + (fault == FAULT_HUGE ? size : claimed);
    put_le32(out, in->request + (fault == FAULT_OTHER_REQUEST));
    put_le32(out + 4, fault == FAULT_VERSION         ? 6
                      : fault == FAULT_NO_REPLY_FLAG ? 1
                      : fault == FAULT_EXTRA_FLAG    ? 0x15
                                                     : 5);
    put_le32(out + 8, claimed);
    memcpy(out + 12, payload, size);
    spoil_payload(fault, out + 12);
    if (fault == FAULT_TRUNCATED || fault == FAULT_HALF)
        len /= 2;
    if (fault == FAULT_SILENT) {
        hush(be);
        return;
    }
    be->end = fault == FAULT_TRUNCATED || fault == FAULT_CLOSES;
    if (fault == FAULT_CLOSES)
        return;
    send_bytes(be, out, len, fault == FAULT_DESCRIPTOR);
    if (fault == FAULT_HALF)
        hush(be);
    if (fault == FAULT_TWICE)
        send_bytes(be, out, len, false);
}

static void answer_u64(struct back_end *be, const struct incoming *in, uint64_t value)
{
    uint8_t payload[8];
    put_le64(payload, value);
    answer(be, in, payload, sizeof payload);
}

static void take_memory(struct back_end *be, const struct incoming *in)
{
    uint32_t count = le32(in->payload);
    must(in->fds == count && count <= GUEST_REGIONS_MAX, "not a descriptor a region");
    must(in->size == 8 + 32 * count, "a memory table of another size");
    for (size_t i = 0; i < be->mem.count; i++)
        (void)munmap(be->mem.region[i].host, be->mem.region[i].len);
    be->mem.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *r = in->payload + 8 + 32 * i;
        uint64_t len = le64(r + 8);
        be->user[i] = le64(r + 16);
        be->offset[i] = le64(r + 24);
        void *host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, in->fd[i], (off_t)be->offset[i]);
        must(host != MAP_FAILED && !guest_memory_add(&be->mem, le64(r), len, host, NULL),
             "memory that is none");
    }
}

/* Rings are told by user addresses. */
static uint64_t guest_address(const struct back_end *be, uint64_t user)
{
    for (size_t i = 0; i < be->mem.count; i++)
        if (user >= be->user[i] && user - be->user[i] < be->mem.region[i].len)
            return user - be->user[i] + be->mem.region[i].gpa;
    return UINT64_MAX;
}

static void replace(int *fd, struct incoming *in)
{
    must(in->fds == 1, "not one descriptor with an event");
    if (*fd >= 0)
        close(*fd);
    *fd = in->fd[0];
    in->fds = 0;
}

static void start_ring(struct back_end *be, struct back_end_ring *ring)
{
    struct cofre_err err;
    const struct queue_rings rings = {(uint16_t)ring->num, ring->desc, ring->avail, ring->used};
    bool event_idx = be->driver_features >> 29 & 1, indirect = be->driver_features >> 28 & 1;
    must(ring->call >= 0, "a ring is started before it can call");
    ring->started = virtqueue_setup(&ring->queue, &be->mem, &rings, event_idx, indirect, &err) == 0;
    if (!ring->started)
        (void)eventfd_write(ring->error, 1);
}

static void stop_ring(struct back_end_ring *ring)
{
    ring->started = ring->enabled = false;
    if (ring->kick >= 0)
        close(ring->kick);
    ring->kick = -1;
}

static void handle_ring(struct back_end *be, struct incoming *in, struct back_end_ring *ring)
{
    uint8_t state[8] = {0};
    switch (in->request) {
    case BE_SET_VRING_NUM:
        ring->num = le32(in->payload + 4);
        break;
    case BE_SET_VRING_BASE:
        ring->base = le32(in->payload + 4);
        break;
    case BE_SET_VRING_ADDR:
        ring->desc = guest_address(be, le64(in->payload + 8));
        ring->used = guest_address(be, le64(in->payload + 16));
        ring->avail = guest_address(be, le64(in->payload + 24));
        break;
    case BE_SET_VRING_ENABLE:
        ring->enabled = le32(in->payload + 4);
        break;
    case BE_SET_VRING_ERR:
        replace(&ring->error, in);
        break;
    case BE_SET_VRING_CALL:
        replace(&ring->call, in);
        break;
    case BE_SET_VRING_KICK:
        replace(&ring->kick, in);
        start_ring(be, ring);
        break;
    case BE_GET_VRING_BASE:
        put_le32(state, le32(in->payload));
        put_le32(state + 4, ring->queue.next_avail);
        stop_ring(ring);
        answer(be, in, state, sizeof state);
        break;
    default:
        break;
    }
}

static void handle(struct back_end *be, struct incoming *in)
{
    uint8_t config[12 + sizeof be->config] = {0};
    uint32_t index = in->size ? in->payload[0] : 0;
    switch (in->request) {
    case BE_GET_FEATURES:
        answer_u64(be, in, be->features);
        break;
    case BE_GET_PROTOCOL_FEATURES:
        answer_u64(be, in, be->protocol);
        break;
    case BE_GET_QUEUE_NUM:
        answer_u64(be, in, be->queues);
        break;
    case BE_SET_FEATURES:
        be->driver_features = le64(in->payload);
        break;
    case BE_SET_PROTOCOL_FEATURES:
    case BE_SET_OWNER:
        break;
    case BE_SET_MEM_TABLE:
        take_memory(be, in);
        break;
    case BE_GET_CONFIG:
        memcpy(config, in->payload, 12);
        memcpy(config + 12, be->config, sizeof be->config);
        answer(be, in, config, in->size);
        break;
    default:
        must(index < BACK_END_QUEUES, "a ring that there is not");
        handle_ring(be, in, &be->ring[index]);
        break;
    }
    for (unsigned i = 0; i < in->fds; i++)
        close(in->fd[i]);
    if (in->flags & 8)
        answer_u64(be, in, 0);
}

static void remember(struct back_end *be, const struct incoming *in)
{
    if (be->count == BACK_END_MESSAGES)
        return;
    be->order[be->count] = in->request;
    be->flags[be->count] = in->flags;
    be->value[be->count] = le64(in->payload);
    be->descriptors[be->count++] = in->fds;
}

static void serve_kicked(struct back_end *be, const struct pollfd *kicks)
{
    for (unsigned i = 0; i < BACK_END_QUEUES; i++) {
        eventfd_t count;
        if (!(kicks[i].revents & POLLIN) || kicks[i].fd != be->ring[i].kick || !be->ring[i].started)
            continue;
        (void)eventfd_read(be->ring[i].kick, &count);
        if (be->serve)
            be->serve(be, i);
    }
}

void back_end_run(struct back_end *be, int fd)
{
    be->fd = fd;
    while (!be->end) {
        struct pollfd fds[1 + BACK_END_QUEUES] = {{.fd = fd, .events = POLLIN}};
        for (unsigned i = 0; i < BACK_END_QUEUES; i++)
            fds[1 + i] = (struct pollfd){.fd = be->ring[i].kick, .events = POLLIN};
        struct incoming in;
        if (poll(fds, 1 + BACK_END_QUEUES, -1) < 0)
            continue;
        serve_kicked(be, fds + 1);
        if (fds[0].revents && !read_message(be, &in))
            break;
        if (fds[0].revents) {
            remember(be, &in);
            handle(be, &in);
        }
    }
    for (unsigned i = 0; i < BACK_END_QUEUES; i++) {
        int all[] = {be->ring[i].kick, be->ring[i].call, be->ring[i].error};
        for (unsigned j = 0; j < 3; j++)
            if (all[j] >= 0)
                close(all[j]);
    }
    for (size_t i = 0; i < be->mem.count; i++)
        (void)munmap(be->mem.region[i].host, be->mem.region[i].len);
    close(fd);
}

static void *run(void *context)
{
    struct back_end *be = context;
    back_end_run(be, be->fd);
    return NULL;
}

static void *accept_and_run(void *context)
{
    struct back_end *be = context;
    int fd = accept(be->fd, NULL, NULL);
    must(fd >= 0, "accept");
    close(be->fd);
    back_end_run(be, fd);
    return NULL;
}

int back_end_start(struct back_end *be)
{
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    be->fd = pair[0];
    must(pthread_create(&be->thread, NULL, run, be) == 0, "thread");
    return pair[1];
}

void back_end_start_at(struct back_end *be, int listener)
{
    be->fd = listener;
    must(pthread_create(&be->thread, NULL, accept_and_run, be) == 0, "thread");
}

void back_end_join(struct back_end *be)
{
    pthread_join(be->thread, NULL);
}

void back_end_done(struct back_end *be, unsigned index, const struct queue_chain *chain, uint32_t written)
{
    struct back_end_ring *ring = &be->ring[index];
    virtqueue_done(&ring->queue, chain->head, written);
    if (virtqueue_wants_interrupt(&ring->queue))
        (void)eventfd_write(ring->call, 1);
}
