/*
 * A hostile driver against each kind of device, with split and packed rings: a thousand rounds of seeded faults in rings,
 * buffers, registers and configuration space. After each the device is dead (it needs a reset) or right (it answers a
 * request as it should), and after a reset it works. The sanitizers watch the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/devices/disk.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"
#include "vmm/devices/console.h"
#include "vmm/devices/entropy.h"
#include "vmm/devices/net.h"
#include "vmm/devices/virtio_pci.h"
#include "vmm/devices/vsock.h"

#define ROUNDS   1000
#define PATIENCE 60      /* seconds: a device that hangs, not one that is slow */
#define AREA     0x4000u /* of one queue's rings, in the driver's memory */
#define BUFFERS  (DRIVER_GPA + DRIVER_BUFFER)
#define BUFFER   0x1000u
#define PROBE    (BUFFERS + 64 * BUFFER) /* buffers of probes lie apart */
#define RING_AT  0x800u                  /* of a packed ring in its area */

struct hostile {
    struct driver d;
    const struct kind *kind;
    uint32_t seed, bar;
    uint64_t features;
    bool dead;
    unsigned deaths, answers;
    char path[64];
    int out; /* a console's output, or a disk's file */
    uint8_t frame[64];
    unsigned frame_len;
};

struct kind {
    const char *name;
    int (*new)(struct hostile *h, struct virtio_device **device);
    unsigned queue;                   /* to which requests go */
    bool (*right)(struct hostile *h); /* asks and compares; false: the device died of it */
};

static uint32_t below(struct hostile *h, uint32_t n)
{
    h->seed = h->seed * 1664525u + 1013904223u;
    return (h->seed >> 8) % n;
}

static uint64_t wild(struct hostile *h)
{
    const uint64_t values[] = {
        0,      1,          UINT16_MAX,          UINT32_MAX, UINT64_MAX,
        0x8000, DRIVER_GPA, DRIVER_GPA + 0x1234, 1ull << 47, DRIVER_GPA + DRIVER_MEMORY - 1};
    uint32_t pick = below(h, 2 * sizeof values / sizeof *values);
    return pick < sizeof values / sizeof *values ? values[pick]
                                                 : (uint64_t)below(h, 1 << 24) * below(h, 1 << 24);
}

/* The device's own words on where it stands, which a real driver would not have */

static bool broken(struct hostile *h)
{
    uint8_t status = h->d.device->status;
    return !(status & STATUS_DRIVER_OK) || (status & STATUS_NEEDS_RESET);
}

static unsigned unanswered(const struct virtqueue *q)
{
    return q->packed ? q->out : (uint16_t)(q->next_avail - q->next_used);
}

static bool idle(struct hostile *h)
{
    struct virtio_device *device = h->d.device;
    bool idle = true;
    virtio_lock(device);
    for (unsigned i = 0; i < device->queues; i++) {
        struct pollfd kick = {.fd = device->queue[i].kick.fd, .events = POLLIN};
        idle &= poll(&kick, 1, 0) == 0;
    }
    idle &= broken(h) || unanswered(&device->queue[h->kind->queue].ring) == 0;
    virtio_unlock(device);
    return idle;
}

static void settle(struct hostile *h)
{
    time_t end = time(NULL) + PATIENCE;
    while (!idle(h)) {
        sched_yield();
        if (time(NULL) > end)
            fail_msg("%s does not come to rest", h->kind->name);
    }
}

/* Requests */

static uint16_t free_head(struct hostile *h, unsigned queue)
{
    const struct virtqueue *q = &h->d.device->queue[queue].ring;
    uint16_t head = 0;
    while (head < DRIVER_QUEUE - 2 && q->packed && q->taken[head])
        head++;
    return head;
}

