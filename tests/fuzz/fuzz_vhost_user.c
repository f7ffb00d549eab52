/*
 * A back end against the vhost-user front end: the input is all that it ever says, at once, then it closes its side. The
 * first byte says which piece of it brings a descriptor. A whole session is tried.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/vhost_user.h"

#define PIECE      16
#define INPUT_MAX  4096
#define CONFIG_LEN 60
#define NO_PIECE   0xff

static struct guest_memory mem;
static int event = -1;

static void prepare(void)
{
    int memory = memfd_create("guest", 0);
    event = eventfd(0, 0);
    if (memory < 0 || event < 0 || ftruncate(memory, 0x10000) ||
        guest_memory_add_file(&mem, 0, 0x10000, &mem, memory, 0, NULL))
        abort();
}

static void say(int fd, const uint8_t *data, size_t len, bool with_descriptor)
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
        memcpy(CMSG_DATA(c), &event, sizeof event);
    }
    if (sendmsg(fd, &header, MSG_NOSIGNAL) != (ssize_t)len)
        abort();
}

static int session(struct vhost_user *b, uint8_t config[CONFIG_LEN], struct cofre_err *err)
{
    const struct vhost_user_ring ring = {{16, 0, 0x1000, 0x2000}, 0, event, event, event};
    int rc = vhost_user_greet(b, err);
    if (rc == 0 && (b->protocol & 1u << VHOST_USER_CONFIG))
        rc = vhost_user_config(b, config, CONFIG_LEN, err);
    if (rc == 0)
        rc = vhost_user_set_features(b, b->features, err);
    if (rc == 0)
        rc = vhost_user_set_memory(b, &mem, err);
    if (rc == 0)
        rc = vhost_user_start_ring(b, 0, &ring, err);
    return rc ? rc : vhost_user_stop_ring(b, 0, err);
}

static int lowest_free(void)
{
    int fd = dup(event);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2];
    uint8_t config[CONFIG_LEN + 1] = {[CONFIG_LEN] = 0x5a};
    struct cofre_err err = {{0}};
    if (event < 0)
        prepare();
    int before = lowest_free();
    if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
        return 0;
    size = size > INPUT_MAX ? INPUT_MAX : size;
    for (size_t at = 1, n = 0; at < size; at += PIECE, n++)
        say(pair[1], data + at, size - at < PIECE ? size - at : PIECE, n == data[0]);
    (void)shutdown(pair[1], SHUT_WR);
    struct vhost_user b = {.fd = pair[0], .path = "fuzz", .patience = 20000, .queues = UINT32_MAX};
    int rc = session(&b, config, &err);
    FUZZ_CHECK((rc == 0) == !b.ended && (rc == 0) == !err.text[0]);
    FUZZ_CHECK(config[CONFIG_LEN] == 0x5a);
    FUZZ_CHECK((b.protocol & ~0x209u) == 0);
    vhost_user_close(&b);
    close(pair[1]);
    FUZZ_CHECK(lowest_free() == before); /* no descriptor of the back end's was kept */
    return 0;
}

static size_t put_answer(uint8_t *out, uint32_t request, const void *payload, uint32_t len)
{
    put_le32(out, request);
    put_le32(out + 4, 5);
    put_le32(out + 8, len);
    memcpy(out + 12, payload, len);
    return 12 + len;
}

static size_t put_u64(uint8_t *out, uint32_t request, uint64_t value)
{
    uint8_t payload[8];
    put_le64(payload, value);
    return put_answer(out, request, payload, sizeof payload);
}

/* A back end without the protocol's own features, one with all, and one without acknowledgements. */
size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint64_t protocols[] = {0, 0x209, 0x201};
    static const uint8_t acknowledged[] = {2, 5, 8, 10, 9, 14, 13, 12, 18};
    uint8_t config[12 + CONFIG_LEN] = {0}, state[8] = {0};
    if (index >= 3)
        return 0;
    uint64_t protocol = protocols[index];
    size_t n = 1;
    out[0] = NO_PIECE;
    put_le32(config + 4, CONFIG_LEN);
    n += put_u64(out + n, 1, 1ull << 32 | (protocol ? 1ull << 30 : 0));
    n += protocol ? put_u64(out + n, 15, protocol) : 0;
    n += protocol ? put_u64(out + n, 17, 2) : 0;
    n += protocol & 8 ? put_u64(out + n, 3, 0) : 0;
    n += protocol ? put_answer(out + n, 24, config, sizeof config) : 0;
    for (unsigned i = 0; protocol & 8 && i < sizeof acknowledged; i++)
        n += put_u64(out + n, acknowledged[i], 0);
    return n + put_answer(out + n, 11, state, sizeof state);
}
