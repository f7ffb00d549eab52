#include "vmm/devices/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/base/bytes.h"
#include "vmm/base/log.h"
#include "vmm/base/number.h"
#include "vmm/devices/block_file.h"
#include "vmm/devices/block_io.h"

#define LOG_ROOM "block"

#define SECTOR      BLOCK_SECTOR
#define SERIAL_SIZE 20

/* virtio 1.2, 5.2.3 */
enum feature {
    SIZE_MAX_ = 1,
    SEG_MAX = 2,
    READ_ONLY = 5,
    BLK_SIZE = 6,
    FLUSH = 9,
    MULTIPLE_QUEUES = 12,
    DISCARD = 13,
    WRITE_ZEROES = 14
};

/* virtio 1.2, 5.2.4: offsets in struct virtio_blk_config. */
enum config {
    CONFIG_CAPACITY = 0,
    CONFIG_SIZE_MAX = 8,
    CONFIG_SEG_MAX = 12,
    CONFIG_BLK_SIZE = 20,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_MAX_DISCARD_SECTORS = 36,
    CONFIG_MAX_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_MAX_ZEROES_SECTORS = 48,
    CONFIG_MAX_ZEROES_SEG = 52,
    CONFIG_ZEROES_MAY_UNMAP = 56,
    CONFIG_SIZE = 60,
};

/* Bounds that the driver is told and that hold for what it asks: one request ends in good time. */
#define SEGMENT_BYTES_MAX (1u << 20)
#define SEGMENTS_MAX      (QUEUE_CHAIN_MAX - 2) /* besides header and status */
#define DISCARD_SECTORS   (1u << 22)
#define ZEROES_SECTORS    (1u << 15)
#define RANGES_MAX        16
#define RANGE_SIZE        16                 /* sector, number of sectors, flags */
#define HEADER_SIZE       16                 /* type, reserved, sector */
#define DEPTH             128                /* requests of one queue under way; others wait in the ring */
#define QUEUES_MAX        VIRTIO_THREADS_MAX /* each has a thread */
#define BOUNCE_SIZE       (1u << 16)
#define ATTEMPTS_MAX      8 /* at an operation that the kernel wants asked again */

/* What a request comes to; PENDING: an operation on the file has been started for it. */
enum status { OK = 0, IOERR = 1, UNSUPPORTED = 2, PENDING = 0x100 };
enum { RANGE_UNMAP = 1 };

struct request {
    struct block_op op; /* first: what comes back from the file is the request */
    const struct request_type *type;
    uint64_t sector;
    uint64_t len, done; /* bytes of the data, or of the range under way, and how many are through */
    uint64_t written;   /* into the chain, status not counted */
    uint64_t asked;     /* bytes that it counts for, of what may be moved in a second */
    unsigned attempts;
    uint8_t *bounce; /* heap: BOUNCE_SIZE bytes, where the guest's buffers are not aligned; else NULL */
    unsigned range, ranges;
    uint8_t range_data[RANGES_MAX * RANGE_SIZE];
    struct request *next; /* of those that are free, or held back */
    struct iovec iov[QUEUE_CHAIN_MAX];
    struct queue_chain chain;
};

/* One queue's requests, served by its thread. */
struct lane {
    struct block *block;
    unsigned index;
    struct block_io *io;
    struct loop_source ready, again; /* again: of no descriptor, for what is held back */
    unsigned busy;                   /* requests under way, or held back */
    bool ending;                     /* those that end now are nobody's any more */
    struct request *free, *requests;
    struct held {
        struct request *first, **end;
    } held[2]; /* back, until the disks' rates let them begin: what only reads, and the rest */
};

struct block {
    struct virtio_device virtio;
    struct block_file file;
    char serial[SERIAL_SIZE];
    struct log_allowance complaints; /* about the host, at the guest's requests */
    unsigned queues, lanes;          /* asked for; made so far */
    struct lane lane[QUEUES_MAX];
};

enum moves { NOTHING = -1, READS = 0, WRITES = 1 };

/* virtio 1.2, 5.2.6. Both functions give what the request has come to; resume is called with the operation's result. */
struct request_type {
    uint32_t number;
    enum moves moves; /* which rates it counts for */
    enum status (*begin)(struct lane *l, struct request *r);
    enum status (*resume)(struct lane *l, struct request *r);
};

