#include "tests/unit/host/hands/world.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"

#define SECONDS 60

static bool put(const char *path, struct view data, unsigned mode)
{
    return file_write(path, data, mode, NULL) == 0 && chmod(path, mode) == 0;
}

static bool copy(const char *from, const char *to)
{
    struct bytes data = {0};
    bool good = file_read(&data, from, 64 << 20, NULL) == 0 && put(to, bytes_view(&data), 0755);
    bytes_free(&data);
    return good;
}

static bool make_bridge(const char *name)
{
    CLEAN_FD s = socket(AF_UNIX, SOCK_DGRAM, 0);
    return ioctl(s, SIOCBRADDBR, name) == 0;
}

const char *world_make(struct world *w, const char *stand_in)
{
    char mounted[96], some[1 << 16] = "kernel of the test";
    *w = (struct world){.fd = -1};
    if (geteuid() != 0)
        return "not root";
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return "no namespaces of its own";
    strcpy(w->directory, "/tmp/cofre-hands-XXXXXX");
    if (!mkdtemp(w->directory) || chmod(w->directory, 0711) < 0)
        return "no temporary directory";
    snprintf(mounted, sizeof mounted, "%s/cgroup", w->directory);
    if (mkdir(mounted, 0755) < 0 || mount("cgroup2", mounted, "cgroup2", 0, NULL) < 0)
        return "no control groups of version 2 here";
    snprintf(w->cgroup, sizeof w->cgroup, "%s/cofre-test-XXXXXX", mounted);
    if (!mkdtemp(w->cgroup) || chmod(w->cgroup, 0755) < 0)
        return "control groups cannot be made here";
    snprintf(w->guests, sizeof w->guests, "%s/guests", w->directory);
    snprintf(w->program, sizeof w->program, "%s/stand_in", w->directory);
    snprintf(w->kernel, sizeof w->kernel, "%s/kernel", w->directory);
    snprintf(w->disk, sizeof w->disk, "%s/disk", w->directory);
    struct view data = {(const uint8_t *)some, sizeof some};
    if (!copy(stand_in, w->program) || !put(w->disk, data, 0600) ||
        !put(w->kernel, (struct view){data.data, 18}, 0600))
        return "no files";
    snprintf(w->emulated, sizeof w->emulated, "%s/emulated", w->directory);
    if (mkdir(w->emulated, 0700) < 0)
        return "no files";
    w->bridge = make_bridge("cofre-br0");
    w->config = (struct hands_config){.program = w->program,
                                      .directory = w->guests,
                                      .cgroup = w->cgroup,
                                      .first_user = WORLD_FIRST_USER,
                                      .guests = WORLD_GUESTS,
                                      .bridge = {"cofre-br0", "cofre-none"},
                                      .bridges = 2};
    w->base = event_base_new();
    return NULL;
}

void world_free(struct world *w)
{
    char path[256];
    if (w->base)
        event_base_free(w->base);
    if (!w->cgroup[0])
        return;
    snprintf(path, sizeof path, "%s/manager", w->cgroup);
    (void)rmdir(path);
    (void)rmdir(w->cgroup);
    *strrchr(w->cgroup, '/') = 0;
    (void)umount2(w->cgroup, MNT_DETACH);
    const char *const files[] = {w->program, w->kernel, w->disk};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(files[i]);
    (void)rmdir(w->cgroup);
    (void)rmdir(w->guests);
    (void)rmdir(w->emulated);
    (void)rmdir(w->directory);
}

static void news(void *context, const struct hands_answer *answer)
{
    struct world *w = context;
    uint32_t guest = answer->header.guest;
    assert_true(guest < 64);
    if (answer->header.what == HANDS_LAUNCHED) {
        w->launched[guest]++;
        return;
    }
    assert_false(w->ended[guest]);
    w->ended[guest] = true;
    w->end[guest] = answer->ended;
}

static void lost(void *context, const struct cofre_err *why)
{
    struct world *w = context;
    w->lost = true;
    w->why = *why;
}

void world_start_hands(struct world *w)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    w->hands = fork();
    if (w->hands == 0) {
        struct cofre_err err;
        close(pair[0]);
        int rc = hands_serve(&w->config, pair[1], &err);
        if (rc)
            fprintf(stderr, "# hands: %s\n", err.text);
        _exit(-rc);
    }
    close(pair[1]);
    memset(w->ended, 0, sizeof w->ended);
    memset(w->launched, 0, sizeof w->launched);
    w->lost = false;
    const struct hands_client_calls calls = {news, lost};
    assert_int_equal(hands_client_new(&w->client, w->base, pair[0], &calls, w, NULL), 0);
    assert_int_equal(world_ask(w, HANDS_HOST, 0, NULL, NULL, 0), 0);
    w->controllers = w->answer.host.controllers;
}

void world_stop_hands(struct world *w, bool killed)
{
    int status;
    if (killed)
        kill(w->hands, SIGKILL);
    hands_client_free(w->client);
    w->client = NULL;
    assert_int_equal(waitpid(w->hands, &status, 0), w->hands);
    assert_int_equal(status, killed ? SIGKILL : 0);
}

struct waiting {
    struct world *w;
    bool done;
};

