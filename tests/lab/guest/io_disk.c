/* Disks, past the page cache. */
#include "tests/lab/guest/io_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOADS     (sizeof loads / sizeof loads[0])
#define DEPTH_MAX 16
#define LEN_MAX   (1u << 20)

struct load {
    const char *name;
    uint16_t opcode; /* of aio */
    bool random;
    uint32_t len;
    unsigned depth; /* 0: one after the other, each flushed, as a journal does */
};

static const struct load loads[] = {
    {"read-4k", IOCB_CMD_PREAD, true, 4096, 1},      {"write-4k", IOCB_CMD_PWRITE, true, 4096, 1},
    {"read-4k-16", IOCB_CMD_PREAD, true, 4096, 16},  {"write-4k-16", IOCB_CMD_PWRITE, true, 4096, 16},
    {"read-1m", IOCB_CMD_PREAD, false, 1u << 20, 2}, {"write-1m", IOCB_CMD_PWRITE, false, 1u << 20, 2},
    {"flush", IOCB_CMD_PWRITE, false, 4096, 0},
};

struct disk {
    int fd;
    uint64_t size, state; /* state: of the random numbers */
    uint8_t *data;        /* LEN_MAX a request */
    aio_context_t aio;
    struct iocb cb[DEPTH_MAX];
};

static uint64_t place(struct disk *d, const struct load *load, unsigned i)
{
    if (!load->random)
        return (uint64_t)i * load->len % (d->size - d->size % load->len);
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (d->state >> 33) % (d->size / load->len) * load->len;
}

static void ask(struct disk *d, const struct load *load, unsigned slot, unsigned i)
{
    struct iocb *cb = &d->cb[slot];
    *cb = (struct iocb){.aio_data = slot,
                        .aio_lio_opcode = load->opcode,
                        .aio_fildes = (uint32_t)d->fd,
                        .aio_buf = (uintptr_t)d->data + (uint64_t)slot * LEN_MAX,
                        .aio_nbytes = load->len,
                        .aio_offset = (int64_t)place(d, load, i)};
    if (syscall(SYS_io_submit, d->aio, 1, &cb) != 1)
        die("io_submit");
}

/* Until it has run long enough; what is then under way is waited for, and counted. */
static struct piece run_load(struct disk *d, const struct load *load)
{
    struct io_event event[DEPTH_MAX];
    unsigned asked = 0, done = 0;
    const uint64_t since = now();
    for (; asked < load->depth; asked++)
        ask(d, load, asked, asked);
    while (done < asked) {
        long n = syscall(SYS_io_getevents, d->aio, 1, DEPTH_MAX, event, NULL);
        if (n < 1)
            die("io_getevents");
        bool more = now() - since < ENOUGH;
        for (long i = 0; i < n; i++, done++) {
            errno = event[i].res < 0 ? (int)-event[i].res : EIO;
            if (event[i].res != (int64_t)load->len)
                die(load->name);
            if (more)
                ask(d, load, (unsigned)event[i].data, asked++);
        }
    }
    return (struct piece){done, now() - since};
}

static struct piece run_flushes(struct disk *d, const struct load *load)
{
    const uint64_t since = now();
    unsigned done = 0;
    for (; now() - since < ENOUGH; done++)
        if (pwrite(d->fd, d->data, load->len, (off_t)(done % 256) * load->len) != load->len ||
            fdatasync(d->fd) < 0)
            die(load->name);
    return (struct piece){done, now() - since};
}

struct disk *disk_open(const char *path)
{
    struct disk *d = calloc(1, sizeof *d);
    uint8_t *data = aligned_alloc(4096, DEPTH_MAX * LEN_MAX);
    int fd = open(path, O_RDWR | O_DIRECT);
    if (!d || !data || fd < 0)
        die(path);
    *d = (struct disk){.fd = fd, .data = data};
    if (ioctl(d->fd, BLKGETSIZE64, &d->size) < 0 || d->size < LEN_MAX)
        die(path);
    if (syscall(SYS_io_setup, DEPTH_MAX, &d->aio) < 0)
        die("io_setup");
    memset(d->data, 0x5a, DEPTH_MAX * LEN_MAX);
    return d;
}

const char *disk_load(unsigned index)
{
    return index < LOADS ? loads[index].name : NULL;
}

struct piece disk_run(struct disk *d, unsigned index)
{
    if (index >= LOADS)
        die("an order for no load");
    return loads[index].depth ? run_load(d, &loads[index]) : run_flushes(d, &loads[index]);
}