static bool in_disk(const struct block *b, uint64_t sector, uint64_t sectors)
{
    uint64_t capacity = b->file.size / SECTOR;
    return sector <= capacity && sectors <= capacity - sector;
}

static enum status host_failed(struct block *b, const char *what, int error)
{
    const char *rest = log_allow(&b->complaints);
    if (rest)
        log_warn("%s: %s: %s; the guest gets an I/O error%s", b->file.path, what, strerror(error), rest);
    return IOERR;
}

static enum status start(struct lane *l, struct request *r)
{
    block_io_start(l->io, &r->op);
    return PENDING;
}

/* Whether the kernel only wants to be asked again, which has an end. */
static bool once_more(struct request *r)
{
    return (r->op.result == -EINTR || r->op.result == -EAGAIN) && r->attempts++ < ATTEMPTS_MAX;
}

static bool data_fits(const struct block *b, const struct request *r)
{
    return r->len % b->file.block == 0 && r->sector % (b->file.block / SECTOR) == 0 &&
           r->len <= (uint64_t)SEGMENTS_MAX * SEGMENT_BYTES_MAX && in_disk(b, r->sector, r->len / SECTOR);
}

static bool aligned(const struct block_file *f, const struct iovec *iov, unsigned count)
{
    uintptr_t all = 0;
    for (unsigned i = 0; i < count && f->align > 1; i++)
        all |= ((uintptr_t)iov[i].iov_base & (f->align - 1)) | (iov[i].iov_len & (f->block - 1));
    return all == 0;
}

/* The rest of the data between chain and file, or a piece of it by way of an aligned buffer of ours. */
static enum status move(struct lane *l, struct request *r)
{
    bool to_guest = r->op.what == BLOCK_READ;
    uint64_t from = (to_guest ? 0 : HEADER_SIZE) + r->done, len = r->len - r->done;
    r->op.offset = r->sector * SECTOR + r->done;
    r->op.iov = r->iov;
    r->op.count = chain_slice(&r->chain, to_guest, from, len, r->iov);
    if (!r->bounce && aligned(&l->block->file, r->iov, r->op.count))
        return start(l, r);
    if (!r->bounce && !(r->bounce = aligned_alloc(BLOCK_ALIGN_MAX, BOUNCE_SIZE)))
        return host_failed(l->block, "buffer", ENOMEM);
    r->iov[0] = (struct iovec){r->bounce, len < BOUNCE_SIZE ? len : BOUNCE_SIZE};
    r->op.count = 1;
    if (!to_guest)
        chain_read(&r->chain, from, r->bounce, r->iov[0].iov_len);
    return start(l, r);
}

/* A driver that did not take FLUSH cannot ask for stable storage, so it has it with every write (5.2.6.2). */
static enum status finish_write(struct lane *l, struct request *r)
{
    if (virtio_has(&l->block->virtio, FLUSH))
        return OK;
    r->op.what = BLOCK_SYNC;
    return start(l, r);
}

static enum status resume_flush(struct lane *l, struct request *r)
{
    if (once_more(r))
        return start(l, r);
    return r->op.result == 0 ? OK : host_failed(l->block, "flush", -r->op.result);
}

static enum status begin_flush(struct lane *l, struct request *r)
{
    r->op.what = BLOCK_SYNC;
    return l->block->file.read_only ? OK : start(l, r);
}

static enum status resume_move(struct lane *l, struct request *r)
{
    if (r->op.what == BLOCK_SYNC)
        return resume_flush(l, r);
    bool to_guest = r->op.what == BLOCK_READ;
    int n = r->op.result;
    if (n < 0 && once_more(r))
        return move(l, r);
    if (n <= 0)
        return host_failed(l->block, to_guest ? "read" : "write", n ? -n : ENODATA);
    if (r->bounce && to_guest)
        chain_write(&r->chain, r->done, r->bounce, (size_t)n);
    r->done += (uint64_t)n;
    if (r->done < r->len)
        return move(l, r);
    r->written = to_guest ? r->len : 0;
    return to_guest ? OK : finish_write(l, r);
}

static enum status begin_read(struct lane *l, struct request *r)
{
    r->asked = r->len = r->chain.writable_len - 1;
    r->op.what = BLOCK_READ;
    if (!data_fits(l->block, r))
        return IOERR;
    return r->len ? move(l, r) : OK;
}

