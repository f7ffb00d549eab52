#include "vmm/host/hands/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/number.h"
#include "vmm/devices/rates.h"
#include "vmm/host/hands/as_user.h"
#include "vmm/host/hands/command.h"

#define NAME_SIZE          16
#define LOCK_SECONDS       10
#define RATES_NAME         "rates"
#define AT_ONCE            100000 /* files of a guest's user that one removal takes */
#define EMULATED_FILES_MAX 64
#define EMULATED_FILE_MAX  65536
#define LAUNCHES_MAX       65536 /* bytes of the file launches that are looked at */

static const struct {
    const char *name;
    int flags;
} files[] = {
    [HANDS_FILE_CONSOLE] = {"console", O_RDONLY},
    [HANDS_FILE_RESULT] = {"result", O_RDONLY},
    [HANDS_FILE_LOG] = {"log", O_RDONLY},
    [HANDS_FILE_LAUNCHES] = {"launches", O_RDONLY},
    [HANDS_FILE_INPUT] = {"input", O_WRONLY | O_NONBLOCK},
};

static int open_directory(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int places_open(const char *directory, struct cofre_err *err)
{
    struct stat st;
    if (mkdir(directory, 0711) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", directory, strerror(errno));
    CLEAN_FD fd = open_directory(AT_FDCWD, directory);
    if (fd < 0 || fstat(fd, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s: %s", directory, strerror(errno));
    if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
        return cofre_fail(err, COFRE_USAGE, "%s: others than root can write to it", directory);
    /* What hands that were killed had begun is whole or not there once they and their copies, which have it too until they are a guest's
     * process, are gone: then it is looked at. */
    if (file_lock(fd, LOCK_SECONDS) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", directory,
                          errno == EWOULDBLOCK ? "another cofred has it" : strerror(errno));
    return TAKE_FD(fd);
}

static void name_of(char out[NAME_SIZE], uint32_t guest)
{
    snprintf(out, NAME_SIZE, "%" PRIu32, guest);
}

int places_each(int places, void (*call)(void *context, uint32_t guest), void *context, struct cofre_err *err)
{
    DIR *entries = fdopendir(open_directory(places, "."));
    if (!entries)
        return cofre_fail(err, COFRE_FAILED, "the directory of guests: %s", strerror(errno));
    for (struct dirent *e; (e = readdir(entries));) {
        char name[NAME_SIZE];
        uint64_t guest;
        if (number_parse(&guest, e->d_name, "guest", 1, UINT32_MAX, NULL))
            continue;
        name_of(name, (uint32_t)guest);
        if (strcmp(name, e->d_name) == 0)
            call(context, (uint32_t)guest);
    }
    closedir(entries);
    return 0;
}

static int make_run(int place, uid_t user, struct cofre_err *err)
{
    if (mkdirat(place, "run", 0700) < 0 || fchownat(place, "run", user, user, AT_SYMLINK_NOFOLLOW) < 0)
        return cofre_fail(err, COFRE_FAILED, "a guest's directory run: %s", strerror(errno));
    if (mkfifoat(place, files[HANDS_FILE_INPUT].name, 0600) < 0)
        return cofre_fail(err, COFRE_FAILED, "a guest's pipe for input: %s", strerror(errno));
    return 0;
}

int place_make(int places, uint32_t guest, uid_t user, struct cofre_err *err)
{
    char name[NAME_SIZE];
    name_of(name, guest);
    if (mkdirat(places, name, 0711) < 0)
        return cofre_fail(err, errno == EEXIST ? COFRE_USAGE : COFRE_FAILED, "guest %s: its directory: %s",
                          name, strerror(errno));
    CLEAN_FD place = open_directory(places, name);
    int rc = place < 0 ? cofre_fail(err, COFRE_FAILED, "guest %s: %s", name, strerror(errno))
                       : make_run(place, user, err);
    if (rc == 0)
        return TAKE_FD(place);
    (void)place_remove(places, guest, user, NULL);
    return rc;
}

int place_open(int places, uint32_t guest, struct cofre_err *err)
{
    char name[NAME_SIZE];
    name_of(name, guest);
    int place = open_directory(places, name);
    return place >= 0 ? place
                      : cofre_fail(err, errno == ENOENT ? COFRE_LACKING : COFRE_FAILED,
                                   "guest %s: its directory: %s", name, strerror(errno));
}

/* Takes what is in a directory below top out of it: files are removed, directories move up to top, so that no depth is too
 * deep. */
static void flatten(int top, const char *name, unsigned *budget)
{
    DIR *entries = fchmodat(top, name, 0700, 0) == 0 ? fdopendir(open_directory(top, name)) : NULL;
    for (struct dirent *e; entries && *budget && (e = readdir(entries));) {
        char moved[NAME_SIZE + 8];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(moved, sizeof moved, ".moved-%u", (*budget)--);
        if (unlinkat(dirfd(entries), e->d_name, 0) == 0)
            continue;
        if (fchmodat(dirfd(entries), e->d_name, 0700, 0) == 0) /* to move it is to write to it */
            (void)renameat(dirfd(entries), e->d_name, top, moved);
    }
    if (entries)
        closedir(entries);
    (void)unlinkat(top, name, AT_REMOVEDIR);
}

/* True when there is nothing left. */
static bool sweep(int top, unsigned *budget)
{
    bool empty = true;
    DIR *entries = fdopendir(open_directory(top, "."));
    for (struct dirent *e; entries && *budget && (e = readdir(entries));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        empty = false;
        (*budget)--;
        if (unlinkat(top, e->d_name, 0) < 0)
            flatten(top, e->d_name, budget);
    }
    if (entries)
        closedir(entries);
    return entries && empty;
}

/* As the guest's user, who alone could write here. */
static int empty_run(int place, uid_t user, struct cofre_err *err)
{
    unsigned budget = AT_ONCE;
    bool empty = false;
    int rc = as_user(user, err);
    if (rc)
        return rc;
    bool there = fchmodat(place, "run", 0700, 0) == 0 || errno != ENOENT;
    CLEAN_FD run = open_directory(place, "run");
    while (run >= 0 && budget && !empty)
        empty = sweep(run, &budget);
    as_ourselves();
    return empty || !there
               ? 0
               : cofre_fail(err, COFRE_FAILED, "a guest's files in run: they are not all removed");
}

int place_remove(int places, uint32_t guest, uid_t user, struct cofre_err *err)
{
    char name[NAME_SIZE];
    name_of(name, guest);
    CLEAN_FD place = open_directory(places, name);
    if (place < 0)
        return errno == ENOENT ? 0 : cofre_fail(err, COFRE_FAILED, "guest %s: %s", name, strerror(errno));
    int rc = empty_run(place, user, err);
    if (rc)
        return cofre_within(err, rc, "guest %s", name);
    (void)unlinkat(place, "run", AT_REMOVEDIR);
    for (unsigned budget = AT_ONCE; budget && !sweep(place, &budget);)
        continue;
    return unlinkat(places, name, AT_REMOVEDIR) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "guest %s: its directory cannot be removed: %s", name,
                            strerror(errno));
}

void place_files_close(struct place_files *f)
{
    int *const all[] = {&f->input, &f->result, &f->log, &f->console, &f->launches, &f->rates};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cleanup_close(all[i]);
        *all[i] = -1;
    }
}

/* In place, since the guest's process has it mapped; each number is whole by itself. */
int place_rates_set(int place, const struct hands_limits *l, struct cofre_err *err)
{
    const struct rates_file rates = {
        .magic = RATES_MAGIC,
        .burst = l->disk_burst,
        .rate = {[RATE_READ_BYTES] = l->read_bytes,
                 [RATE_WRITE_BYTES] = l->write_bytes,
                 [RATE_READ_OPERATIONS] = l->read_operations,
                 [RATE_WRITE_OPERATIONS] = l->write_operations,
                 [RATE_NETWORK_IN] = l->network_in,
                 [RATE_NETWORK_OUT] = l->network_out},
    };
    CLEAN_FD fd = openat(place, RATES_NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 && pwrite(fd, &rates, sizeof rates, 0) == (ssize_t)sizeof rates
               ? 0
               : cofre_fail(err, COFRE_FAILED, "a guest's file %s: %s", RATES_NAME, strerror(errno));
}

/* The pipe is opened for both ways, so that it has no end when a decider closes it. */
int place_files_open(int place, struct place_files *out, struct cofre_err *err)
{
    *out = (struct place_files){-1, -1, -1, -1, -1, -1};
    const struct {
        int *fd;
        const char *name;
        int flags;
    } all[] = {
        {&out->input, files[HANDS_FILE_INPUT].name, O_RDWR},
        {&out->result, files[HANDS_FILE_RESULT].name, O_WRONLY | O_CREAT | O_EXCL},
        {&out->log, files[HANDS_FILE_LOG].name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND},
        {&out->console, files[HANDS_FILE_CONSOLE].name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND},
        {&out->launches, files[HANDS_FILE_LAUNCHES].name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND},
        {&out->rates, RATES_NAME, O_RDONLY},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i].fd = openat(place, all[i].name, all[i].flags | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*all[i].fd >= 0)
            continue;
        int rc = cofre_fail(err, COFRE_FAILED, "a guest's file %s: %s", all[i].name, strerror(errno));
        place_files_close(out);
        return rc;
    }
    return 0;
}

static int copy_file(int from, int to, const char *name, uid_t user, struct cofre_err *err)
{
    char data[EMULATED_FILE_MAX];
    struct stat st;
    CLEAN_FD in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (in < 0 || fstat(in, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "the emulated platform's %s: %s", name, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return 0;
    ssize_t n = read(in, data, sizeof data);
    if (n < 0 || n == (ssize_t)sizeof data)
        return cofre_fail(err, COFRE_FAILED, "the emulated platform's %s: it cannot be read, or is too long",
                          name);
    CLEAN_FD out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0 || write(out, data, (size_t)n) != n || fchown(out, 0, user) < 0 || fchmod(out, 0440) < 0)
        return cofre_fail(err, COFRE_FAILED, "a guest's copy of %s: %s", name, strerror(errno));
    return 0;
}

int place_copy_emulated(int place, const char *from, uid_t user, struct cofre_err *err)
{
    if (mkdirat(place, "emulated", 0700) < 0)
        return cofre_fail(err, COFRE_FAILED, "a guest's directory emulated: %s", strerror(errno));
    CLEAN_FD to = open_directory(place, "emulated");
    DIR *entries = opendir(from);
    if (!entries)
        return cofre_fail(err, COFRE_LACKING, "%s: %s; cofre emulated-root makes it", from, strerror(errno));
    int rc = fchown(to, 0, user) == 0 && fchmod(to, 0750) == 0
                 ? 0
                 : cofre_fail(err, COFRE_FAILED, "a guest's directory emulated: %s", strerror(errno));
    unsigned count = 0;
    for (struct dirent *e; rc == 0 && count < EMULATED_FILES_MAX && (e = readdir(entries)); count++)
        if (e->d_name[0] != '.')
            rc = copy_file(dirfd(entries), to, e->d_name, user, err);
    closedir(entries);
    return rc;
}

/* Who listens there learns of a connection from the guest's own user; a link leads to what that user may connect to. */
static int connect_vsock(int place, uint32_t guest, struct cofre_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[COMMAND_NAME_SIZE];
    command_name(name, guest);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/run/%s/vsock", place, name);
    CLEAN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (void *)&address, sizeof address) == 0)
        return TAKE_FD(fd);
    return cofre_fail(err, COFRE_LACKING, "guest %" PRIu32 ": its sockets: %s", guest,
                      errno == ENOENT ? "it has none, or it is not so far yet" : strerror(errno));
}

int place_file(int place, enum hands_file file, uint32_t guest, uid_t user, struct cofre_err *err)
{
    if (file == HANDS_FILE_VSOCK) {
        int rc = as_user(user, err);
        if (rc)
            return rc;
        rc = connect_vsock(place, guest, err);
        as_ourselves();
        return rc;
    }
    int fd = openat(place, files[file].name, files[file].flags | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 ? fd
                   : cofre_fail(err, COFRE_LACKING, "guest %" PRIu32 ": %s: %s", guest, files[file].name,
                                strerror(errno));
}

uint32_t place_launches(int place)
{
    char text[LAUNCHES_MAX];
    uint32_t lines = 0;
    CLEAN_FD fd = openat(place, files[HANDS_FILE_LAUNCHES].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : 0;
    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}