static uint16_t ask(struct hostile *h, unsigned queue, uint64_t at, uint32_t out, uint32_t in)
{
    struct desc *desc = h->d.queue[queue].desc;
    uint16_t head = free_head(h, queue), second = (uint16_t)((head + 1) % DRIVER_QUEUE);
    if (out)
        desc[head] = (struct desc){at, out, in ? DESC_NEXT : 0, second};
    if (in)
        desc[out ? second : head] = (struct desc){at + 0x800, in, DESC_WRITE, 0};
    driver_post(&h->d, queue, head);
    return head;
}

/* False when the device died of it instead. */
static bool came(struct hostile *h, unsigned queue)
{
    time_t end = time(NULL) + PATIENCE;
    while (!driver_came_back(&h->d, queue)) {
        if (broken(h))
            return false;
        sched_yield();
        if (time(NULL) > end)
            fail_msg("%s, queue %u: neither an answer nor a request for a reset", h->kind->name, queue);
    }
    return true;
}

static bool answered(struct hostile *h, uint32_t out, uint32_t in, uint32_t *written)
{
    uint16_t id, head = ask(h, h->kind->queue, PROBE, out, in);
    if (!came(h, h->kind->queue))
        return false;
    *written = driver_wait(&h->d, h->kind->queue, &id);
    assert_int_equal(id, head);
    return true;
}

/* The kinds */

static int new_block(struct hostile *h, struct virtio_device **device)
{
    h->out = memfd_create("disk", MFD_CLOEXEC);
    assert_int_equal(ftruncate(h->out, 64 * 512), 0);
    (void)snprintf(h->path, sizeof h->path, "/proc/self/fd/%d", h->out);
    return virtio_block_new(device, h->path, NULL);
}

static bool block_right(struct hostile *h)
{
    uint8_t expected[512], *header = at(&h->d, PROBE);
    uint32_t written;
    for (uint32_t type = WRITE + 1; type-- > READ;) {
        memset(header, 0, 16);
        put_le32(header, type);
        put_le64(header + 8, 5);
        memset(header + 16, 0x5a, 512);
        if (!answered(h, type == WRITE ? 16 + 512 : 16, type == WRITE ? 1 : 513, &written))
            return false;
        assert_int_equal(written, type == WRITE ? 1 : 513);
        assert_int_equal(header[type == WRITE ? 0x800 : 0x800 + 512], OK);
    }
    assert_int_equal(pread(h->out, expected, 512, 5 * 512), 512);
    assert_memory_equal(header + 0x800, expected, 512);
    assert_memory_equal(header + 16, expected, 512);
    return true;
}

static int new_console(struct hostile *h, struct virtio_device **device)
{
    h->out = memfd_create("console", MFD_CLOEXEC);
    assert_int_equal(fcntl(h->out, F_SETFL, O_RDWR | O_APPEND), 0);
    return virtio_console_new(device, -1, h->out, NULL);
}

static bool console_right(struct hostile *h)
{
    char text[16] = "";
    uint32_t written;
    assert_int_equal(ftruncate(h->out, 0), 0);
    memcpy(at(&h->d, PROBE), "still here", 10);
    if (!answered(h, 10, 0, &written))
        return false;
    assert_int_equal(pread(h->out, text, sizeof text, 0), 10);
    assert_string_equal(text, "still here");
    return true;
}

static int new_entropy(struct hostile *h, struct virtio_device **device)
{
    (void)h;
    return virtio_entropy_new(device, NULL);
}

static bool entropy_right(struct hostile *h)
{
    static const uint8_t zeroes[64];
    uint32_t written;
    memset(at(&h->d, PROBE + 0x800), 0, 64);
    if (!answered(h, 0, 64, &written))
        return false;
    assert_int_equal(written, 64);
    assert_memory_not_equal(at(&h->d, PROBE + 0x800), zeroes, 64);
    return true;
}

static enum net_outcome catch_frame(struct net_backend *b, unsigned pair, struct iovec *iov, unsigned count);
static enum net_outcome receive_nothing(struct net_backend *b, unsigned pair, const struct iovec *iov,
                                        unsigned count, size_t *len)
{
    (void)b, (void)pair, (void)iov, (void)count, (void)len;
    return NET_LATER;
}

