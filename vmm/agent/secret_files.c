#include "vmm/agent/secret_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"

#define BEFORE ".new" /* no key's name begins so */

int secret_folder_open(const char *path, struct cofre_err *err)
{
    struct stat st;
    struct statfs fs;
    CLEAN_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
        return cofre_fail(err, COFRE_USAGE, "--to %s: %s", path, strerror(errno));
    if (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
        return cofre_fail(err, COFRE_USAGE,
                          "--to %s is on a disk: secrets are put into a folder of a tmpfs, as /run is", path);
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return cofre_fail(err, COFRE_USAGE,
                          "--to %s may be written to by others; make a folder of your own there", path);
    return TAKE_FD(fd);
}

int secret_owner_parse(struct secret_owner *out, const char *text, struct cofre_err *err)
{
    char uid[16];
    const char *colon = strchrnul(text, ':');
    uint64_t user, group;
    (void)snprintf(uid, sizeof uid, "%.*s", (int)(colon - text), text);
    int rc = number_parse(&user, uid, "--owner", 0, INT32_MAX, err);
    group = user;
    if (rc == 0 && *colon)
        rc = number_parse(&group, colon + 1, "--owner", 0, INT32_MAX, err);
    if (rc == 0)
        *out = (struct secret_owner){(uid_t)user, (gid_t)group};
    return rc;
}

static bool write_all(int fd, struct view value)
{
    for (size_t done = 0; done < value.len;) {
        const ssize_t n = write(fd, value.data + done, value.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

int secret_file_write(int folder, const char *name, struct view value, const struct secret_owner *owner,
                      struct cofre_err *err)
{
    (void)unlinkat(folder, BEFORE, 0);
    CLEAN_FD fd = openat(folder, BEFORE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd >= 0 && write_all(fd, value) && fchown(fd, owner->uid, owner->gid) == 0 && fchmod(fd, 0400) == 0 &&
        renameat(folder, BEFORE, folder, name) == 0)
        return 0;
    int rc = cofre_fail(err, COFRE_FAILED, "the secret \"%s\" cannot be written: %s", name, strerror(errno));
    (void)unlinkat(folder, BEFORE, 0);
    return rc;
}
