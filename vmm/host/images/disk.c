/* Guests' own disks: planned in a row, made before the first start, gone with the guest. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/images/store.h"

#define PART    (16 << 20) /* bytes of a copy */
#define WRITTEN (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)

int disk_has_row(struct db *db, uint32_t guest, unsigned place, struct cofre_err *err)
{
    return DB_RUN(db, "SELECT 1 FROM guest_disk WHERE guest = $1 AND place = $2", NULL, NULL, err,
                  db_integer(guest), db_integer(place));
}

static int take_size(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(uint64_t *)context = (uint64_t)column[0].integer;
    return 0;
}

static int size_of(uint64_t *out, struct db *db, const char *tenant, const struct image_digest *image,
                   struct cofre_err *err)
{
    char text[IMAGE_DIGEST_TEXT];
    int rc = DB_RUN(db, "SELECT size FROM image WHERE tenant = $1 AND digest = $2", take_size, out, err,
                    db_text(tenant), db_bytes((struct view){image->sha256, sizeof image->sha256}));
    image_digest_text(text, image);
    return rc == 0 ? cofre_fail(err, COFRE_NEGATIVE, "there is no image %s", text) : rc < 0 ? rc : 0;
}

int guest_disk_plan(struct images *images, struct db *db, const char *tenant, uint32_t guest, unsigned place,
                    const struct image_digest *image, uint64_t size, uint64_t quota, struct cofre_err *err)
{
    char name[STORED_NAME_SIZE];
    int rc = store_tenant(tenant, err);
    if (rc == 0 && image)
        rc = size_of(&size, db, tenant, image, err);
    if (rc == 0 && (place >= GUEST_DISKS_MAX || size == 0))
        rc = cofre_fail(err, COFRE_USAGE,
                        size ? "a guest has at most %d disks" : "a disk has at least one byte",
                        GUEST_DISKS_MAX);
    if (rc == 0)
        rc = store_room(images, db, tenant, size, quota, err);
    disk_name(name, guest, place);
    if (rc == 0)
        rc = store_touch(images, "", name, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO guest_disk (guest, place, tenant, image, size, charge, made)"
                    " VALUES ($1, $2, $3, $4, $5, $6, 0)",
                    NULL, NULL, err, db_integer(guest), db_integer(place), db_text(tenant),
                    image ? db_bytes((struct view){image->sha256, sizeof image->sha256}) : db_text(NULL),
                    db_integer((int64_t)size), db_integer((int64_t)charge_of(size)));
    return rc < 0 ? cofre_within(err, rc, "disk %u", place) : 0;
}

static int take_disk(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    struct guest_disk *disk = context;
    (void)columns;
    disk->size = (uint64_t)c[1].integer;
    disk->made = c[2].integer != 0;
    disk->copy = c[0].type != DB_NULL;
    if (disk->copy && c[0].bytes.len != IMAGE_DIGEST_SIZE)
        return cofre_fail(err, COFRE_MALFORMED, "the database: a digest of %zu bytes", c[0].bytes.len);
    if (disk->copy)
        memcpy(disk->image.sha256, c[0].bytes.data, IMAGE_DIGEST_SIZE);
    return 0;
}

int guest_disk_find(struct guest_disk *out, struct db *db, uint32_t guest, unsigned place,
                    struct cofre_err *err)
{
    *out = (struct guest_disk){.guest = guest, .place = place};
    int rc = DB_RUN(db, "SELECT image, size, made FROM guest_disk WHERE guest = $1 AND place = $2", take_disk,
                    out, err, db_integer(guest), db_integer(place));
    return rc == 0  ? cofre_fail(err, COFRE_NEGATIVE, "the guest has no disk %u of its own", place)
           : rc < 0 ? rc
                    : 0;
}

/* A part at a time, each on the disk before the next: neither the copy nor the fsync behind it keeps long who wants to end. */
static int copy_extent(const struct images *images, int to, int from, off_t *at, off_t end)
{
    while (*at < end) {
        off_t out = *at;
        const off_t left = end - *at;
        if (images->ends) {
            errno = ECANCELED;
            return -1;
        }
        const ssize_t n = copy_file_range(from, at, to, &out, (size_t)(left < PART ? left : PART), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || sync_file_range(to, out - n, n, WRITTEN) < 0)
            return -1;
    }
    return 0;
}

