#include "vmm/devices/block.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"

#define LOG_ROOM "block"

#define SECTOR      512u
#define SERIAL_SIZE 20

/* virtio 1.2, 5.2.3 */
enum feature {
    SIZE_MAX_ = 1,
    SEG_MAX = 2,
    READ_ONLY = 5,
    BLK_SIZE = 6,
    FLUSH = 9,
    DISCARD = 13,
    WRITE_ZEROES = 14
};

/* virtio 1.2, 5.2.4: offsets in struct virtio_blk_config. */
enum config {
    CONFIG_CAPACITY = 0,
    CONFIG_SIZE_MAX = 8,
    CONFIG_SEG_MAX = 12,
    CONFIG_BLK_SIZE = 20,
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
#define COMPLAINTS_MAX    16 /* log lines that one disk may cause */

enum status { OK = 0, IOERR = 1, UNSUPPORTED = 2 };
enum { RANGE_UNMAP = 1 };

struct block {
    struct virtio_device virtio;
    int fd;
    bool read_only;
    uint64_t sectors;
    char serial[SERIAL_SIZE];
    char *path;
    unsigned complaints;
};

struct request {
    const struct queue_chain *chain;
    uint32_t type;
    uint64_t sector;
    uint64_t len;     /* of the data, in its direction */
    uint64_t written; /* into the chain so far, status not counted */
};

static bool in_disk(const struct block *b, uint64_t sector, uint64_t sectors)
{
    return sector <= b->sectors && sectors <= b->sectors - sector;
}

static enum status host_failed(struct block *b, const char *what)
{
    if (b->complaints < COMPLAINTS_MAX) {
        b->complaints++;
        log_warn("%s: %s: %s; the guest gets an I/O error%s", b->path, what, strerror(errno),
                 b->complaints == COMPLAINTS_MAX ? " (more such lines are left out)" : "");
    }
    return IOERR;
}

typedef ssize_t transfer(int fd, const struct iovec *iov, int count, off_t offset);

/* Moves all of the data between chain and file, whatever parts the kernel does it in. */
static enum status move(struct block *b, const struct request *r, bool to_guest, uint64_t skip, transfer *go)
{
    struct iovec iov[QUEUE_CHAIN_MAX];
    for (uint64_t done = 0; done < r->len;) {
        unsigned count = chain_slice(r->chain, to_guest, skip + done, r->len - done, iov);
        ssize_t n = go(b->fd, iov, (int)count, (off_t)(r->sector * SECTOR + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n ? errno : ENODATA;
            return host_failed(b, to_guest ? "read" : "write");
        }
        done += (uint64_t)n;
    }
    return OK;
}

static bool data_fits(const struct block *b, const struct request *r)
{
    return r->len % SECTOR == 0 && r->len <= (uint64_t)SEGMENTS_MAX * SEGMENT_BYTES_MAX &&
           in_disk(b, r->sector, r->len / SECTOR);
}

static enum status do_read(struct block *b, struct request *r)
{
    r->len = r->chain->writable_len - 1;
    if (!data_fits(b, r))
        return IOERR;
    enum status status = move(b, r, true, 0, preadv);
    r->written = status == OK ? r->len : 0;
    return status;
}

static enum status do_flush(struct block *b, struct request *r)
{
    (void)r;
    return b->read_only || fdatasync(b->fd) == 0 ? OK : host_failed(b, "flush");
}

#define HEADER_SIZE 16 /* type, reserved, sector */

static enum status do_write(struct block *b, struct request *r)
{
    r->len = r->chain->readable_len - HEADER_SIZE;
    if (b->read_only || !data_fits(b, r))
        return IOERR;
    enum status status = move(b, r, false, HEADER_SIZE, pwritev);
    bool write_through =
        !virtio_has(&b->virtio, FLUSH); /* such a driver cannot ask for stable storage (5.2.6.2) */
    return status == OK && write_through ? do_flush(b, r) : status;
}

static enum status do_get_id(struct block *b, struct request *r)
{
    size_t room = r->chain->writable_len - 1;
    r->written = chain_write(r->chain, 0, b->serial, room < SERIAL_SIZE ? room : SERIAL_SIZE);
    return OK;
}

static bool write_zeroes(const struct block *b, off_t offset, uint64_t len)
{
    static const uint8_t zeroes[1 << 16];
    while (len) {
        ssize_t n = pwrite(b->fd, zeroes, len < sizeof zeroes ? len : sizeof zeroes, offset);
        if (n <= 0 && errno != EINTR)
            return false;
        offset += n > 0 ? n : 0;
        len -= n > 0 ? (uint64_t)n : 0;
    }
    return true;
}

/* Where the host's file system cannot punch holes, zeroes are written, and a discard, being advice, is let
 * go. */
static enum status clear(struct block *b, uint64_t sector, uint32_t sectors, bool discard, bool unmap)
{
    off_t offset = (off_t)(sector * SECTOR);
    off_t len = (off_t)sectors * SECTOR;
    int mode = discard || unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    if (len == 0 || fallocate(b->fd, mode | FALLOC_FL_KEEP_SIZE, offset, len) == 0)
        return OK;
    if (errno != EOPNOTSUPP && errno != ENODEV)
        return host_failed(b, discard ? "discard" : "write zeroes");
    return discard || write_zeroes(b, offset, (uint64_t)len) ? OK : host_failed(b, "write zeroes");
}

#define RANGE_SIZE 16 /* sector, number of sectors, flags */

/* All ranges are copied and checked before the first is touched. */
static enum status do_ranges(struct block *b, struct request *r, uint32_t sectors_max, bool discard)
{
    uint8_t ranges[RANGES_MAX * RANGE_SIZE];
    uint64_t len = r->chain->readable_len - HEADER_SIZE;
    if (b->read_only || len % RANGE_SIZE || len > sizeof ranges)
        return IOERR;
    chain_read(r->chain, HEADER_SIZE, ranges, len);
    for (const uint8_t *p = ranges; p < ranges + len; p += RANGE_SIZE) {
        if (le32(p + 12) & ~(discard ? 0u : RANGE_UNMAP))
            return UNSUPPORTED;
        if (le32(p + 8) > sectors_max || !in_disk(b, le64(p), le32(p + 8)))
            return IOERR;
    }
    enum status status = OK;
    for (const uint8_t *p = ranges; p < ranges + len && status == OK; p += RANGE_SIZE)
        status = clear(b, le64(p), le32(p + 8), discard, le32(p + 12) & RANGE_UNMAP);
    return status;
}

static enum status do_discard(struct block *b, struct request *r)
{
    return do_ranges(b, r, DISCARD_SECTORS, true);
}

static enum status do_write_zeroes(struct block *b, struct request *r)
{
    return do_ranges(b, r, ZEROES_SECTORS, false);
}

/* virtio 1.2, 5.2.6: struct virtio_blk_req. */
static const struct {
    uint32_t type;
    enum status (*serve)(struct block *b, struct request *r);
} requests[] = {{0, do_read},   {1, do_write},    {4, do_flush},
                {8, do_get_id}, {11, do_discard}, {13, do_write_zeroes}};

static enum status serve(struct block *b, struct request *r)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (requests[i].type == r->type)
            return requests[i].serve(b, r);
    return UNSUPPORTED;
}

static void block_queue(void *device, unsigned index)
{
    struct block *b = device;
    struct queue_chain chain;
    uint8_t header[HEADER_SIZE];
    while (virtio_next(&b->virtio, index, &chain)) {
        if (chain_read(&chain, 0, header, sizeof header) != sizeof header || chain.writable_len == 0) {
            virtio_break(&b->virtio, &(struct cofre_err){"a request without header or status"});
            return;
        }
        struct request r = {.chain = &chain, .type = le32(header), .sector = le64(header + 8)};
        uint8_t status = (uint8_t)serve(b, &r);
        chain_write(&chain, chain.writable_len - 1, &status, 1);
        virtio_done(&b->virtio, index, &chain, r.written + 1);
    }
}

static void block_free(void *device)
{
    struct block *b = device;
    if (b->sectors && !b->read_only && fdatasync(b->fd) < 0)
        log_error("%s: what the guest wrote last may be lost: %s", b->path, strerror(errno));
    cleanup_close(&b->fd);
    free(b->path);
    free(b);
}

static const struct virtio_ops block_ops = {
    .name = "block",
    .id = VIRTIO_ID_BLOCK,
    .class_code = 0x018000,
    .queues = 1,
    .queue_size = QUEUE_SIZE_MAX,
    .queue = block_queue,
    .free = block_free,
};

/* Options are taken off the end, so that a file's name may hold commas. */
static int parse(struct block *b, const char *spec, struct cofre_err *err)
{
    b->path = strdup(spec);
    if (!b->path)
        return cofre_fail(err, COFRE_FAILED, "disk %s: out of memory", spec);
    memcpy(b->serial, "cofre", 5);
    for (char *comma; (comma = strrchr(b->path, ','));) {
        const char *serial = strncmp(comma, ",serial=", 8) == 0 ? comma + 8 : NULL;
        if (serial && strlen(serial) > SERIAL_SIZE)
            return cofre_fail(err, COFRE_USAGE, "disk %s: a serial number has at most %d bytes", spec,
                              SERIAL_SIZE);
        if (serial)
            strncpy(b->serial, serial, SERIAL_SIZE);
        else if (strcmp(comma, ",ro") == 0)
            b->read_only = true;
        else
            break;
        *comma = 0;
    }
    return 0;
}

static int measure(struct block *b, struct cofre_err *err)
{
    struct stat st;
    uint64_t size = 0;
    if (fstat(b->fd, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "disk %s: %s", b->path, strerror(errno));
    if (S_ISREG(st.st_mode))
        size = (uint64_t)st.st_size;
    else if (!S_ISBLK(st.st_mode))
        return cofre_fail(err, COFRE_USAGE, "disk %s: neither a file nor a block device", b->path);
    else if (ioctl(b->fd, BLKGETSIZE64, &size) < 0)
        return cofre_fail(err, COFRE_FAILED, "disk %s: size: %s", b->path, strerror(errno));
    if (size == 0 || size % SECTOR)
        return cofre_fail(err, COFRE_USAGE,
                          "disk %s: %" PRIu64 " bytes are no disk: make its size a multiple of %u "
                          "(truncate --size=%%%u F)",
                          b->path, size, SECTOR, SECTOR);
    b->sectors = size / SECTOR;
    return 0;
}

static int open_disk(struct block *b, struct cofre_err *err)
{
    b->fd = open(b->path, (b->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (b->fd < 0)
        return cofre_fail(err, COFRE_LACKING, "disk %s: %s", b->path, strerror(errno));
    if (flock(b->fd, (b->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
        return cofre_fail(err, COFRE_LACKING, "disk %s: %s", b->path,
                          errno == EWOULDBLOCK ? "another guest uses it; only read-only disks can be shared"
                                               : strerror(errno));
    return measure(b, err);
}

static void describe(struct block *b)
{
    struct virtio_device *v = &b->virtio;
    v->features = 1u << SIZE_MAX_ | 1u << SEG_MAX | 1u << BLK_SIZE | 1u << FLUSH;
    v->features |= b->read_only ? 1u << READ_ONLY : 1u << DISCARD | 1u << WRITE_ZEROES;
    v->config_len = CONFIG_SIZE;
    put_le64(v->config + CONFIG_CAPACITY, b->sectors);
    put_le32(v->config + CONFIG_SIZE_MAX, SEGMENT_BYTES_MAX);
    put_le32(v->config + CONFIG_SEG_MAX, SEGMENTS_MAX);
    put_le32(v->config + CONFIG_BLK_SIZE, SECTOR);
    put_le32(v->config + CONFIG_MAX_DISCARD_SECTORS, DISCARD_SECTORS);
    put_le32(v->config + CONFIG_MAX_DISCARD_SEG, RANGES_MAX);
    put_le32(v->config + CONFIG_DISCARD_ALIGNMENT, 1);
    put_le32(v->config + CONFIG_MAX_ZEROES_SECTORS, ZEROES_SECTORS);
    put_le32(v->config + CONFIG_MAX_ZEROES_SEG, RANGES_MAX);
    v->config[CONFIG_ZEROES_MAY_UNMAP] = 1;
}

int virtio_block_new(struct virtio_device **out, const char *spec, struct cofre_err *err)
{
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        return cofre_fail(err, COFRE_FAILED, "disk %s: out of memory", spec);
    b->fd = -1;
    int rc = parse(b, spec, err);
    if (!rc)
        rc = open_disk(b, err);
    if (!rc)
        rc = virtio_init(&b->virtio, &block_ops, b, err);
    if (rc) {
        block_free(b);
        return rc;
    }
    describe(b);
    *out = &b->virtio;
    return 0;
}
