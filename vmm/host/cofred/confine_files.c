/* Landlock (Documentation/userspace-api/landlock.rst). Bookworm's headers are of ABI 2, so ABI 3's bit is named here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/cofred/confine.h"

#define LOG_ROOM "cofred"
#include "vmm/base/log.h"

#define TRUNCATE (1ULL << 14)
#define READ     (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Neither devices nor sockets nor links nor programs. */
#define KEEP                                                                                                 \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | TRUNCATE)

/* What each ABI can take away, from the first on. */
static uint64_t all_of(long abi)
{
    return abi < 2 ? (1ULL << 13) - 1 : abi < 3 ? (1ULL << 14) - 1 : (1ULL << 15) - 1;
}

/* Of a file that is no directory there are fewer. */
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)

/* A place that is not there is none that could be opened. */
static int allow(int ruleset, const struct confine_place *place, uint64_t handled, struct cofre_err *err)
{
    CLEAN_FD fd = open(place->path, O_PATH | O_CLOEXEC);
    struct stat is = {.st_mode = S_IFDIR};
    if (fd >= 0)
        (void)fstat(fd, &is);
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = (place->kept ? KEEP : READ) & handled & (S_ISDIR(is.st_mode) ? ~0ULL : FILE_RIGHTS),
        .parent_fd = fd};
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? 0
                   : cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s", place->path, strerror(errno));
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0
               ? 0
               : cofre_fail(err, COFRE_LACKING, "Landlock refuses %s: %s", place->path, strerror(errno));
}

int confine_files(const struct confine_place *place, size_t count, struct cofre_err *err)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi <= 0) {
        log_warn("this kernel has no Landlock: files are kept from a part by their modes alone");
        return 0;
    }
    const struct landlock_ruleset_attr all = {.handled_access_fs = all_of(abi)};
    CLEAN_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    int rc = ruleset >= 0 ? 0 : cofre_fail(err, COFRE_LACKING, "Landlock: %s", strerror(errno));
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = allow(ruleset, &place[i], all.handled_access_fs, err);
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        rc = cofre_fail(err, COFRE_LACKING, "Landlock: %s", strerror(errno));
    return rc;
}