static enum status begin_write(struct lane *l, struct request *r)
{
    r->asked = r->len = r->chain.readable_len - HEADER_SIZE;
    r->op.what = BLOCK_WRITE;
    if (l->block->file.read_only || !data_fits(l->block, r))
        return IOERR;
    return r->len ? move(l, r) : OK;
}

static enum status begin_get_id(struct lane *l, struct request *r)
{
    size_t room = r->chain.writable_len - 1;
    r->written = chain_write(&r->chain, 0, l->block->serial, room < SERIAL_SIZE ? room : SERIAL_SIZE);
    return OK;
}

/* Of the range under way. */
static const uint8_t *range_of(const struct request *r)
{
    return r->range_data + (size_t)r->range * RANGE_SIZE;
}

/* The next range that is not empty, in the way that it is tried first. */
static enum status start_range(struct lane *l, struct request *r, enum block_what discard)
{
    while (r->range < r->ranges && le32(range_of(r) + 8) == 0)
        r->range++;
    if (r->range == r->ranges)
        return OK;
    bool unmap = le32(range_of(r) + 12) & RANGE_UNMAP;
    r->done = 0;
    r->op.what = discard != BLOCK_ZERO ? discard : unmap ? BLOCK_PUNCH : BLOCK_ZERO;
    r->op.offset = le64(range_of(r)) * SECTOR;
    r->op.len = r->len = (uint64_t)le32(range_of(r) + 8) * SECTOR;
    return start(l, r);
}

/* All ranges are copied and checked before the first is touched. */
static enum status begin_ranges(struct lane *l, struct request *r, uint32_t sectors_max,
                                enum block_what discard)
{
    const struct block *b = l->block;
    uint32_t per_block = b->file.block / SECTOR;
    uint64_t len = r->chain.readable_len - HEADER_SIZE;
    if (b->file.read_only || len % RANGE_SIZE || len > sizeof r->range_data)
        return IOERR;
    chain_read(&r->chain, HEADER_SIZE, r->range_data, len);
    r->ranges = (unsigned)(len / RANGE_SIZE);
    for (r->range = 0; r->range < r->ranges; r->range++) {
        uint64_t sector = le64(range_of(r));
        uint32_t sectors = le32(range_of(r) + 8);
        if (le32(range_of(r) + 12) & ~(discard == BLOCK_ZERO ? RANGE_UNMAP : 0u))
            return UNSUPPORTED;
        if (sectors > sectors_max || !in_disk(b, sector, sectors) || (sector | sectors) % per_block)
            return IOERR;
        r->asked += discard == BLOCK_ZERO ? (uint64_t)sectors * SECTOR : 0;
    }
    r->range = 0;
    return start_range(l, r, discard);
}

static enum block_what discard_of(const struct lane *l)
{
    return l->block->file.is_device ? BLOCK_DISCARD : BLOCK_PUNCH;
}

static bool not_possible(int result)
{
    return result == -EOPNOTSUPP || result == -ENODEV;
}

static enum status begin_discard(struct lane *l, struct request *r)
{
    return begin_ranges(l, r, DISCARD_SECTORS, discard_of(l));
}

/* A discard is advice: where the host cannot, it is let go. */
static enum status resume_discard(struct lane *l, struct request *r)
{
    if (once_more(r))
        return start(l, r);
    if (r->op.result < 0 && !not_possible(r->op.result))
        return host_failed(l->block, "discard", -r->op.result);
    r->range++;
    return start_range(l, r, discard_of(l));
}

/* Zeros from one small buffer, as often as needed. */
static enum status write_zeroes(struct lane *l, struct request *r)
{
    static _Alignas(BLOCK_ALIGN_MAX) uint8_t zeroes[(uint64_t)ZEROES_SECTORS * SECTOR / QUEUE_CHAIN_MAX];
    uint64_t left = r->len - r->done;
    r->op.what = BLOCK_WRITE;
    r->op.offset = le64(range_of(r)) * SECTOR + r->done;
    r->op.iov = r->iov;
    for (r->op.count = 0; left; r->op.count++) {
        uint64_t n = left < sizeof zeroes ? left : sizeof zeroes;
        r->iov[r->op.count] = (struct iovec){zeroes, n};
        left -= n;
    }
    return start(l, r);
}

