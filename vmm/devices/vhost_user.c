#include "vmm/devices/vhost_user.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"

enum request {
    GET_FEATURES = 1,
    SET_FEATURES = 2,
    SET_OWNER = 3,
    SET_MEM_TABLE = 5,
    SET_VRING_NUM = 8,
    SET_VRING_ADDR = 9,
    SET_VRING_BASE = 10,
    GET_VRING_BASE = 11,
    SET_VRING_KICK = 12,
    SET_VRING_CALL = 13,
    SET_VRING_ERR = 14,
    GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16,
    GET_QUEUE_NUM = 17,
    SET_VRING_ENABLE = 18,
    GET_CONFIG = 24,
};

static const char *const names[] = {
    [GET_FEATURES] = "GET_FEATURES",
    [SET_FEATURES] = "SET_FEATURES",
    [SET_OWNER] = "SET_OWNER",
    [SET_MEM_TABLE] = "SET_MEM_TABLE",
    [SET_VRING_NUM] = "SET_VRING_NUM",
    [SET_VRING_ADDR] = "SET_VRING_ADDR",
    [SET_VRING_BASE] = "SET_VRING_BASE",
    [GET_VRING_BASE] = "GET_VRING_BASE",
    [SET_VRING_KICK] = "SET_VRING_KICK",
    [SET_VRING_CALL] = "SET_VRING_CALL",
    [SET_VRING_ERR] = "SET_VRING_ERR",
    [GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
    [SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
    [GET_QUEUE_NUM] = "GET_QUEUE_NUM",
    [SET_VRING_ENABLE] = "SET_VRING_ENABLE",
    [GET_CONFIG] = "GET_CONFIG",
};

enum flag { VERSION = 1, REPLY = 1 << 2, NEED_REPLY = 1 << 3 };

#define FEATURE_PROTOCOL 30 /* VHOST_USER_F_PROTOCOL_FEATURES, among the device's features */
#define PROTOCOL_KNOWN   (1u << VHOST_USER_MQ | 1u << VHOST_USER_REPLY_ACK | 1u << VHOST_USER_CONFIG)
#define REGIONS_MAX      8

struct vring_state {
    uint32_t index, num;
};

struct vring_address {
    uint32_t index, flags;
    uint64_t desc, used, avail, log;
};

struct region {
    uint64_t guest, size, user, offset;
};

struct message {
    uint32_t request, flags, size;
    union {
        uint64_t u64;
        struct vring_state state;
        struct vring_address address;
        struct {
            uint32_t count, padding;
            struct region region[REGIONS_MAX];
        } memory;
        struct {
            uint32_t offset, size, flags;
            uint8_t data[VHOST_USER_CONFIG_MAX];
        } config;
    };
} __attribute__((packed));

#define HEADER_SIZE offsetof(struct message, u64)
static_assert(HEADER_SIZE == 12, "header");
static_assert(sizeof(struct vring_state) == 8 && sizeof(struct vring_address) == 40, "vring payloads");
static_assert(sizeof(struct region) == 32, "memory region description");
static_assert(offsetof(struct message, config.data) == 24, "virtio device config space");
static_assert(GUEST_REGIONS_MAX <= REGIONS_MAX, "every region has room in the table");

/* The descriptor stays until vhost_user_close, for who watches it. */
void vhost_user_end(struct vhost_user *b)
{
    (void)shutdown(b->fd, SHUT_RDWR);
    b->ended = true;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Until the socket is ready, or the time of this message is over; what is there by then counts, however late this looks. */
static int wait_for(const struct vhost_user *b, short events, int64_t deadline, struct cofre_err *err)
{
    struct pollfd one = {.fd = b->fd, .events = events};
    for (;;) {
        int64_t left = deadline - now();
        int n = poll(&one, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            return 0;
        if (n == 0)
            return cofre_fail(err, COFRE_FAILED, "no answer within %d ms", b->patience);
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "%s", strerror(errno));
    }
}

/* A message is far smaller than a socket's buffer, and the descriptors go with its first byte: it is taken whole. */
static int send_message(const struct vhost_user *b, const struct message *m, const int *fd, size_t fds,
                        int64_t deadline, struct cofre_err *err)
{
    union {
        char room[CMSG_SPACE(REGIONS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {(void *)(uintptr_t)m, HEADER_SIZE + m->size};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds) {
        header.msg_control = control.room;
        header.msg_controllen = CMSG_SPACE(fds * sizeof *fd);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        *c = (struct cmsghdr){CMSG_LEN(fds * sizeof *fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), fd, fds * sizeof *fd);
    }
    for (;;) {
        ssize_t n = sendmsg(b->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == (ssize_t)iov.iov_len)
            return 0;
        if (n >= 0)
            return cofre_fail(err, COFRE_FAILED, "the message was taken in part only");
        int rc = errno == EAGAIN  ? wait_for(b, POLLOUT, deadline, err)
                 : errno == EINTR ? 0
                                  : cofre_fail(err, COFRE_FAILED, "%s", strerror(errno));
        if (rc)
            return rc;
    }
}

/* There is no room for descriptors, so the kernel closes those that come and says that it did. */
static int receive(const struct vhost_user *b, void *out, size_t len, int64_t deadline, struct cofre_err *err)
{
    for (size_t have = 0; have < len;) {
        struct iovec iov = {(uint8_t *)out + have, len - have};
        struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
        int rc = wait_for(b, POLLIN, deadline, err);
        if (rc)
            return rc;
        ssize_t n = recvmsg(b->fd, &header, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return cofre_fail(err, COFRE_FAILED, "%s", n ? strerror(errno) : "it closed the connection");
        if (header.msg_flags & MSG_CTRUNC)
            return cofre_fail(err, COFRE_MALFORMED, "the answer brings a descriptor, which nobody asked for");
        have += (size_t)n;
    }
    return 0;
}

/* The answer to that request, of exactly size bytes. */
static int receive_answer(const struct vhost_user *b, struct message *m, uint32_t request, uint32_t size,
                          int64_t deadline, struct cofre_err *err)
{
    int rc = receive(b, m, HEADER_SIZE, deadline, err);
    if (rc)
        return rc;
    if (m->request != request)
        return cofre_fail(err, COFRE_MALFORMED, "the answer is to request %" PRIu32, m->request);
    if (m->flags != (VERSION | REPLY))
        return cofre_fail(err, COFRE_MALFORMED, "the answer's flags are 0x%" PRIx32, m->flags);
    if (m->size != size)
        return cofre_fail(err, COFRE_MALFORMED, "the answer has %" PRIu32 " bytes instead of %" PRIu32,
                          m->size, size);
    return receive(b, &m->u64, size, deadline, err);
}

/* Sends m, whose request and payload are set, and receives its answer of so many bytes into it. With answer 0 the protocol
 * has none; then the back end says that it took the message, where it can. */
static int exchange(struct vhost_user *b, struct message *m, const int *fd, size_t fds, uint32_t answer,
                    struct cofre_err *err)
{
    enum request request = m->request;
    bool acknowledged = !answer && (b->protocol & 1u << VHOST_USER_REPLY_ACK);
    int64_t deadline = now() + b->patience;
    if (b->fd < 0 || b->ended)
        return cofre_fail(err, COFRE_FAILED, "back end %s: the connection has ended", b->path);
    m->flags = VERSION | (acknowledged ? NEED_REPLY : 0);
    int rc = send_message(b, m, fd, fds, deadline, err);
    if (rc == 0 && (answer || acknowledged))
        rc = receive_answer(b, m, request, answer ? answer : sizeof m->u64, deadline, err);
    if (rc == 0 && acknowledged && m->u64)
        rc = cofre_fail(err, COFRE_FAILED, "refused with %" PRIu64, m->u64);
    if (rc == 0)
        return 0;
    vhost_user_end(b);
    return cofre_within(err, rc, "back end %s: %s", b->path, names[request]);
}

static int get_u64(struct vhost_user *b, enum request request, uint64_t *out, struct cofre_err *err)
{
    struct message m = {.request = request};
    int rc = exchange(b, &m, NULL, 0, sizeof m.u64, err);
    *out = m.u64;
    return rc;
}

static int set_u64(struct vhost_user *b, enum request request, uint64_t value, struct cofre_err *err)
{
    struct message m = {.request = request, .size = sizeof m.u64, .u64 = value};
    return exchange(b, &m, NULL, 0, 0, err);
}

static int set_state(struct vhost_user *b, enum request request, uint32_t index, uint32_t num,
                     struct cofre_err *err)
{
    struct message m = {.request = request, .size = sizeof m.state, .state = {index, num}};
    return exchange(b, &m, NULL, 0, 0, err);
}

static int set_event(struct vhost_user *b, enum request request, uint32_t index, int event,
                     struct cofre_err *err)
{
    struct message m = {.request = request, .size = sizeof m.u64, .u64 = index};
    return exchange(b, &m, &event, 1, 0, err);
}

int vhost_user_connect(struct vhost_user *b, const char *path, struct cofre_err *err)
{
    *b = (struct vhost_user){.path = path, .patience = VHOST_USER_PATIENCE, .queues = UINT32_MAX};
    b->fd = unix_connect(path);
    if (b->fd < 0)
        return cofre_fail(err, COFRE_LACKING, "back end %s: %s; start it before the guest", path,
                          errno == EAGAIN ? "it is busy with others" : strerror(errno));
    return 0;
}

/* The protocol's own features stay unknown to a back end that does not offer to talk of them. */
static int agree(struct vhost_user *b, struct cofre_err *err)
{
    uint64_t offered = 0, queues;
    if (!(b->features >> FEATURE_PROTOCOL & 1))
        return 0;
    int rc = get_u64(b, GET_PROTOCOL_FEATURES, &offered, err);
    if (rc == 0)
        rc = set_u64(b, SET_PROTOCOL_FEATURES, offered & PROTOCOL_KNOWN, err);
    if (rc)
        return rc;
    b->protocol = offered & PROTOCOL_KNOWN;
    if (!(b->protocol & 1u << VHOST_USER_MQ))
        return 0;
    rc = get_u64(b, GET_QUEUE_NUM, &queues, err);
    b->queues = queues < UINT32_MAX ? (uint32_t)queues : UINT32_MAX;
    return rc;
}

int vhost_user_greet(struct vhost_user *b, struct cofre_err *err)
{
    struct message owner = {.request = SET_OWNER};
    int rc = get_u64(b, GET_FEATURES, &b->features, err);
    if (rc == 0)
        rc = agree(b, err);
    return rc ? rc : exchange(b, &owner, NULL, 0, 0, err);
}

void vhost_user_close(struct vhost_user *b)
{
    cleanup_close(&b->fd);
    b->fd = -1;
}

int vhost_user_config(struct vhost_user *b, void *out, uint32_t len, struct cofre_err *err)
{
    struct message m = {.request = GET_CONFIG, .config.size = len};
    m.size = (uint32_t)(offsetof(struct message, config.data) - HEADER_SIZE) + len;
    if (!(b->protocol & 1u << VHOST_USER_CONFIG))
        return cofre_fail(err, COFRE_LACKING, "back end %s: it cannot tell the device's configuration",
                          b->path);
    int rc = exchange(b, &m, NULL, 0, m.size, err);
    if (rc)
        return rc;
    if (m.config.offset != 0 || m.config.size != len) {
        vhost_user_end(b);
        return cofre_fail(err, COFRE_MALFORMED, "back end %s: GET_CONFIG: the answer is another part",
                          b->path);
    }
    memcpy(out, m.config.data, len);
    return 0;
}

int vhost_user_set_features(struct vhost_user *b, uint64_t features, struct cofre_err *err)
{
    return set_u64(b, SET_FEATURES, features | (b->features & 1ull << FEATURE_PROTOCOL), err);
}

int vhost_user_set_memory(struct vhost_user *b, const struct guest_memory *mem, struct cofre_err *err)
{
    struct message m = {.request = SET_MEM_TABLE};
    int fd[REGIONS_MAX];
    for (size_t i = 0; i < mem->count; i++) {
        const struct guest_region *r = &mem->region[i];
        if (r->fd < 0)
            continue;
        fd[m.memory.count] = r->fd;
        m.memory.region[m.memory.count++] = (struct region){r->gpa, r->len, r->gpa, r->offset};
    }
    m.size = (uint32_t)(sizeof m.u64 + m.memory.count * sizeof m.memory.region[0]);
    return exchange(b, &m, fd, m.memory.count, 0, err);
}

/* The kick is what starts a ring, so it comes after all that the back end needs for it. */
int vhost_user_start_ring(struct vhost_user *b, uint32_t index, const struct vhost_user_ring *ring,
                          struct cofre_err *err)
{
    const struct queue_rings *r = &ring->rings;
    struct message address = {.request = SET_VRING_ADDR,
                              .size = sizeof address.address,
                              .address = {index, 0, r->desc, r->used, r->avail, 0}};
    int rc = set_state(b, SET_VRING_NUM, index, r->size, err);
    if (rc == 0)
        rc = set_state(b, SET_VRING_BASE, index, ring->base, err);
    if (rc == 0)
        rc = exchange(b, &address, NULL, 0, 0, err);
    if (rc == 0)
        rc = set_event(b, SET_VRING_ERR, index, ring->error, err);
    if (rc == 0)
        rc = set_event(b, SET_VRING_CALL, index, ring->call, err);
    if (rc == 0)
        rc = set_event(b, SET_VRING_KICK, index, ring->kick, err);
    if (rc || !(b->features >> FEATURE_PROTOCOL & 1))
        return rc;
    return set_state(b, SET_VRING_ENABLE, index, 1, err);
}

int vhost_user_stop_ring(struct vhost_user *b, uint32_t index, struct cofre_err *err)
{
    struct message m = {.request = GET_VRING_BASE, .size = sizeof m.state, .state = {index, 0}};
    int rc = exchange(b, &m, NULL, 0, sizeof m.state, err);
    if (rc == 0 && m.state.index != index) {
        vhost_user_end(b);
        return cofre_fail(err, COFRE_MALFORMED, "back end %s: GET_VRING_BASE: the answer is of ring %" PRIu32,
                          b->path, m.state.index);
    }
    return rc;
}
