#include "vmm/init/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "vmm/base/cleanup.h"

#define SECTOR 512u
#define NAME   "root"

/* One call of the device mapper's: what it wants in front, then a target and its parameters. */
struct call {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char parameters[VERITY_TABLE_SIZE];
};

static int call(int control, struct call *c, unsigned long request, unsigned flags)
{
    c->head.version[0] = DM_VERSION_MAJOR;
    c->head.data_size = sizeof *c;
    c->head.data_start = offsetof(struct call, target);
    c->head.flags = flags;
    memcpy(c->head.name, NAME, sizeof NAME);
    return ioctl(control, request, c);
}

void verity_table(char out[VERITY_TABLE_SIZE], const struct root_verity *v, const char *disk, bool ends_guest)
{
    char hash[2 * ROOT_HASH_SIZE + 1], salt[2 * ROOT_HASH_SIZE + 1];
    hex_encode(hash, v->hash, ROOT_HASH_SIZE);
    hex_encode(salt, v->salt, ROOT_HASH_SIZE);
    /* The tree lies behind the data: its first block has the number that they end with. */
    (void)snprintf(out, VERITY_TABLE_SIZE, "1 %s %s %d %d %llu %llu sha256 %s %s%s", disk, disk, ROOT_BLOCK,
                   ROOT_BLOCK, (unsigned long long)v->blocks, (unsigned long long)v->blocks, hash, salt,
                   ends_guest ? " 1 panic_on_corruption" : "");
}

static int lacking(const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "the device mapper: %s: %s", what, strerror(errno));
}

/* The table at rest is replaced by this one, or is the first. */
static int load(int control, struct call *c, const struct root_verity *v, const char *disk, bool ends_guest,
                struct cofre_err *err)
{
    *c = (struct call){.head.target_count = 1,
                       .target = {.length = v->blocks * (ROOT_BLOCK / SECTOR), .target_type = "verity"}};
    verity_table(c->parameters, v, disk, ends_guest);
    if (call(control, c, DM_TABLE_LOAD, DM_READONLY_FLAG) < 0)
        return lacking("the tree of hashes cannot be opened", err);
    *c = (struct call){0};
    return call(control, c, DM_DEV_SUSPEND, 0) < 0 ? lacking("the root does not start", err) : 0;
}

static int create(int control, char device[VERITY_DEVICE_SIZE], struct cofre_err *err)
{
    struct call c = {0};
    if (call(control, &c, DM_DEV_CREATE, 0) < 0)
        return lacking("no device for the root", err);
    (void)snprintf(device, VERITY_DEVICE_SIZE, "/dev/dm-%u", minor(c.head.dev));
    return 0;
}

static int read_block(const char *device, uint64_t block, struct cofre_err *err)
{
    CLEAN_FD fd = open(device, O_RDONLY | O_CLOEXEC);
    CLEAN_FREE void *data = malloc(ROOT_BLOCK);
    if (fd < 0 || !data)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", device, strerror(errno));
    return pread(fd, data, ROOT_BLOCK, (off_t)(block * ROOT_BLOCK)) == ROOT_BLOCK
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE,
                            "the disk is not the one that this guest was measured with: block %llu does not "
                            "have the hash that leads to cofre.root's",
                            (unsigned long long)block);
}

/* Whether the disk is long enough for data and tree the kernel says too, but not in words that anyone would understand. */
static int check_size(const struct root_verity *v, const char *disk, struct cofre_err *err)
{
    uint64_t size = 0;
    CLEAN_FD fd = open(disk, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", disk, strerror(errno));
    return size / ROOT_BLOCK > v->blocks ? 0
                                         : cofre_fail(err, COFRE_NEGATIVE,
                                                      "the disk is not the one that this guest was measured "
                                                      "with: it is shorter than %llu blocks and their hashes",
                                                      (unsigned long long)v->blocks);
}

int verity_open(char device[VERITY_DEVICE_SIZE], const struct root_verity *v, const char *disk,
                struct cofre_err *err)
{
    CLEAN_FD control = open("/dev/" DM_DIR "/" DM_CONTROL_NODE, O_RDWR | O_CLOEXEC);
    struct call c;
    if (control < 0)
        return lacking("is not there", err);
    int rc = check_size(v, disk, err);
    if (rc == 0)
        rc = create(control, device, err);
    if (rc == 0)
        rc = load(control, &c, v, disk, false, err);
    if (rc == 0)
        rc = read_block(device, 0, err);
    if (rc == 0)
        rc = read_block(device, v->blocks - 1, err);
    return rc < 0 ? rc : load(control, &c, v, disk, true, err);
}
