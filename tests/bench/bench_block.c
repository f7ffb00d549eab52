/*
 * The disk without a guest: requests by its rings, beside the same operations by io_uring alone (as fio does them) on the
 * same file, as many under way. Rounds of both take turns, and of each the fastest counts, by the clock on the wall, for
 * all of it are several threads and the kernel's; processor time of all threads is shown besides.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/bench/bench.h"
#include "tests/unit/devices/driver.h"
#include "vmm/base/bytes.h"
#include "vmm/devices/block.h"

#define FILE_SIZE (256u << 20)
#define UNDER_WAY DRIVER_QUEUE
#define DATA_GPA  0x40000000ull
#define DATA_SIZE ((uint64_t)UNDER_WAY << 20)
#define HEADERS   (DRIVER_GPA + DRIVER_BUFFER) /* 256 bytes a request: header, status, table */
#define ROUNDS    7

#define FEATURE_FLUSH     (1ull << 9)
#define FEATURE_INDIRECT_ (1ull << 28)
#define FEATURE_EVENT     (1ull << 29)

struct load {
    const char *name;
    bool write, random;
    uint32_t len;
    unsigned count; /* operations of a round */
};

static const struct load loads[] = {
    {"4 KiB random read", false, true, 4096, 8192},
    {"4 KiB random write", true, true, 4096, 8192},
    {"1 MiB sequential read", false, false, 1u << 20, 256},
    {"1 MiB sequential write", true, false, 1u << 20, 256},
};

/* What the page cache has costs io_uring alone no change of threads, and a disk two; so there is no bound on that. */
static const struct mode {
    const char *name, *options;
    int flags;
    double aim, least; /* of io_uring's speed */
} modes[] = {
    {"direct", ",direct", O_DIRECT, 0.8, 0.3},
    {"page cache", "", 0, 0, 0},
};

struct bench_disk {
    char path[64];
    int fd; /* opened as the device has it open */
    uint8_t *data;
    struct driver d;
    struct io_uring ring;
    uint64_t state; /* of the random numbers */
};

static uint64_t place(struct bench_disk *k, const struct load *load, unsigned i)
{
    if (!load->random)
        return (uint64_t)i * load->len % FILE_SIZE;
    k->state = k->state * 6364136223846793005u + 1442695040888963407u;
    return (k->state >> 33) % (FILE_SIZE / load->len) * load->len;
}

static double clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- by the disk's rings, as Linux drives them: a table of descriptors a request, notified and interrupted at need */

static void put_request(struct bench_disk *k, const struct load *load, unsigned slot, uint64_t offset)
{
    struct driver_queue *q = &k->d.queue[0];
    uint64_t here = HEADERS + 256ull * slot;
    struct desc *table = at(&k->d, here + 64);
    put_le32(at(&k->d, here), load->write);
    put_le64((uint8_t *)at(&k->d, here) + 8, offset / 512);
    table[0] = (struct desc){here, 16, DESC_NEXT, 1};
    table[1] = (struct desc){DATA_GPA + ((uint64_t)slot << 20), load->len,
                             DESC_NEXT | (load->write ? 0 : DESC_WRITE), 2};
    table[2] = (struct desc){here + 32, 1, DESC_WRITE, 0};
    *(uint8_t *)at(&k->d, here + 32) = 0xff;
    q->desc[slot] = (struct desc){here + 64, 3 * sizeof *table, DESC_INDIRECT, 0};
    q->avail[2 + q->next_avail++ % q->size] = (uint16_t)slot;
}

static void publish(struct bench_disk *k)
{
    struct driver_queue *q = &k->d.queue[0];
    uint16_t before = q->avail[1], event;
    __atomic_store_n(&q->avail[1], q->next_avail, __ATOMIC_SEQ_CST);
    event = __atomic_load_n(&q->used[2 + 4 * q->size], __ATOMIC_SEQ_CST);
    if ((uint16_t)(q->next_avail - event - 1) < (uint16_t)(q->next_avail - before))
        driver_notify(&k->d, 0);
}

static bool has_come(struct driver_queue *q)
{
    return __atomic_load_n(&q->used[1], __ATOMIC_SEQ_CST) != q->next_used;
}

static void wait_for_one(struct bench_disk *k)
{
    struct driver_queue *q = &k->d.queue[0];
    __atomic_store_n(&q->avail[2 + q->size], q->next_used, __ATOMIC_SEQ_CST); /* interrupt at the next */
    pthread_mutex_lock(&k->d.lock);
    while (!has_come(q))
        pthread_cond_wait(&k->d.arrived, &k->d.lock);
    pthread_mutex_unlock(&k->d.lock);
}

static void by_disk(struct bench_disk *k, const struct load *load)
{
    struct driver_queue *q = &k->d.queue[0];
    unsigned asked = 0;
    for (; asked < UNDER_WAY; asked++)
        put_request(k, load, asked, place(k, load, asked));
    publish(k);
    for (unsigned done = 0; done < load->count;) {
        wait_for_one(k);
        while (has_come(q)) {
            const uint8_t *element = (const uint8_t *)q->used + 4 + 8 * (q->next_used++ % q->size);
            unsigned slot = le32(element);
            BENCH_CHECK(*(uint8_t *)at(&k->d, HEADERS + 256ull * slot + 32) == 0);
            done++;
            if (asked < load->count)
                put_request(k, load, slot, place(k, load, asked++));
        }
        publish(k);
    }
}

