/* The folders, and files in them: opened beneath, written, named. */
#include "vmm/host/images/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/host/images/folder.h"

#define LOCK_SECONDS 2 /* that whoever had it may take to end */

int store_open(int folder, const char *name, int flags, mode_t mode)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY),
                           .mode = mode,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                                      RESOLVE_NO_XDEV};
    long fd = syscall(SYS_openat2, folder, name, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

bool store_is_ours(int fd, uint64_t size)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size &&
           (st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int store_folder(int parent, const char *name, bool make)
{
    bool made = make && mkdirat(parent, name, 0700) == 0;
    int fd = !make || made || errno == EEXIST ? store_open(parent, name, O_RDONLY | O_DIRECTORY, 0) : -errno;
    if (fd >= 0 && made && fsync(parent) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int store_incoming(struct images *images, char name[static STORED_NAME_SIZE], struct cofre_err *err)
{
    (void)snprintf(name, STORED_NAME_SIZE, "%u", atomic_fetch_add(&images->next, 1));
    int fd = store_open(images->incoming, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        name[0] = 0;
    return fd < 0 ? cofre_fail(err, fd == -ENOSPC || fd == -EDQUOT ? COFRE_LACKING : COFRE_FAILED,
                               "the storage of images: a new file: %s", strerror(-fd))
                  : fd;
}

int store_write(int fd, struct view data, uint64_t offset, const char *what, struct cofre_err *err)
{
    while (data.len) {
        ssize_t n = pwrite(fd, data.data, data.len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
            return cofre_fail(err, COFRE_LACKING, "%s: the disk of the host's storage is full (%s)", what,
                              strerror(errno));
        if (n < 0)
            return cofre_fail(err, COFRE_FAILED, "%s: it cannot be written: %s", what, strerror(errno));
        data = (struct view){data.data + n, data.len - (size_t)n};
        offset += (uint64_t)n;
    }
    return 0;
}

int store_name(const struct images *images, const char *incoming, int folder, const char *name,
               struct cofre_err *err)
{
    return renameat(images->incoming, incoming, folder, name) == 0 && fsync(folder) == 0
               ? 0
               : cofre_fail(err, errno == ENOSPC ? COFRE_LACKING : COFRE_FAILED,
                            "the storage of images: a file cannot be given its name: %s", strerror(errno));
}

int store_tenant(const char *tenant, struct cofre_err *err)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789",
                      inner[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    const size_t len = strnlen(tenant, TENANT_NAME_MAX + 1);
    const bool is = len > 0 && len <= TENANT_NAME_MAX && strspn(tenant, inner) == len &&
                    strchr(ends, tenant[0]) && strchr(ends, tenant[len - 1]);
    return is ? 0 : cofre_fail(err, COFRE_NEGATIVE, "there is no such tenant");
}

void digest_name(char out[static STORED_NAME_SIZE], const struct image_digest *digest)
{
    hex_encode(out, digest->sha256, IMAGE_DIGEST_SIZE);
}

void disk_name(char out[static STORED_NAME_SIZE], uint32_t guest, unsigned place)
{
    (void)snprintf(out, STORED_NAME_SIZE, "%08x-%02u", guest, place);
}

/* Nothing that was being written when the last process ended is of use to anybody. */
static int empty_incoming(const struct images *images, struct cofre_err *err)
{
    struct folder_names names;
    int rc = folder_list(&names, images->incoming, err);
    for (size_t i = 0; rc == 0 && i < names.count; i++)
        if (unlinkat(images->incoming, names.name[i], 0) < 0)
            rc = cofre_fail(err, COFRE_FAILED, "the storage of images: incoming/%s cannot be removed: %s",
                            names.name[i], strerror(errno));
    folder_free(&names);
    return rc;
}

static int open_folders(struct images *images, struct cofre_err *err)
{
    struct {
        const char *name;
        int *fd;
    } folders[] = {{"incoming", &images->incoming}, {"images", &images->tenants}, {"disks", &images->disks}};
    if (file_lock(images->folder, LOCK_SECONDS) < 0)
        return cofre_fail(err, errno == EWOULDBLOCK ? COFRE_LACKING : COFRE_FAILED,
                          "the storage of images: %s",
                          errno == EWOULDBLOCK ? "another process has it" : strerror(errno));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        *folders[i].fd = store_folder(images->folder, folders[i].name, true);
        if (*folders[i].fd < 0)
            return cofre_fail(err, COFRE_FAILED, "the storage of images: its folder %s: %s", folders[i].name,
                              strerror(-*folders[i].fd));
    }
    return empty_incoming(images, err);
}

int images_open(struct images **out, int folder, struct cofre_err *err)
{
    struct images *images = malloc(sizeof *images);
    if (!images) {
        close(folder);
        return cofre_fail(err, COFRE_FAILED, "the storage of images: out of memory");
    }
    *images = (struct images){.folder = folder, .incoming = -1, .tenants = -1, .disks = -1};
    int rc = open_folders(images, err);
    if (rc < 0) {
        images_close(images);
        return rc;
    }
    *out = images;
    return 0;
}

void images_end(struct images *images)
{
    if (images)
        images->ends = true;
}

void images_close(struct images *images)
{
    if (!images)
        return;
    for (size_t i = 0; i < 4; i++)
        if ((&images->folder)[i] >= 0)
            close((&images->folder)[i]);
    free(images->touched);
    free(images);
}
