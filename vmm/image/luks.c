#include "vmm/image/luks.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/image/dm_integrity.h"
#include "vmm/image/luks_format.h"
#include "vmm/image/luks_sector.h"

/* As many as are encrypted at a time. Pieces do not lie across areas of tags. */
#define PIECE 64u
_Static_assert(DM_INTEGRITY_AREA_BLOCKS % PIECE == 0, "a piece is in one area");

/* One making. */
struct disk {
    const char *path;
    int from, to;
    bool integrity;
    uint64_t sectors;
    struct dm_integrity layout;          /* with integrity */
    uint8_t volume[LUKS_VOLUME_KEY_MAX]; /* drawn here, and gone with the call */
    struct luks_sealer *sealer;
    uint8_t data[PIECE * LUKS_SECTOR_SIZE], tags[PIECE * LUKS_TAG_SIZE];
};

static void disk_free(struct disk **disk)
{
    struct disk *d = *disk;
    if (!d)
        return;
    luks_sealer_free(d->sealer);
    cleanup_close(&d->from);
    cleanup_close(&d->to);
    OPENSSL_cleanse(d, sizeof *d);
    free(d);
}

static int disk_error(const struct disk *d, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "%s: %s", d->path, strerror(errno));
}

/* As long as it will be: libcryptsetup looks whether header and data fit. */
static int open_files(struct disk *d, const char *plain, struct cofre_err *err)
{
    struct stat st;
    d->from = open(plain, O_RDONLY | O_CLOEXEC);
    if (d->from < 0 || fstat(d->from, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", plain, strerror(errno));
    d->sectors = (uint64_t)st.st_size / LUKS_SECTOR_SIZE;
    if (!d->sectors || st.st_size % LUKS_SECTOR_SIZE)
        return cofre_fail(err, COFRE_FAILED, "%s: is no file system of whole sectors", plain);
    d->layout = dm_integrity_of(d->sectors);
    const uint64_t size = d->integrity ? dm_integrity_size(&d->layout) : (uint64_t)st.st_size;
    d->to = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return d->to < 0 || ftruncate(d->to, (off_t)(LUKS_DATA_OFFSET + size)) < 0 ? disk_error(d, err) : 0;
}

/* at: from where the header ends. */
static int put(const struct disk *d, const void *data, size_t len, uint64_t at, struct cofre_err *err)
{
    return pwrite(d->to, data, len, (off_t)(LUKS_DATA_OFFSET + at)) == (ssize_t)len ? 0 : disk_error(d, err);
}

static int put_integrity(const struct disk *d, struct cofre_err *err)
{
    uint8_t superblock[DM_INTEGRITY_SUPERBLOCK];
    CLEAN_BYTES section = {0};
    int rc = bytes_alloc(&section, DM_INTEGRITY_SECTION, err);
    dm_integrity_put_superblock(superblock, &d->layout);
    if (rc == 0)
        rc = put(d, superblock, sizeof superblock, 0, err);
    for (uint32_t i = 0; rc == 0 && i < d->layout.sections; i++) {
        dm_integrity_put_section(section.data, i);
        rc = put(d, section.data, section.len, dm_integrity_section(i), err);
    }
    return rc;
}

static int put_piece(struct disk *d, uint64_t first, size_t count, struct cofre_err *err)
{
    const size_t len = count * LUKS_SECTOR_SIZE;
    if (pread(d->from, d->data, len, (off_t)(first * LUKS_SECTOR_SIZE)) != (ssize_t)len)
        return cofre_fail(err, COFRE_FAILED, "%s: the file system under it: %s", d->path, strerror(errno));
    for (size_t i = 0; i < count; i++)
        if (!luks_sector_seal(d->sealer, d->data + i * LUKS_SECTOR_SIZE, first + i,
                              d->tags + i * LUKS_TAG_SIZE))
            return cofre_fail(err, COFRE_FAILED, "%s: OpenSSL encrypts no sector", d->path);
    if (!d->integrity)
        return put(d, d->data, len, first * LUKS_SECTOR_SIZE, err);
    int rc = put(d, d->data, len, dm_integrity_block(&d->layout, first), err);
    return rc < 0 ? rc : put(d, d->tags, count * LUKS_TAG_SIZE, dm_integrity_tag(&d->layout, first), err);
}

static int put_sectors(struct disk *d, struct cofre_err *err)
{
    int rc = luks_sealer_make(&d->sealer, d->volume, d->integrity, err);
    for (uint64_t at = 0; rc == 0 && at < d->sectors; at += PIECE)
        rc = put_piece(d, at, d->sectors - at < PIECE ? d->sectors - at : PIECE, err);
    return rc;
}

int luks_make(const char *path, const char *plain, const struct root *root, const uint8_t key[LUKS_KEY_SIZE],
              struct cofre_err *err)
{
    __attribute__((cleanup(disk_free))) struct disk *d = calloc(1, sizeof *d);
    if (!d)
        return cofre_fail(err, COFRE_FAILED, "%s: out of memory", path);
    *d = (struct disk){.path = path, .from = -1, .to = -1, .integrity = root->integrity};
    if (RAND_priv_bytes(d->volume, sizeof d->volume) != 1)
        return cofre_fail(err, COFRE_FAILED, "%s: no random bytes for its key", path);
    int rc = open_files(d, plain, err);
    if (rc == 0)
        rc = luks_format(path, root, d->volume, key, err);
    if (rc == 0 && d->integrity)
        rc = put_integrity(d, err);
    return rc < 0 ? rc : put_sectors(d, err);
}