static enum status begin_zeroes(struct lane *l, struct request *r)
{
    return begin_ranges(l, r, ZEROES_SECTORS, BLOCK_ZERO);
}

/* Where the host cannot do it in one way it is done in the next: a hole, zeros that the file system makes, zeros
 * written. */
static enum status resume_zeroes(struct lane *l, struct request *r)
{
    int n = r->op.result;
    if (r->op.what == BLOCK_SYNC)
        return resume_flush(l, r);
    if (n < 0 && once_more(r))
        return start(l, r);
    if (not_possible(n) && r->op.what == BLOCK_PUNCH) {
        r->op.what = BLOCK_ZERO;
        return start(l, r);
    }
    bool writes = r->op.what == BLOCK_WRITE;
    if (not_possible(n) && !writes)
        return write_zeroes(l, r);
    if (n < 0 || (writes && n == 0))
        return host_failed(l->block, "write zeroes", n ? -n : ENODATA);
    r->done += writes ? (uint64_t)n : r->len;
    if (r->done < r->len)
        return write_zeroes(l, r);
    r->range++;
    enum status status = start_range(l, r, BLOCK_ZERO);
    return status == OK ? finish_write(l, r) : status;
}

static enum status begin_unknown(struct lane *l, struct request *r)
{
    (void)l;
    (void)r;
    return UNSUPPORTED;
}

static const struct request_type types[] = {
    {0, READS, begin_read, resume_move},         {1, WRITES, begin_write, resume_move},
    {4, NOTHING, begin_flush, resume_flush},     {8, NOTHING, begin_get_id, NULL},
    {11, WRITES, begin_discard, resume_discard}, {13, WRITES, begin_zeroes, resume_zeroes},
    {UINT32_MAX, NOTHING, begin_unknown, NULL},
};

static const struct request_type *type_of(uint32_t number)
{
    const struct request_type *type = types;
    while (type->number != number && type->begin != begin_unknown)
        type++;
    return type;
}

static void release(struct lane *l, struct request *r)
{
    free(r->bounce);
    r->bounce = NULL;
    r->next = l->free;
    l->free = r;
    l->busy--;
}

static void finish(struct lane *l, struct request *r, enum status status)
{
    uint8_t byte = (uint8_t)status;
    chain_write(&r->chain, r->chain.writable_len - 1, &byte, 1);
    virtio_done(&l->block->virtio, l->index, &r->chain, r->written + 1);
    release(l, r);
}

static void begin(struct lane *l, struct request *r)
{
    enum status status = r->type->begin(l, r);
    if (r->type->moves != NOTHING)
        rates_disk_began(l->block->virtio.rates, r->type->moves == WRITES, r->asked);
    if (status != PENDING)
        finish(l, r, status);
}

/* A request that may not begin yet keeps those of its kind behind it, and no others: a guest that has written too much can read. */
static void hold(struct lane *l, struct request *r)
{
    struct held *held = &l->held[r->type->moves];
    r->next = NULL;
    *held->end = r;
    held->end = &r->next;
}

static struct request *unhold(struct held *held)
{
    struct request *r = held->first;
    held->first = r->next;
    if (!held->first)
        held->end = &held->first;
    return r;
}

static bool may_begin(struct lane *l, const struct request *r)
{
    enum moves moves = r->type->moves;
    return moves == NOTHING ||
           (!l->held[moves].first && rates_disk_wait(l->block->virtio.rates, moves == WRITES) == 0);
}

/* Begins of what is held back what may begin by now, and has itself called again for the rest. */
static void begin_held(struct lane *l)
{
    uint64_t soonest = 0;
    for (unsigned moves = READS; moves <= WRITES; moves++) {
        struct held *held = &l->held[moves];
        uint64_t wait = 0;
        while (held->first && !virtio_live(&l->block->virtio, l->index))
            release(l, unhold(held));
        while (held->first && (wait = rates_disk_wait(l->block->virtio.rates, moves == WRITES)) == 0)
            begin(l, unhold(held));
        soonest = wait && (!soonest || wait < soonest) ? wait : soonest;
    }
    if (soonest)
        loop_call_later(virtio_loop(&l->block->virtio, l->index), &l->again, soonest);
}

