#include "vmm/devices/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

/* QEMU's places: what a holder does, then what it lets nobody else do. */
enum { LOCK_DOES = 100, LOCK_KEEPS = 200 };
enum { READS = 0, WRITES = 1, RESIZES = 3 };

static int in_use(const struct block_file *f, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_LACKING,
                      "disk %s: another guest uses it, or the host does; only read-only disks can be shared",
                      f->path);
}

static int take(const struct block_file *f, off_t byte, struct cofre_err *err)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(f->fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES
               ? in_use(f, err)
               : cofre_fail(err, COFRE_LACKING, "disk %s: cannot be locked: %s", f->path, strerror(errno));
}

static int refuse_if_taken(const struct block_file *f, off_t byte, struct cofre_err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(f->fd, F_OFD_GETLK, &lock) < 0)
        return cofre_fail(err, COFRE_LACKING, "disk %s: its locks cannot be read: %s", f->path,
                          strerror(errno));
    return lock.l_type == F_UNLCK ? 0 : in_use(f, err);
}

/* First said, then looked: of two that come at once none goes on unnoticed. */
static int lock(const struct block_file *f, struct cofre_err *err)
{
    const struct {
        off_t byte;
        bool writer; /* a read-only disk's holder does not do this */
        int (*act)(const struct block_file *f, off_t byte, struct cofre_err *err);
    } steps[] = {
        {LOCK_DOES + READS, false, take},
        {LOCK_DOES + WRITES, true, take},
        {LOCK_KEEPS + WRITES, false, take},
        {LOCK_KEEPS + RESIZES, false, take},
        {LOCK_KEEPS + READS, false, refuse_if_taken},
        {LOCK_KEEPS + WRITES, true, refuse_if_taken},
        {LOCK_DOES + WRITES, false, refuse_if_taken},
        {LOCK_DOES + RESIZES, false, refuse_if_taken},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && rc == 0; i++)
        if (!f->read_only || !steps[i].writer)
            rc = steps[i].act(f, steps[i].byte, err);
    return rc;
}

static int measure(struct block_file *f, struct cofre_err *err)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "disk %s: %s", f->path, strerror(errno));
    int block = BLOCK_SECTOR;
    if (S_ISREG(st.st_mode))
        f->size = (uint64_t)st.st_size;
    else if (!f->is_device)
        return cofre_fail(err, COFRE_USAGE, "disk %s: neither a file nor a block device", f->path);
    else if (ioctl(f->fd, BLKGETSIZE64, &f->size) < 0 || ioctl(f->fd, BLKSSZGET, &block) < 0)
        return cofre_fail(err, COFRE_FAILED, "disk %s: size: %s", f->path, strerror(errno));
    f->block = (uint32_t)block;
    f->align = 1;
    return 0;
}

/* statx(2) says since Linux 6.1 what direct I/O asks for; before that, and where a file system does not say, 4096
 * is right for every file. */
static int align(struct block_file *f, struct cofre_err *err)
{
    struct statx st = {0};
    f->align = f->is_device ? f->block : BLOCK_ALIGN_MAX;
    if (!f->is_device)
        f->block = BLOCK_ALIGN_MAX;
    if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) < 0 || !(st.stx_mask & STATX_DIOALIGN))
        return 0;
    if (st.stx_dio_offset_align == 0)
        return cofre_fail(err, COFRE_LACKING,
                          "disk %s: the host has no direct I/O for this file; leave out \",direct\"",
                          f->path);
    f->align = st.stx_dio_mem_align;
    f->block = st.stx_dio_offset_align < BLOCK_SECTOR ? BLOCK_SECTOR : st.stx_dio_offset_align;
    return 0;
}

static int check_size(const struct block_file *f, struct cofre_err *err)
{
    if (f->block > BLOCK_ALIGN_MAX || f->align > BLOCK_ALIGN_MAX)
        return cofre_fail(err, COFRE_LACKING,
                          "disk %s: blocks of %" PRIu32 " bytes are more than guests know (%u)", f->path,
                          f->block > f->align ? f->block : f->align, BLOCK_ALIGN_MAX);
    if (f->size == 0 || f->size % f->block)
        return cofre_fail(err, COFRE_USAGE,
                          "disk %s: %" PRIu64 " bytes are no disk: make its size a multiple of %" PRIu32
                          " (truncate --size=%%%" PRIu32 " F)%s",
                          f->path, f->size, f->block, f->block,
                          f->direct && f->block > BLOCK_SECTOR ? ", or leave out \",direct\"" : "");
    return 0;
}

int block_file_open(struct block_file *f, struct cofre_err *err)
{
    struct stat st;
    f->fd = -1;
    int named = file_named_descriptor(f->path);
    f->is_device = (named < 0 ? stat(f->path, &st) : fstat(named, &st)) == 0 && S_ISBLK(st.st_mode);
    int flags = f->read_only ? O_RDONLY : O_RDWR | (f->is_device ? O_EXCL : 0);
    f->fd = file_open_named(f->path, flags | (f->direct ? O_DIRECT : 0), 0);
    if (f->fd < 0 && errno == EBUSY)
        return in_use(f, err);
    if (f->fd < 0)
        return cofre_fail(err, COFRE_LACKING, "disk %s: %s%s", f->path, strerror(errno),
                          f->direct && errno == EINVAL ? "; its file system may have no direct I/O" : "");
    if (named >= 0 && f->direct && !(fcntl(f->fd, F_GETFL) & O_DIRECT))
        return cofre_fail(err, COFRE_USAGE, "disk %s: \",direct\" is for who opens it (O_DIRECT)", f->path);
    int rc = measure(f, err);
    if (rc == 0 && f->direct)
        rc = align(f, err);
    if (rc == 0)
        rc = check_size(f, err);
    return rc ? rc : lock(f, err);
}

void block_file_close(struct block_file *f)
{
    cleanup_close(&f->fd);
    f->fd = -1;
    free(f->path);
    f->path = NULL;
}