static void answered(void *context, int rc, const struct hands_answer *answer, int fd,
                     const struct cofre_err *why)
{
    struct waiting *waiting = context;
    struct world *w = waiting->w;
    waiting->done = true;
    w->rc = rc;
    w->fd = fd;
    if (answer)
        w->answer = *answer;
    if (why)
        w->why = *why;
}

int world_ask(struct world *w, enum hands_what what, uint32_t guest, const void *body, const int *fds,
              unsigned count)
{
    struct waiting waiting = {.w = w};
    w->fd = -1;
    int rc = hands_client_ask(w->client, what, guest, body, fds, count, answered, &waiting, &w->why);
    if (rc)
        return rc;
    while (!waiting.done)
        assert_int_equal(event_base_loop(w->base, EVLOOP_ONCE), 0);
    return w->rc;
}

struct hands_start world_start(const char *words)
{
    struct hands_start start = {.cpus = 1, .memory = 256 << 20, .given = HANDS_KERNEL};
    strcpy(start.cmdline, words);
    strcpy(start.tenant, "shop");
    return start;
}

int world_guest(struct world *w, uint32_t guest, const char *words, const struct hands_limits *limits)
{
    struct hands_start start = world_start(words);
    CLEAN_FD kernel = open(w->kernel, O_RDONLY | O_CLOEXEC);
    if (limits)
        start.limits = *limits;
    return world_ask(w, HANDS_START, guest, &start, &kernel, 1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What has no event of the loop's is looked at again after 10 ms. */
void world_until(struct world *w, bool (*so)(struct world *w, uint32_t guest, const char *text),
                 uint32_t guest, const char *text)
{
    double end = now() + SECONDS;
    while (!so(w, guest, text)) {
        struct timeval turn = {0, 10000};
        if (now() > end)
            fail_msg("guest %u: not within %d seconds: %s", guest, SECONDS, text ? text : "its news");
        event_base_loopexit(w->base, &turn);
        event_base_dispatch(w->base);
    }
}

bool world_has_ended(struct world *w, uint32_t guest, const char *none)
{
    (void)none;
    return w->ended[guest];
}

bool world_was_launched(struct world *w, uint32_t guest, const char *none)
{
    (void)none;
    return w->launched[guest] != 0;
}

const char *world_read(struct world *w, uint32_t guest, enum hands_file file)
{
    static char text[1 << 16];
    const struct hands_open open = {file};
    assert_int_equal(world_ask(w, HANDS_OPEN, guest, &open, NULL, 0), 0);
    ssize_t n = read(w->fd, text, sizeof text - 1);
    close(w->fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

bool world_says(struct world *w, uint32_t guest, const char *text)
{
    bool log = strncmp(text, "log:", 4) == 0;
    return strstr(world_read(w, guest, log ? HANDS_FILE_LOG : HANDS_FILE_CONSOLE), text + (log ? 4 : 0)) !=
           NULL;
}

/* The first entry that begins so. */
static bool has_entry(const char *path, const char *prefix, char *out, size_t size)
{
    bool found = false;
    DIR *entries = opendir(path);
    for (struct dirent *e; entries && !found && (e = readdir(entries));) {
        found = strncmp(e->d_name, prefix, strlen(prefix)) == 0 && e->d_name[0] != '.';
        if (found)
            snprintf(out, size, "%s/%s", path, e->d_name);
    }
    if (entries)
        closedir(entries);
    return found;
}

/* One that has ended, and waits for the machine's first process to take notice, is none. */
static bool is_alive(int proc, const char *pid)
{
    char name[300], text[512] = "";
    snprintf(name, sizeof name, "%s/stat", pid);
    CLEAN_FD fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    const char *state = n > 0 ? strrchr(text, ')') : NULL;
    return state && state[2] != 'Z' && state[2] != 'X';
}

static bool has_process(const struct hands_config *config, char *out, size_t size)
{
    bool found = false;
    DIR *entries = opendir("/proc");
    for (struct dirent *e; entries && !found && (e = readdir(entries));) {
        struct stat st;
        found = e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
                fstatat(dirfd(entries), e->d_name, &st, 0) == 0 && st.st_uid >= config->first_user &&
                st.st_uid < config->first_user + config->guests && is_alive(dirfd(entries), e->d_name);
        if (found)
            snprintf(out, size, "process %s", e->d_name);
    }
    if (entries)
        closedir(entries);
    return found;
}

static bool has_interface(char *out, size_t size)
{
    struct if_nameindex *all = if_nameindex();
    bool found = false;
    for (struct if_nameindex *i = all; i && i->if_name && !found; i++) {
        found = strncmp(i->if_name, "cofre", 5) == 0 && strcmp(i->if_name, "cofre-br0") != 0;
        if (found)
            snprintf(out, size, "interface %s", i->if_name);
    }
    if (all)
        if_freenameindex(all);
    return found;
}

const char *world_leftover(struct world *w)
{
    static char what[512];
    bool some = has_entry(w->cgroup, "guest-", what, sizeof what) ||
                has_entry(w->cgroup, "tenant-", what, sizeof what) ||
                has_entry(w->guests, "", what, sizeof what) || has_process(&w->config, what, sizeof what) ||
                has_interface(what, sizeof what);
    return some ? what : "";
}
