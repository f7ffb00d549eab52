#include "vmm/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"

#define DESCRIPTOR_MAX 1048576

static enum cofre_error code_of_open(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EISDIR || error == EACCES ? COFRE_USAGE
                                                                                     : COFRE_FAILED;
}

static int too_long(const char *path, size_t max, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_MALFORMED, "%s: longer than %zu bytes, the most that is read here", path,
                      max);
}

/* Reads until the end, growing by doubling; one byte past max is enough to know that the file is too long. */
static int read_all(int fd, struct bytes *out, size_t size_hint, size_t max, const char *path,
                    struct cofre_err *err)
{
    size_t room = size_hint < max ? size_hint + 1 : max + 1;
    uint8_t *data = malloc(room);
    size_t len = 0;
    for (;;) {
        if (!data)
            return cofre_fail(err, COFRE_FAILED, "%s: no memory for %zu bytes", path, room);
        ssize_t n = read(fd, data + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(data);
            return cofre_fail(err, COFRE_USAGE, "%s: cannot be read: %s", path, strerror(errno));
        }
        len += (size_t)n;
        if (len > max) {
            free(data);
            return too_long(path, max, err);
        }
        if (n == 0)
            break;
        if (len == room) {
            room = room > max / 2 ? max + 1 : room * 2;
            uint8_t *grown = realloc(data, room);
            if (!grown)
                free(data);
            data = grown;
        }
    }
    *out = (struct bytes){data, len};
    return 0;
}

int file_named_descriptor(const char *path)
{
    uint64_t number;
    if (strncmp(path, "fd=", 3) != 0 || number_parse(&number, path + 3, "fd", 0, DESCRIPTOR_MAX, NULL))
        return -1;
    return (int)number;
}

int file_open_named(const char *path, int flags, unsigned mode)
{
    int named = file_named_descriptor(path);
    if (named < 0)
        return open(path, flags | O_CLOEXEC, mode);
    int has = fcntl(named, F_GETFL), wanted = flags & O_ACCMODE;
    if (has >= 0 && (has & O_PATH || ((has & O_ACCMODE) != O_RDWR && (has & O_ACCMODE) != wanted))) {
        errno = EACCES;
        return -1;
    }
    return has < 0 ? -1 : fcntl(named, F_DUPFD_CLOEXEC, 0);
}

/* *size is 0 where only reading tells it. */
static int open_to_read(int *fd, size_t *size, const char *path, struct cofre_err *err)
{
    struct stat st;
    *fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : file_open_named(path, O_RDONLY | O_NOCTTY, 0);
    if (*fd < 0)
        return cofre_fail(err, code_of_open(errno), "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(*fd, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", path, strerror(errno));
    if (file_named_descriptor(path) >= 0)
        (void)lseek(*fd, 0, SEEK_SET); /* a pipe has no beginning */
    if (S_ISDIR(st.st_mode))
        return cofre_fail(err, COFRE_USAGE, "%s: is a directory", path);
    *size = S_ISREG(st.st_mode) && st.st_size > 0 ? (size_t)st.st_size : 0;
    return 0;
}

int file_read(struct bytes *out, const char *path, size_t max, struct cofre_err *err)
{
    *out = (struct bytes){0};
    CLEAN_FD fd = -1;
    size_t size;
    int rc = open_to_read(&fd, &size, path, err);
    return rc ? rc : read_all(fd, out, size ? size : 4096, max, path, err);
}

static int write_all(int fd, struct view data)
{
    while (data.len) {
        ssize_t n = write(fd, data.data, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data.data += n;
        data.len -= (size_t)n;
    }
    return 0;
}

/* What can only be read, once and in order, gets a copy in memory that can be mapped. */
static int copy(int *fd, size_t *size, size_t max, const char *path, struct cofre_err *err)
{
    struct bytes data = {0};
    int rc = read_all(*fd, &data, 4096, max, path, err);
    if (rc)
        return rc;
    close(*fd);
    *fd = memfd_create("file", MFD_CLOEXEC);
    if (*fd < 0 || write_all(*fd, bytes_view(&data)) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "%s: a copy of it in memory: %s", path, strerror(errno));
    *size = data.len;
    bytes_free(&data);
    return rc;
}

int file_open(int *fd, size_t *size, const char *path, size_t max, struct cofre_err *err)
{
    int rc = open_to_read(fd, size, path, err);
    if (rc == 0 && *size > max)
        rc = too_long(path, max, err);
    return rc || *size ? rc : copy(fd, size, max, path, err);
}

int file_lock(int fd, unsigned seconds)
{
    static const struct timespec a_while = {.tv_nsec = 10000000};
    for (unsigned tries = seconds * 100;; tries--) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK || tries == 0)
            return -1;
        (void)nanosleep(&a_while, NULL);
    }
}

int file_write(const char *path, struct view data, unsigned mode, struct cofre_err *err)
{
    if (strcmp(path, "-") == 0)
        return write_all(STDOUT_FILENO, data) == 0
                   ? 0
                   : cofre_fail(err, COFRE_FAILED, "standard output: %s", strerror(errno));
    struct stat st;
    bool in_place = stat(path, &st) == 0 && !S_ISREG(st.st_mode); /* a pipe or /dev/null cannot be replaced */
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", path);
    CLEAN_FD fd = in_place ? open(path, O_WRONLY | O_CLOEXEC) : mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, code_of_open(errno), "%s: cannot be written: %s", path, strerror(errno));
    bool ok = write_all(fd, data) == 0;
    if (ok && !in_place)
        ok = fchmod(fd, mode) == 0 && fsync(fd) == 0 && rename(temporary, path) == 0;
    if (ok)
        return 0;
    int error = errno;
    if (!in_place)
        unlink(temporary);
    return cofre_fail(err, COFRE_FAILED, "%s: cannot be written: %s", path, strerror(error));
}
