/* Preloaded into a program under test: see faults.h. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/service/faults/faults.h"

static struct faults *faults;
static const char *folder, *shadow, *broken;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The test finds it in the program's log. */
static void give_up(const char *what, const char *path)
{
    dprintf(2, "faults: %s: %s: %m\n", what, path);
    abort();
}

/* The functions themselves */

typedef ssize_t write_fn(int, const void *, size_t);
typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef int cut_fn(int, off_t);
typedef int sync_fn(int);
typedef int rename_fn(const char *, const char *);
typedef int exec_fn(void *, const char *, void *, void *, char **);
static write_fn *real_write;
static pwrite_fn *real_pwrite;
static cut_fn *real_cut;
static sync_fn *real_sync;
static rename_fn *real_rename;
static exec_fn *real_exec;

__attribute__((constructor)) static void begin(void)
{
    char path[PATH_MAX];
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_cut = dlsym(RTLD_NEXT, "ftruncate64");
    *(void **)&real_sync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
    *(void **)&real_exec = dlsym(RTLD_NEXT, "sqlite3_exec");
    folder = getenv(FAULTS_FOLDER);
    shadow = getenv(FAULTS_SHADOW);
    broken = getenv(FAULTS_BREAK);
    if (!folder || !shadow)
        return;
    snprintf(path, sizeof path, "%s/control", shadow);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        give_up("control", path);
    close(fd);
    faults = at;
}

/* Which files */

static bool is_ours(const char *path)
{
    const size_t len = strlen(folder);
    const char *name = path + len + 1;
    return strncmp(path, folder, len) == 0 && path[len] == '/' && !strchr(name, '/') &&
           (strncmp(name, "db", 2) == 0 || strncmp(name, "root", 4) == 0 ||
            strncmp(name, "backup", 6) == 0) &&
           !strstr(name, "-shm");
}

static bool path_of(int fd, char path[PATH_MAX])
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = faults ? readlink(link, path, PATH_MAX - 1) : -1;
    path[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* What a fault does */

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What is to happen at this call. */
static int strikes(enum fault_call call, const char *path)
{
    const size_t len = strlen(path), end = strlen(faults->suffix);
    const int action = atomic_load(&faults->action), wanted = atomic_load(&faults->call);
    atomic_fetch_add(&faults->seen[call], 1);
    if (action == FAULT_NONE || (wanted != FAULT_CALLS && wanted != (int)call) || len < end ||
        strcmp(path + len - end, faults->suffix) != 0 || (action == FAULT_EIO && call != FAULT_SYNC) ||
        atomic_fetch_sub(&faults->left, 1) != 1)
        return FAULT_NONE;
    atomic_fetch_add(&faults->struck, 1);
    if (action == FAULT_EIO)
        atomic_store(&faults->action, FAULT_NONE);
    if (action == FAULT_KILL_BEFORE)
        die();
    return action;
}

/* What was written and not synced */

#define RANGES 16384
static struct range {
    ino_t file;
    off_t at, len;
} range[RANGES];
static size_t ranges;

static void note(int fd, off_t at, size_t len)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return;
    pthread_mutex_lock(&lock);
    if (ranges == RANGES)
        give_up("too many writes", "");
    range[ranges++] = (struct range){st.st_ino, at, (off_t)len};
    pthread_mutex_unlock(&lock);
}

static void bring(int from, int to, const struct range *r)
{
    char block[65536];
    for (off_t done = 0; done < r->len;) {
        const size_t left = (size_t)(r->len - done);
        const ssize_t n = pread(from, block, left < sizeof block ? left : sizeof block, r->at + done);
        if (n <= 0)
            return; /* it was cut since */
        if (real_pwrite(to, block, (size_t)n, r->at + done) != n)
            give_up("shadow", "pwrite");
        done += n;
    }
}

/* Those of the file go, in order; keep says how many of them are brought to the disk. */
static void flush_ranges(int fd, const struct stat *st, const char *path, size_t keep)
{
    /* A file that is closed is unlocked, by whichever descriptor: SQLite's own is taken. */
    const bool own = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    char name[PATH_MAX];
    size_t left = 0, brought = 0;
    snprintf(name, sizeof name, "%s/%lu", shadow, (unsigned long)st->st_ino);
    int to = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600),
        from = own ? fd : open(path, O_RDONLY | O_CLOEXEC);
    if (to < 0 || from < 0)
        give_up("shadow", to < 0 ? name : path);
    for (size_t i = 0; i < ranges; i++) {
        if (range[i].file != st->st_ino)
            range[left++] = range[i];
        else if (brought++ < keep)
            bring(from, to, &range[i]);
    }
    ranges = left;
    if (keep == SIZE_MAX && real_cut(to, st->st_size) < 0)
        give_up("shadow", name);
    close(to);
    if (!own)
        close(from);
}