/* False: there is none, or it is none. */
static bool take(struct lane *l)
{
    struct virtio_device *v = &l->block->virtio;
    struct request *r = l->free;
    uint8_t header[HEADER_SIZE];
    if (!r || !virtio_next(v, l->index, &r->chain))
        return false;
    if (chain_read(&r->chain, 0, header, sizeof header) != sizeof header || r->chain.writable_len == 0) {
        virtio_break(v, &(struct cofre_err){"a request without header or status"});
        return false;
    }
    l->free = r->next;
    l->busy++;
    r->type = type_of(le32(header));
    r->sector = le64(header + 8);
    r->done = r->written = r->asked = 0;
    r->attempts = 0;
    if (may_begin(l, r))
        begin(l, r);
    else
        hold(l, r);
    return true;
}

/* One operation has ended; of a queue that is no longer live nobody is told. */
static bool reap(struct lane *l)
{
    struct request *r = (struct request *)(void *)block_io_next(l->io);
    if (!r)
        return false;
    enum status status = PENDING;
    bool live = !l->ending && virtio_live(&l->block->virtio, l->index);
    if (live && (status = r->type->resume(l, r)) != PENDING)
        finish(l, r, status);
    else if (!live)
        release(l, r);
    return true;
}

/* Takes what the driver asks and gives back what is done, until there is neither: what ends may leave room for what
 * waits in the ring, and the next step of an operation is to be submitted. */
static void serve(struct lane *l)
{
    bool ended;
    do {
        while (take(l))
            continue;
        begin_held(l);
        block_io_submit(l->io);
        ended = reap(l);
        while (ended && reap(l))
            continue;
    } while (ended);
}

static void block_queue(void *device, unsigned index)
{
    serve(&((struct block *)device)->lane[index]);
}

static void lane_ready(void *context, uint32_t events)
{
    (void)events;
    serve(context);
}

/* Waits until nothing is under way; what came meanwhile is forgotten with the queue. */
static void drain(struct lane *l)
{
    l->ending = true;
    loop_forget_later(virtio_loop(&l->block->virtio, l->index));
    for (unsigned i = 0; i < 2; i++)
        while (l->held[i].first)
            release(l, unhold(&l->held[i]));
    while (l->busy)
        if (!reap(l))
            block_io_wait(l->io);
    l->ending = false;
}

/* The kernel reads and writes the guest's memory for what is under way, so that has to end first. */
static void block_reset(void *device)
{
    struct block *b = device;
    for (unsigned i = 0; i < b->lanes; i++)
        drain(&b->lane[i]);
}

static void lane_free(struct lane *l)
{
    block_io_free(l->io);
    free(l->requests);
}

static int add_lane(struct block *b, struct cofre_err *err)
{
    unsigned index = b->lanes++;
    struct lane *l = &b->lane[index];
    *l = (struct lane){.block = b, .index = index};
    for (unsigned i = 0; i < 2; i++)
        l->held[i].end = &l->held[i].first;
    b->virtio.thread_of[index] = (uint8_t)index;
    int rc = block_io_new(&l->io, b->file.fd, DEPTH, err);
    if (rc)
        return rc;
    l->requests = calloc(DEPTH, sizeof *l->requests);
    if (!l->requests)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    for (unsigned i = DEPTH; i-- > 0;) {
        l->requests[i].next = l->free;
        l->free = &l->requests[i];
    }
    l->ready = (struct loop_source){.fd = block_io_fd(l->io), .ready = lane_ready, .context = l};
    l->again = (struct loop_source){.fd = -1, .ready = lane_ready, .context = l};
    if (l->ready.fd >= 0 && !loop_watch(virtio_loop(&b->virtio, index), &l->ready, EPOLLIN))
        return cofre_fail(err, COFRE_FAILED, "io_uring: %s", strerror(errno));
    return 0;
}

static void block_free(void *device)
{
    struct block *b = device;
    for (unsigned i = 0; i < b->lanes; i++) {
        drain(&b->lane[i]);
        lane_free(&b->lane[i]);
    }
    if (b->lanes && !b->file.read_only && fdatasync(b->file.fd) < 0)
        log_error("%s: what the guest wrote last may be lost: %s", b->file.path, strerror(errno));
    block_file_close(&b->file);
    free(b);
}

static const struct virtio_ops block_ops = {
    .name = "block",
    .id = VIRTIO_ID_BLOCK,
    .class_code = 0x018000,
    .queues = 1,
    .queue_size = QUEUE_SIZE_MAX,
    .queue = block_queue,
    .reset = block_reset,
    .free = block_free,
};

