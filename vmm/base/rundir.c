#include "vmm/base/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define NAME_MAX_LENGTH 64
#define TRIES           10
/* Sockets of programs that listen for the guest's connections. */
#define VSOCK_PORT_PREFIX "vsock_"
#define NAME_CHARACTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

static int base_directory(char *out, size_t size, struct cofre_err *err)
{
    const char *given = getenv("COFRE_RUN_DIR"), *session = getenv("XDG_RUNTIME_DIR");
    int n;
    if (given && *given)
        n = snprintf(out, size, "%s", given);
    else if (geteuid() == 0)
        n = snprintf(out, size, "/run/cofre");
    else if (session && *session)
        n = snprintf(out, size, "%s/cofre", session);
    else
        return cofre_fail(err, COFRE_USAGE,
                          "set COFRE_RUN_DIR: there is neither /run for this user nor XDG_RUNTIME_DIR");
    return n < (int)size ? n : cofre_fail(err, COFRE_USAGE, "the run directory's name is too long");
}

int rundir_of_guest(char *out, size_t size, const char *name, struct cofre_err *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LENGTH || name[0] == '.' || strspn(name, NAME_CHARACTERS) != len)
        return cofre_fail(
            err, COFRE_USAGE,
            "a guest's name has 1 to %d letters, digits, \"-\", \"_\" and \".\", and does not begin "
            "with \".\"",
            NAME_MAX_LENGTH);
    int used = base_directory(out, size, err);
    if (used < 0)
        return used;
    if (snprintf(out + used, size - (size_t)used, "/%s", name) >= (int)(size - (size_t)used))
        return cofre_fail(err, COFRE_USAGE, "the run directory's name is too long");
    return 0;
}

/* A claimed descriptor, -1 where there is no such directory, -2 where another process has the claim. */
static int claim(const char *path)
{
    CLEAN_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat claimed, there;
    if (fd < 0 || fstat(fd, &claimed) < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -2;
    /* Between the two calls its owner may have removed it, and another made a new one. */
    if (stat(path, &there) < 0 || there.st_ino != claimed.st_ino || there.st_dev != claimed.st_dev)
        return -1;
    return TAKE_FD(fd);
}

static void empty(int directory)
{
    DIR *entries = fdopendir(dup(directory));
    struct stat st;
    if (!entries)
        return;
    rewinddir(entries);
    for (struct dirent *e; (e = readdir(entries));)
        if (strncmp(e->d_name, VSOCK_PORT_PREFIX, strlen(VSOCK_PORT_PREFIX)) != 0 &&
            fstatat(directory, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
            (void)unlinkat(directory, e->d_name, 0);
    closedir(entries);
}

static int make(const char *path, struct cofre_err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return cofre_fail(err, COFRE_FAILED, "run directory %s: %s", path, strerror(errno));
}

int rundir_claim(const char *path, struct cofre_err *err)
{
    char base[PATH_MAX];
    snprintf(base, sizeof base, "%s", path);
    *strrchr(base, '/') = 0;
    int rc = make(base, err), fd = -1;
    /* Its owner may end between the two. */
    for (int tries = 0; tries < TRIES && rc == 0 && fd == -1; tries++) {
        rc = make(path, err);
        if (rc == 0)
            fd = claim(path);
    }
    if (fd >= 0)
        empty(fd);
    if (rc || fd >= 0)
        return rc ? rc : fd;
    if (fd == -2)
        return cofre_fail(err, COFRE_USAGE, "another guest has the name %s", strrchr(path, '/') + 1);
    return cofre_fail(err, COFRE_FAILED, "run directory %s: %s", path, strerror(errno));
}

void rundir_release(const char *path, int claimed)
{
    empty(claimed);
    (void)rmdir(path);
    close(claimed);
}

void rundir_remove(const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory >= 0)
        rundir_release(path, directory);
}