static void sync_folder(void)
{
    char line[PATH_MAX + 32];
    static const char *const names[] = {"root.json", "backup"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "%s/old-%s", shadow, names[i]);
        unlink(line);
    }
}

static int do_sync(int fd)
{
    char path[PATH_MAX];
    struct stat st;
    if (path_of(fd, path) && strcmp(path, folder) == 0) {
        if (strikes(FAULT_SYNC, path) == FAULT_KILL_WITHIN)
            die();
        sync_folder();
        return 0;
    }
    if (!faults || !is_ours(path) || fstat(fd, &st) < 0)
        return real_sync(fd);
    const int action = strikes(FAULT_SYNC, path);
    pthread_mutex_lock(&lock);
    flush_ranges(fd, &st, path,
                 action == FAULT_EIO           ? 0
                 : action == FAULT_KILL_WITHIN ? ranges / 2
                                               : SIZE_MAX);
    pthread_mutex_unlock(&lock);
    if (action == FAULT_KILL_WITHIN || action == FAULT_KILL_AFTER)
        die();
    if (action == FAULT_EIO)
        errno = EIO;
    return action == FAULT_EIO ? -1 : 0;
}

/* The calls */

int fsync(int fd)
{
    return do_sync(fd);
}

int fdatasync(int fd)
{
    return do_sync(fd);
}

/* at -1: where the file is. */
static ssize_t do_write(int fd, const void *data, size_t len, off_t at)
{
    char path[PATH_MAX];
    if (!path_of(fd, path) || !is_ours(path))
        return at < 0 ? real_write(fd, data, len) : real_pwrite(fd, data, len, at);
    const int action = strikes(FAULT_WRITE, path);
    const off_t start = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
    if (action == FAULT_KILL_WITHIN)
        len /= 2;
    note(fd, start, len); /* before it is done: another thread may sync it */
    const ssize_t n = at < 0 ? real_write(fd, data, len) : real_pwrite(fd, data, len, at);
    if (action == FAULT_KILL_WITHIN || action == FAULT_KILL_AFTER)
        die();
    return n;
}

ssize_t write(int fd, const void *data, size_t len)
{
    return real_write ? do_write(fd, data, len, -1) : -1;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return do_write(fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return do_write(fd, data, len, at);
}

static int do_cut(int fd, off_t len)
{
    char path[PATH_MAX];
    if (!path_of(fd, path) || !is_ours(path))
        return real_cut(fd, len);
    const int action = strikes(FAULT_CUT, path);
    const int rc = real_cut(fd, len);
    if (action == FAULT_KILL_WITHIN || action == FAULT_KILL_AFTER)
        die();
    return rc;
}

int ftruncate64(int fd, off_t len)
{
    return do_cut(fd, len);
}

int ftruncate(int fd, off_t len)
{
    return do_cut(fd, len);
}

int rename(const char *from, const char *to)
{
    char old[PATH_MAX];
    if (!faults || !is_ours(to))
        return real_rename(from, to);
    const int action = strikes(FAULT_RENAME, to);
    snprintf(old, sizeof old, "%s/old-%s", shadow, strrchr(to, '/') + 1);
    (void)!link(to, old); /* none was there, or an older one is still not synced */
    const int rc = real_rename(from, to);
    if (action == FAULT_KILL_WITHIN || action == FAULT_KILL_AFTER)
        die();
    return rc;
}

int sqlite3_exec(void *handle, const char *sql, void *row, void *context, char **why);
int sqlite3_exec(void *handle, const char *sql, void *row, void *context, char **why)
{
    char text[1024];
    const char *to = broken ? strchr(broken, '|') : NULL, *at = NULL;
    if (to) {
        snprintf(text, sizeof text, "%.*s", (int)(to - broken), broken);
        at = strstr(sql, text);
    }
    if (!at)
        return real_exec(handle, sql, row, context, why);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - sql), sql, to + 1, at + (to - broken));
    return real_exec(handle, text, row, context, why);
}