struct wire {
    struct net_backend backend;
    struct hostile *h;
    int other;
};

static void wire_free(struct net_backend *b)
{
    close(b->fd[0]);
    close(((struct wire *)b)->other);
    free(b);
}

static enum net_outcome catch_frame(struct net_backend *b, unsigned pair, struct iovec *iov, unsigned count)
{
    struct hostile *h = ((struct wire *)b)->h;
    size_t len = 0;
    (void)pair;
    for (unsigned i = 1; i < count; i++)
        for (size_t j = 0; j < iov[i].iov_len && len < sizeof h->frame; j++)
            h->frame[len++] = ((uint8_t *)iov[i].iov_base)[j];
    h->frame_len = (unsigned)len;
    return NET_DONE;
}

static int new_net(struct hostile *h, struct virtio_device **device)
{
    static const struct net_backend_ops ops = {
        .send = catch_frame, .receive = receive_nothing, .free = wire_free};
    struct wire *wire = calloc(1, sizeof *wire);
    int ends[2];
    assert_non_null(wire);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    wire->h = h;
    wire->backend =
        (struct net_backend){.ops = &ops, .name = "wire", .pairs = 1, .fd = {ends[0]}, .mtu = 1500};
    wire->other = ends[1];
    return virtio_net_on(device, &wire->backend, NULL, NULL);
}

static bool net_right(struct hostile *h)
{
    uint8_t *packet = at(&h->d, PROBE);
    uint32_t written;
    memset(packet, 0, 12);
    for (uint8_t i = 0; i < 60; i++)
        packet[12 + i] = (uint8_t)(i * 3 + h->seed);
    if (!answered(h, 72, 0, &written))
        return false;
    virtio_lock(h->d.device);
    assert_int_equal(h->frame_len, 60);
    assert_memory_equal(h->frame, packet + 12, 60);
    virtio_unlock(h->d.device);
    return true;
}

static int new_vsock(struct hostile *h, struct virtio_device **device)
{
    (void)snprintf(h->path, sizeof h->path, "/tmp/cofre-hostile-%d", getpid());
    return virtio_vsock_new(device, 3, h->path, (struct vsock_way){vsock_connect, h->path}, NULL);
}

enum { VSOCK_RX = 0, VSOCK_TX = 1, VSOCK_HEADER = 44, VSOCK_OP_REQUEST = 1, VSOCK_OP_RST = 3, ATTEMPTS = 64 };

/* A request to a port where nobody listens is answered with a reset. Buffers that the device took before, by descriptors that
 * were faults, and answers that it owed then come first. */
static bool vsock_right(struct hostile *h)
{
    uint32_t written;
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        uint8_t *packet = at(&h->d, PROBE), *answer = at(&h->d, PROBE + BUFFER + 0x800);
        memset(packet, 0, VSOCK_HEADER);
        put_le64(packet, 3);
        put_le64(packet + 8, 2);
        put_le32(packet + 16, 4321);
        put_le32(packet + 20, 9999);
        put_le16(packet + 28, 1);
        put_le16(packet + 30, VSOCK_OP_REQUEST);
        memset(answer, 0, VSOCK_HEADER);
        (void)ask(h, VSOCK_RX, PROBE + BUFFER, 0, 0x800);
        if (!answered(h, VSOCK_HEADER, 0, &written))
            return false;
        settle(h);
        if (broken(h))
            return false;
        if (le16(answer + 30) == VSOCK_OP_RST && le32(answer + 16) == 9999 && le32(answer + 20) == 4321)
            return true;
    }
    fail_msg("vsock: no answer in %d attempts", ATTEMPTS);
    return false;
}

static const struct kind kinds[] = {
    {"block", new_block, 0, block_right},        {"console", new_console, 1, console_right},
    {"entropy", new_entropy, 0, entropy_right},  {"net", new_net, 1, net_right},
    {"vsock", new_vsock, VSOCK_TX, vsock_right},
};