static int take_option(struct block *b, const char *option, const char *spec, struct cofre_err *err)
{
    uint64_t queues;
    if (strcmp(option, "ro") == 0) {
        b->file.read_only = true;
    } else if (strcmp(option, "direct") == 0) {
        b->file.direct = true;
    } else if (strncmp(option, "queues=", 7) == 0) {
        int rc = number_parse(&queues, option + 7, "queues", 1, QUEUES_MAX, err);
        if (rc)
            return cofre_within(err, rc, "disk %s", spec);
        b->queues = (unsigned)queues;
    } else {
        const char *serial = option + strlen("serial=");
        if (strlen(serial) > SERIAL_SIZE)
            return cofre_fail(err, COFRE_USAGE, "disk %s: a serial number has at most %d bytes", spec,
                              SERIAL_SIZE);
        strncpy(b->serial, serial, SERIAL_SIZE);
    }
    return 0;
}

static bool is_option(const char *text)
{
    return strcmp(text, "ro") == 0 || strcmp(text, "direct") == 0 || strncmp(text, "queues=", 7) == 0 ||
           strncmp(text, "serial=", 7) == 0;
}

/* Options are taken off the end, so that a file's name may hold commas. */
static int parse(struct block *b, const char *spec, struct cofre_err *err)
{
    char *path = b->file.path = strdup(spec);
    int rc = path ? 0 : cofre_fail(err, COFRE_FAILED, "disk %s: out of memory", spec);
    memcpy(b->serial, "cofre", 5);
    b->queues = 1;
    for (char *comma; rc == 0 && (comma = strrchr(path, ',')) && is_option(comma + 1); *comma = 0)
        rc = take_option(b, comma + 1, spec, err);
    return rc;
}

static void describe(struct block *b)
{
    struct virtio_device *v = &b->virtio;
    v->features = 1u << SIZE_MAX_ | 1u << SEG_MAX | 1u << BLK_SIZE | 1u << FLUSH;
    v->features |= b->file.read_only ? 1u << READ_ONLY : 1u << DISCARD | 1u << WRITE_ZEROES;
    if (b->queues > 1)
        v->features |= 1u << MULTIPLE_QUEUES;
    v->queues = b->queues;
    v->config_len = CONFIG_SIZE;
    put_le64(v->config + CONFIG_CAPACITY, b->file.size / SECTOR);
    put_le32(v->config + CONFIG_SIZE_MAX, SEGMENT_BYTES_MAX);
    put_le32(v->config + CONFIG_SEG_MAX, SEGMENTS_MAX);
    put_le32(v->config + CONFIG_BLK_SIZE, b->file.block);
    put_le16(v->config + CONFIG_NUM_QUEUES, (uint16_t)b->queues);
    put_le32(v->config + CONFIG_MAX_DISCARD_SECTORS, DISCARD_SECTORS);
    put_le32(v->config + CONFIG_MAX_DISCARD_SEG, RANGES_MAX);
    put_le32(v->config + CONFIG_DISCARD_ALIGNMENT, b->file.block / SECTOR);
    put_le32(v->config + CONFIG_MAX_ZEROES_SECTORS, ZEROES_SECTORS);
    put_le32(v->config + CONFIG_MAX_ZEROES_SEG, RANGES_MAX);
    v->config[CONFIG_ZEROES_MAY_UNMAP] = 1;
}

int virtio_block_new(struct virtio_device **out, const char *spec, struct cofre_err *err)
{
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        return cofre_fail(err, COFRE_FAILED, "disk %s: out of memory", spec);
    b->file.fd = -1;
    int rc = parse(b, spec, err);
    if (!rc)
        rc = block_file_open(&b->file, err);
    if (!rc)
        rc = virtio_init(&b->virtio, &block_ops, b, err);
    if (rc) {
        block_free(b);
        return rc;
    }
    describe(b);
    rc = virtio_set_threads(&b->virtio, b->queues, err);
    while (rc == 0 && b->lanes < b->queues)
        rc = add_lane(b, err);
    if (rc) {
        virtio_free(&b->virtio);
        return cofre_within(err, rc, "disk %s", spec);
    }
    *out = &b->virtio;
    return 0;
}
