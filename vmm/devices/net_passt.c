#include "vmm/devices/net_passt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"
#include "vmm/devices/net_stream.h"

#define CHILD_SOCKET  3
#define START_SECONDS 10
#define MTU           65520 /* the largest of which passt makes whole TCP segments */
#define WORDS_MAX     4096

extern char **environ;

/* Nobody but passt sees the guest's address, so it may be the same in every guest; a guest's cards differ. */
static void choose_mac(uint8_t mac[NET_MAC_LEN])
{
    static atomic_uint cards;
    const uint8_t first[NET_MAC_LEN] = {0x02, 'c', 'o', 'f', 'r', 0};
    memcpy(mac, first, sizeof first);
    mac[5] = (uint8_t)(atomic_fetch_add(&cards, 1) + 1);
}

static int from_socket(struct net_backend **out, const char *name, int fd, struct cofre_err *err)
{
    int rc = net_stream_new(out, name, fd, err);
    if (rc)
        return rc;
    (*out)->mtu = MTU;
    choose_mac((*out)->mac);
    return 0;
}

/* The last line that is no complaint about the system's log, which a machine need not have. */
static void last_line(char *words)
{
    const char *best = "it gave no reason";
    char *rest = words;
    while (rest) {
        const char *line = strsep(&rest, "\n");
        if (*line && !strstr(line, "syslog") && !strstr(line, "Don't run as root"))
            best = line;
    }
    memmove(words, best, strlen(best) + 1);
}

static int milliseconds_left(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left = (end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int)left : 0;
}

/* Until whoever writes there has closed it; false when that takes too long. */
static bool read_words(int fd, char words[WORDS_MAX])
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += START_SECONDS;
    size_t used = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char beyond[256];
        bool full = used == WORDS_MAX - 1;
        int ready = poll(&p, 1, milliseconds_left(&end));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        ssize_t n = full ? read(fd, beyond, sizeof beyond) : read(fd, words + used, WORDS_MAX - 1 - used);
        if (n <= 0)
            return true;
        used += full ? 0 : (size_t)n;
        words[used] = 0;
    }
}

static int spawn(pid_t *pid, int sock, int words, struct cofre_err *err)
{
    char *const argv[] = {(char *)"passt", (char *)"--quiet", (char *)"--fd", (char *)"3", NULL};
    _Static_assert(CHILD_SOCKET == 3, "as in argv");
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&actions, words, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, sock, CHILD_SOCKET);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_SOCKET + 1);
    int rc = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (rc == ENOENT)
        return cofre_fail(err, COFRE_LACKING,
                          "passt is not installed here; Debian's package: apt install passt");
    return rc ? cofre_fail(err, COFRE_FAILED, "passt cannot be started: %s", strerror(rc)) : 0;
}

/* The process that was started ends when passt is ready in the background, or cannot be. */
static int wait_until_ready(pid_t pid, int words_fd, struct cofre_err *err)
{
    char words[WORDS_MAX] = "";
    int status;
    bool in_time = read_words(words_fd, words);
    if (!in_time)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "passt: waitpid: %s", strerror(errno));
    if (!in_time)
        return cofre_fail(err, COFRE_FAILED, "passt was not ready after %d seconds", START_SECONDS);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    last_line(words);
    return cofre_fail(err, COFRE_LACKING, "passt did not start: %s", words);
}

int net_passt_start(struct net_backend **out, struct cofre_err *err)
{
    int pair[2], words[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return cofre_fail(err, COFRE_FAILED, "passt: socketpair: %s", strerror(errno));
    CLEAN_FD ours = pair[0];
    CLEAN_FD theirs = pair[1];
    if (pipe2(words, O_CLOEXEC) < 0)
        return cofre_fail(err, COFRE_FAILED, "passt: pipe: %s", strerror(errno));
    CLEAN_FD reader = words[0];
    CLEAN_FD writer = words[1];
    pid_t pid;
    int rc = spawn(&pid, theirs, writer, err);
    if (rc)
        return rc;
    close(TAKE_FD(writer));
    close(TAKE_FD(theirs));
    rc = wait_until_ready(pid, reader, err);
    return rc ? rc : from_socket(out, "passt", TAKE_FD(ours), err);
}

int net_passt_connect(struct net_backend **out, const char *path, struct cofre_err *err)
{
    char name[NET_NAME_SIZE];
    snprintf(name, sizeof name, "passt at %s", path);
    int fd = unix_connect(path);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", name,
                          errno == ECONNREFUSED || errno == ENOENT ? "nobody listens there"
                                                                   : strerror(errno));
    return from_socket(out, name, fd, err);
}