/* Faults */

static void fault_in_ring(struct hostile *h)
{
    static const struct {
        uint32_t at, len;
    } split[] = {{0, 128}, {0x1000, 40}, {0x2000, 140}, {0x3000, 0x1000}},
      packed[] = {{RING_AT, 256}, {RING_AT, 128}, {0x1000, 4}, {0x3000, 0x1000}};
    uint32_t part = below(h, sizeof split / sizeof *split), area = below(h, h->d.device->queues) * AREA;
    uint32_t from = h->d.packed ? packed[part].at : split[part].at;
    uint32_t len = h->d.packed ? packed[part].len : split[part].len;
    h->d.memory[area + from + below(h, len)] ^= (uint8_t)(1u << below(h, 8));
}

static void fault_in_descriptor(struct hostile *h)
{
    uint32_t area = below(h, h->d.device->queues) * AREA;
    uint8_t *desc = h->d.memory + area + (h->d.packed ? RING_AT : 0) + 16 * below(h, 4);
    if (below(h, 2))
        put_le64(desc, wild(h));
    else
        put_le32(desc + 8 + 4 * below(h, 2), (uint32_t)wild(h));
}

static void fault_in_index(struct hostile *h)
{
    uint32_t area = below(h, h->d.device->queues) * AREA;
    put_le16(h->d.memory + area + 0x1000 + 2 * below(h, 4), (uint16_t)wild(h));
}

static void fault_in_buffer(struct hostile *h)
{
    uint8_t *p = at(&h->d, BUFFERS + below(h, 8) * BUFFER);
    put_le64(p + 4 * below(h, 12), wild(h));
}

static void fault_in_register(struct hostile *h)
{
    driver_write(&h->d, h->d.common + below(h, 0x40), 1u << below(h, 4), wild(h));
}

static void fault_in_bar(struct hostile *h)
{
    driver_write(&h->d, h->bar + 0x1000 + below(h, 0x7000), 1u << below(h, 4), wild(h));
}

static void fault_in_configuration(struct hostile *h)
{
    unsigned len = 1u << below(h, 3);
    driver_config_write(&h->d, below(h, 256 / len) * len, len, (uint32_t)wild(h));
}

static void wrong_notification(struct hostile *h)
{
    driver_notify(&h->d, below(h, 32));
}

typedef void fault(struct hostile *h);
static fault *const memory_faults[] = {fault_in_ring,  fault_in_ring,   fault_in_descriptor,
                                       fault_in_index, fault_in_buffer, wrong_notification};
static fault *const register_faults[] = {fault_in_register, fault_in_bar, fault_in_configuration};

/* Something for the device to do, some of it sensible, while the faults come. */
static void post_work(struct hostile *h)
{
    for (unsigned n = 1 + below(h, 4); n; n--) {
        unsigned queue = below(h, h->d.device->queues < 4 ? h->d.device->queues : 4);
        uint64_t buffer = BUFFERS + below(h, 8) * BUFFER;
        uint8_t *header = at(&h->d, buffer);
        memset(header, 0, 64);
        if (below(h, 2)) {
            put_le32(header, below(h, 14));
            put_le64(header + 8, below(h, 70));
        } else {
            put_le64(header, 3);
            put_le64(header + 8, 2);
            put_le32(header + 16, below(h, 3));
            put_le16(header + 28, 1);
            put_le16(header + 30, (uint16_t)below(h, 8));
        }
        (void)ask(h, queue, buffer, below(h, 3) ? 16 + below(h, 100) : 0,
                  below(h, 3) ? 1 + below(h, 1024) : 1);
    }
}

/* PCI's registers as the driver needs them, whatever the faults did to them. */
static void repair(struct hostile *h)
{
    driver_config_write(&h->d, 0x10, 4, h->bar);
    driver_config_write(&h->d, 0x04, 2, 6);
    driver_config_write(&h->d, h->d.msix + 2, 2, 0x8000);
}