/* The image's data and none of its holes. */
static int copy_data(const struct images *images, int to, int from, uint64_t size)
{
    off_t at = 0;
    while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
        const off_t end = lseek(from, at, SEEK_HOLE);
        if (end < 0 || copy_extent(images, to, from, &at, end) < 0)
            return -1;
        if ((uint64_t)at >= size)
            return 0;
    }
    return errno == ENXIO ? 0 : -1; /* nothing but a hole is left */
}

static bool may_yet_be_made(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG || error == ECANCELED;
}

static bool cannot_share(int error)
{
    return error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == EINVAL;
}

static int fill(const struct images *images, int fd, const struct guest_disk *disk, int image)
{
    if (disk->copy && ioctl(fd, FICLONE, image) < 0 &&
        (!cannot_share(errno) || copy_data(images, fd, image, disk->size) < 0))
        return -1;
    return ftruncate(fd, (off_t)disk->size) == 0 && fsync(fd) == 0 ? 0 : -1;
}

int guest_disk_make(struct images *images, const struct guest_disk *disk, int image, struct cofre_err *err)
{
    char incoming[STORED_NAME_SIZE], name[STORED_NAME_SIZE];
    CLEAN_FD fd = store_incoming(images, incoming, err);
    if (fd < 0)
        return cofre_within(err, fd, "disk %u", disk->place);
    disk_name(name, disk->guest, disk->place);
    int rc = fill(images, fd, disk, image) == 0
                 ? store_name(images, incoming, images->disks, name, err)
                 : cofre_fail(err, may_yet_be_made(errno) ? COFRE_LACKING : COFRE_FAILED,
                              "it cannot be made: %s", strerror(errno));
    if (rc == 0)
        return 0;
    (void)unlinkat(images->incoming, incoming, 0);
    return cofre_within(err, rc, "disk %u", disk->place);
}

int guest_disk_made(struct db *db, const struct guest_disk *disk, struct cofre_err *err)
{
    int rc = DB_RUN(db, "UPDATE guest_disk SET made = 1 WHERE guest = $1 AND place = $2", NULL, NULL, err,
                    db_integer(disk->guest), db_integer(disk->place));
    return rc == 0  ? cofre_fail(err, COFRE_NEGATIVE, "the guest has no disk %u of its own", disk->place)
           : rc < 0 ? rc
                    : 0;
}

int guest_disk_open(int *fd, const struct images *images, const struct guest_disk *disk,
                    struct cofre_err *err)
{
    char name[STORED_NAME_SIZE];
    if (!disk->made)
        return cofre_fail(err, COFRE_USAGE, "disk %u: it has not been made", disk->place);
    disk_name(name, disk->guest, disk->place);
    CLEAN_FD file = store_open(images->disks, name, O_RDWR | O_NONBLOCK, 0);
    if (file < 0)
        return cofre_fail(err, COFRE_FAILED, "disk %u: its file cannot be opened: %s", disk->place,
                          strerror(-file));
    if (!store_is_ours(file, disk->size) || fcntl(file, F_SETFL, 0) < 0)
        return cofre_fail(err, COFRE_FAILED, "disk %u: its file is not the one that was made", disk->place);
    *fd = TAKE_FD(file);
    return 0;
}

/* What goes. */

struct goes {
    struct images *images;
    uint32_t guest;
};

static int take_place(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    const struct goes *goes = context;
    char name[STORED_NAME_SIZE];
    (void)columns;
    disk_name(name, goes->guest, (unsigned)column[0].integer);
    return store_touch(goes->images, "", name, err);
}

int guest_disk_drop(struct images *images, struct db *db, uint32_t guest, unsigned place,
                    struct cofre_err *err)
{
    struct goes goes = {images, guest};
    int rc = DB_RUN(db, "DELETE FROM guest_disk WHERE guest = $1 AND place = $2 RETURNING place", take_place,
                    &goes, err, db_integer(guest), db_integer(place));
    return rc < 0 ? rc : 0;
}

int guest_images_drop(struct images *images, struct db *db, uint32_t guest, struct cofre_err *err)
{
    struct goes goes = {images, guest};
    int rc = DB_RUN(db, "DELETE FROM guest_disk WHERE guest = $1 RETURNING place", take_place, &goes, err,
                    db_integer(guest));
    return rc < 0 ? rc : images_use(db, "", guest, "", NULL, 0, err);
}