/* ---- by io_uring alone */

static void ask(struct bench_disk *k, const struct load *load, unsigned slot, uint64_t offset)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&k->ring);
    BENCH_CHECK(sqe);
    if (load->write)
        io_uring_prep_write(sqe, k->fd, k->data + ((uint64_t)slot << 20), load->len, offset);
    else
        io_uring_prep_read(sqe, k->fd, k->data + ((uint64_t)slot << 20), load->len, offset);
    io_uring_sqe_set_data64(sqe, slot);
}

static void by_io_uring(struct bench_disk *k, const struct load *load)
{
    struct io_uring_cqe *cqe;
    unsigned asked = 0;
    for (; asked < UNDER_WAY; asked++)
        ask(k, load, asked, place(k, load, asked));
    for (unsigned done = 0; done < load->count;) {
        BENCH_CHECK(io_uring_submit_and_wait(&k->ring, 1) >= 0);
        while (io_uring_peek_cqe(&k->ring, &cqe) == 0) {
            unsigned slot = (unsigned)cqe->user_data;
            BENCH_CHECK(cqe->res == (int)load->len);
            io_uring_cqe_seen(&k->ring, cqe);
            done++;
            if (asked < load->count)
                ask(k, load, slot, place(k, load, asked++));
        }
    }
}

struct best {
    double seconds, processor;
};

static void take_time(struct best *best, struct bench_disk *k, const struct load *load,
                      void (*go)(struct bench_disk *, const struct load *))
{
    double wall = clock_of(CLOCK_MONOTONIC), processor = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    go(k, load);
    wall = clock_of(CLOCK_MONOTONIC) - wall;
    processor = clock_of(CLOCK_PROCESS_CPUTIME_ID) - processor;
    if (wall < best->seconds)
        best->seconds = wall;
    if (processor < best->processor)
        best->processor = processor;
}

static bool measure(struct bench_disk *k, const struct mode *mode, const struct load *load)
{
    struct best disk = {1e9, 1e9}, alone = {1e9, 1e9};
    char figure[64];
    for (unsigned round = 0; round < ROUNDS; round++) {
        k->state = round;
        take_time(&disk, k, load, by_disk);
        k->state = round;
        take_time(&alone, k, load, by_io_uring);
    }
    snprintf(figure, sizeof figure, "a disk's rings without a guest, %s", mode->name);
    double ratio = bench_print((struct bench_figure){.figure = figure,
                                                     .of = load->name,
                                                     .unit = "a second",
                                                     .value = load->count / disk.seconds,
                                                     .beside = "io_uring alone",
                                                     .beside_value = load->count / alone.seconds,
                                                     .aim = mode->aim});
    printf("%s: %.2f times io_uring's processor time\n", load->name, disk.processor / alone.processor);
    return !bench_is_fault(load->name, ratio, mode->least);
}

static void make_file(struct bench_disk *k)
{
    strcpy(k->path, "/var/tmp/cofre-bench-XXXXXX");
    int fd = mkstemp(k->path);
    BENCH_CHECK(fd >= 0);
    for (uint64_t offset = 0; offset < FILE_SIZE; offset += DATA_SIZE)
        BENCH_CHECK(pwrite(fd, k->data, DATA_SIZE, (off_t)offset) == (ssize_t)DATA_SIZE);
    BENCH_CHECK(fsync(fd) == 0);
    close(fd);
}

static bool measure_mode(struct bench_disk *k, const struct mode *mode)
{
    struct virtio_device *device;
    struct cofre_err err;
    char spec[128];
    bool well = true;
    snprintf(spec, sizeof spec, "%s%s", k->path, mode->options);
    if (virtio_block_new(&device, spec, &err)) {
        printf("%s: %s\n", mode->name, err.text);
        return true;
    }
    k->fd = open(k->path, O_RDWR | mode->flags);
    BENCH_CHECK(k->fd >= 0 && io_uring_queue_init(UNDER_WAY, &k->ring, IORING_SETUP_COOP_TASKRUN) == 0);
    driver_open(&k->d, device);
    BENCH_CHECK(guest_memory_add(&k->d.mem, DATA_GPA, DATA_SIZE, k->data, NULL) == 0);
    driver_go(&k->d, FEATURE_FLUSH | FEATURE_INDIRECT_ | FEATURE_EVENT);
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        well &= measure(k, mode, &loads[i]);
    driver_close(&k->d);
    io_uring_queue_exit(&k->ring);
    close(k->fd);
    return well;
}

int main(void)
{
    struct bench_disk k = {.data = aligned_alloc(4096, DATA_SIZE)};
    BENCH_CHECK(k.data);
    memset(k.data, 0x5a, DATA_SIZE);
    make_file(&k);
    bool well = true;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        well &= measure_mode(&k, &modes[i]);
    unlink(k.path);
    free(k.data);
    return well ? 0 : 1;
}