/* The rings as they are where device and driver agree that nothing is under way; receivers keep what they took. */
static void agree(struct hostile *h, unsigned queue)
{
    const struct virtqueue *q = &h->d.device->queue[queue].ring;
    struct driver_queue *mine = &h->d.queue[queue];
    mine->next_avail = q->next_avail;
    mine->next_used = q->next_used;
    mine->avail_wrap = q->avail_wrap;
    mine->used_wrap = q->used_wrap;
    if (!q->packed) {
        mine->avail[1] = q->next_avail;
        return;
    }
    for (unsigned i = 0; i < q->size; i++) {
        bool wrap = i >= q->next_avail ? !q->avail_wrap : q->avail_wrap;
        mine->ring[i].flags = wrap ? 0x8080 : 0;
    }
}

static bool set_up_as_before(const struct hostile *h)
{
    for (unsigned i = 0; i < h->d.device->queues; i++)
        if (!h->d.device->queue[i].enabled)
            return false;
    return h->d.device->driver_features == h->features;
}

static void start_anew(struct hostile *h)
{
    uint64_t offered = driver_offered(&h->d) & ~FEATURE_PACKED, event = 1ull << 29;
    uint64_t extra[] = {0, event, offered & ~FEATURES_NEEDED};
    bool packed = h->d.packed;
    driver_go(&h->d, extra[below(h, 3)] | (packed ? FEATURE_PACKED : 0));
    h->features = h->d.device->driver_features;
}

static void answers_as_it_should(struct hostile *h, bool may_die)
{
    if (h->kind->right(h))
        h->answers++;
    else if (may_die)
        h->deaths++;
    else
        fail_msg("%s does not work after a reset", h->kind->name);
}

/* The device is held up in half of the rounds, so that it finds work and faults together. */
static void one_round(struct hostile *h)
{
    bool held = below(h, 2);
    if (held)
        virtio_lock(h->d.device);
    post_work(h);
    for (unsigned n = below(h, 6); n; n--)
        memory_faults[below(h, sizeof memory_faults / sizeof *memory_faults)](h);
    if (held)
        virtio_unlock(h->d.device);
    for (unsigned n = below(h, 3); n; n--)
        register_faults[below(h, sizeof register_faults / sizeof *register_faults)](h);
    for (unsigned i = 0; i < h->d.device->queues; i++)
        driver_notify(&h->d, i);
    repair(h);
    settle(h);
    if (broken(h) || !set_up_as_before(h)) {
        h->deaths++;
    } else {
        virtio_lock(h->d.device);
        for (unsigned i = 0; i < h->d.device->queues; i++)
            agree(h, i);
        virtio_unlock(h->d.device);
        answers_as_it_should(h, true);
    }
    start_anew(h);
    answers_as_it_should(h, false);
}

static void dead_or_right(const struct kind *kind, bool packed)
{
    struct hostile h = {.kind = kind, .seed = 20250311, .out = -1};
    struct virtio_device *device;
    assert_int_equal(kind->new (&h, &device), 0);
    driver_open(&h.d, device);
    h.bar = driver_config_read(&h.d, 0x10, 4);
    h.d.packed = packed;
    start_anew(&h);
    for (unsigned round = 0; round < ROUNDS; round++)
        one_round(&h);
    print_message("# %s, %s rings: %u rounds, dead %u times, right %u times\n", kind->name,
                  packed ? "packed" : "split", ROUNDS, h.deaths, h.answers - ROUNDS);
    assert_true(h.deaths > 0 && h.answers > ROUNDS);
    driver_close(&h.d);
    (void)unlink(h.path);
    if (h.out >= 0)
        close(h.out);
}

static void every_device_is_dead_or_right_with_split_rings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        dead_or_right(&kinds[i], false);
}

static void every_device_is_dead_or_right_with_packed_rings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        dead_or_right(&kinds[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_device_is_dead_or_right_with_split_rings),
        cmocka_unit_test(every_device_is_dead_or_right_with_packed_rings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
