/*
 * cofred: the host manager. This is the supervisor: it reads the configuration, opens what is listened at, and starts the parts, each as
 * this program anew with sockets to the others, so that no part has another's memory. Where one ends all are ended and started again;
 * guests go on meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "attest/store/db_log.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"
#include "vmm/host/config.h"
#include "vmm/host/part.h"

#define LOG_ROOM "cofred"
#include "vmm/base/log.h"

#define AGAIN_MAX 30 /* seconds between two starts, at most */
#define SETTLED   60 /* seconds after which an end is no sign of trouble with the start */

static const char help[] =
    "usage: cofred --config F [--check | --copy-log F]\n"
    "\n"
    "Runs guests for many tenants: who asks, by its API, gets what roles allow, and all of it is on record.\n"
    "\n"
    "  --config F  the configuration (docs/cofred.md)\n"
    "  --check     says what is wrong with it, and starts nothing\n"
    "  --copy-log F  writes the log of operations into a file, for cofre audit and cofre log; beside a cofred that runs, too\n"
    "  --help      this text\n"
    "\n"
    "SIGTERM: ends, and leaves guests running; the next start finds them.\n"
    "\n"
    "example: cofred --config /etc/cofre/cofred.json\n";

struct supervisor {
    struct config config;
    const char *path;
    int listening[CONFIG_LISTENERS_MAX];
    pid_t part[PARTS];
    int signals;
    bool ending;
};

/* What is listened at */

static int listen_unix(int *out, const char *path, unsigned mode, struct cofre_err *err)
{
    struct sockaddr_un address;
    *out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path);
    if (*out < 0 || !unix_address(&address, path) || bind(*out, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, mode) < 0 || listen(*out, 128) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be listened at: %s", path, strerror(errno));
    return 0;
}

static int bind_to(const struct addrinfo *at)
{
    const int on = 1;
    CLEAN_FD fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, 128) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int listen_tcp(int *out, const char *text, struct cofre_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[256];
    const char *colon = strrchr(text, ':');
    (void)snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - text) : 0, text);
    char *bare = *host == '[' ? host + 1 : host;
    if (*host == '[' && strlen(host) > 1)
        host[strlen(host) - 1] = 0;
    const int rc = colon ? getaddrinfo(*bare ? bare : NULL, colon + 1, &hints, &found) : EAI_NONAME;
    if (rc != 0)
        return cofre_fail(err, COFRE_USAGE, "listen: \"%s\" is no address with a port", text);
    *out = bind_to(found);
    const int error = errno;
    freeaddrinfo(found);
    return *out >= 0 ? 0 : cofre_fail(err, COFRE_LACKING, "%s cannot be listened at: %s", text, strerror(error));
}

static int make_dir(const char *path, const struct config_user *owner, mode_t mode, struct cofre_err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be made: %s", path, strerror(errno));
    if (owner->given && chown(path, owner->uid, owner->gid) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be given to its user: %s", path, strerror(errno));
    return 0;
}

static int open_all(struct supervisor *s, struct cofre_err *err)
{
    const struct config *c = &s->config;
    int rc = make_dir(c->run, &(struct config_user){.given = false}, 0755, err);
    if (rc == 0)
        rc = make_dir(c->state, &c->decider, 0700, err);
    for (size_t i = 0; rc == 0 && i < c->listeners; i++)
        rc = c->listener[i].unix_path ? listen_unix(&s->listening[i], c->listener[i].unix_path, c->listener[i].mode, err)
                                      : listen_tcp(&s->listening[i], c->listener[i].address, err);
    return rc;
}

/* Parts */

/* In a new process: these descriptors as 3, 4 ..., and the program anew. */
static void become(const struct supervisor *s, enum part part, const int *fd, size_t fds)
{
    int kept[PART_DESCRIPTORS_MAX];
    char number[8];
    for (size_t i = 0; i < fds; i++)
        if ((kept[i] = fcntl(fd[i], F_DUPFD, 64)) < 0)
            _exit(5);
    for (size_t i = 0; i < fds; i++)
        if (dup2(kept[i], PART_FIRST_FD + (int)i) < 0)
            _exit(5);
    if (close_range(PART_FIRST_FD + (unsigned)fds, ~0U, 0) < 0)
        _exit(5);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(number, sizeof number, "%zu", fds);
    execl("/proc/self/exe", "cofred", "--part", part_name(part), "--config", s->path, "--descriptors", number, (char *)NULL);
    _exit(5);
}

static int start(struct supervisor *s, enum part part, const int *fd, size_t fds, struct cofre_err *err)
{
    const pid_t supervisor = getpid();
    s->part[part] = fork();
    if (s->part[part] == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == supervisor)
            become(s, part, fd, fds);
        _exit(5);
    }
    return s->part[part] > 0 ? 0 : cofre_fail(err, COFRE_FAILED, "no process for %s", part_name(part));
}

/* The pairs between parts: each end goes to one part, and no other process keeps it. */
static int start_all(struct supervisor *s, struct cofre_err *err)
{
    int hands[2] = {-1, -1}, gate[2] = {-1, -1}, zygote[2] = {-1, -1}, ready[2] = {-1, -1};
    int *const pairs[] = {hands, gate, zygote, ready};
    int rc = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[i]) < 0)
            rc = cofre_fail(err, COFRE_FAILED, "no sockets between the parts: %s", strerror(errno));
    int of_gate[PART_DESCRIPTORS_MAX] = {gate[0], zygote[0]};
    for (size_t i = 0; i < s->config.listeners; i++)
        of_gate[2 + i] = s->listening[i];
    if (rc == 0)
        rc = start(s, PART_HANDS, (const int[]){hands[1]}, 1, err);
    if (rc == 0)
        rc = start(s, PART_ZYGOTE, (const int[]){zygote[1]}, 1, err);
    if (rc == 0)
        rc = start(s, PART_DECIDER, (const int[]){hands[0], gate[1], ready[1]}, 3, err);
    if (rc == 0)
        rc = start(s, PART_GATE, of_gate, 2 + s->config.listeners, err);
    char byte;
    close(TAKE_FD(ready[1]));
    const bool serves = rc == 0 && read(ready[0], &byte, 1) == 1; /* or the decider has ended, and said why */
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int end = 0; end < 2; end++)
            if (pairs[i][end] >= 0)
                close(pairs[i][end]);
    if (serves)
        (void)sd_notify(0, "READY=1");
    return rc;
}

static void end_all(struct supervisor *s)
{
    static const enum part order[] = {PART_GATE, PART_DECIDER, PART_ZYGOTE, PART_HANDS};
    for (size_t i = 0; i < PARTS; i++) {
        pid_t *pid = &s->part[order[i]];
        if (*pid > 0) {
            (void)kill(*pid, SIGTERM);
            while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
        *pid = 0;
    }
}

/* Until a part ends (its exit code), or this is to end (0, and ending). */
static int watch(struct supervisor *s)
{
    for (;;) {
        struct signalfd_siginfo info;
        if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info)
            continue;
        if (info.ssi_signo != SIGCHLD) {
            s->ending = true;
            return 0;
        }
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
            for (int part = 0; part < PARTS; part++)
                if (s->part[part] == pid) {
                    s->part[part] = 0;
                    log_warn("%s has ended (%s %d)", part_name((enum part)part), WIFSIGNALED(status) ? "signal" : "exit",
                             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                    return WIFEXITED(status) ? WEXITSTATUS(status) : COFRE_FAILED;
                }
    }
}

static void rest(struct supervisor *s, unsigned seconds)
{
    sigset_t ends;
    const struct timespec time = {.tv_sec = seconds};
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    s->ending = sigtimedwait(&ends, NULL, &time) > 0;
}

/* Usage and files that are no good do not mend themselves: such an end is this program's. */
static int supervise(struct supervisor *s, struct cofre_err *err)
{
    unsigned early = 0;
    int code = 0;
    while (!s->ending) {
        const time_t begun = time(NULL);
        int rc = start_all(s, err);
        if (rc < 0) {
            end_all(s);
            return rc;
        }
        code = watch(s);
        end_all(s);
        early = time(NULL) - begun < SETTLED ? early + 1 : 0;
        if (code == COFRE_USAGE || code == COFRE_LACKING || code == COFRE_MALFORMED)
            return cofre_fail(err, (enum cofre_error)code, "cofred cannot serve: the line before says why");
        if (!s->ending && early > 1)
            rest(s, early > 6 ? AGAIN_MAX : 1U << (early - 2));
    }
    (void)sd_notify(0, "STOPPING=1");
    return 0;
}

static int serve(const char *path, struct cofre_err *err)
{
    struct supervisor s = {.path = path};
    sigset_t taken;
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigprocmask(SIG_BLOCK, &taken, NULL);
    s.signals = signalfd(-1, &taken, SFD_CLOEXEC);
    int rc = config_read(&s.config, path, err);
    if (rc == 0)
        rc = open_all(&s, err);
    if (rc == 0)
        rc = supervise(&s, err);
    config_free(&s.config);
    return rc;
}

static int check(const char *path, struct cofre_err *err)
{
    struct config config;
    int rc = config_read(&config, path, err);
    config_free(&config);
    if (rc == 0)
        printf("%s: nothing is wrong with it\n", path);
    return rc;
}

static int copy_log(const char *path, const char *out, struct cofre_err *err)
{
    struct config config;
    char database[4200];
    struct db *db = NULL;
    int rc = config_read(&config, path, err);
    (void)snprintf(database, sizeof database, "%s/cofred.db", config.state ? config.state : "");
    if (rc == 0 && access(database, F_OK) < 0)
        rc = cofre_fail(err, COFRE_LACKING, "%s: %s", database, strerror(errno));
    if (rc == 0)
        rc = db_open(&db, database, err);
    CLEAN_FILE *to = rc == 0 ? fopen(out, "we") : NULL;
    if (rc == 0)
        rc = to ? db_log_copy(db, to, err) : cofre_fail(err, COFRE_FAILED, "%s: %s", out, strerror(errno));
    if (rc == 0 && fflush(to) != 0)
        rc = cofre_fail(err, COFRE_FAILED, "%s: %s", out, strerror(errno));
    db_close(db);
    config_free(&config);
    return rc;
}

int main(int argc, char **argv)
{
    enum { CONFIG, CHECK, COPY_LOG, PART, DESCRIPTORS, HELP };
    static const struct option options[] = {{"config", required_argument, NULL, CONFIG},
                                            {"check", no_argument, NULL, CHECK},
                                            {"copy-log", required_argument, NULL, COPY_LOG},
                                            {"part", required_argument, NULL, PART},
                                            {"descriptors", required_argument, NULL, DESCRIPTORS},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    const char *config = NULL, *part = NULL, *copy = NULL;
    unsigned descriptors = 0;
    bool checks = false;
    struct cofre_err err = {""};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case CONFIG: config = optarg; break;
        case CHECK: checks = true; break;
        case COPY_LOG: copy = optarg; break;
        case PART: part = optarg; break;
        case DESCRIPTORS: descriptors = (unsigned)strtoul(optarg, NULL, 10); break;
        case HELP: fputs(help, stdout); return 0;
        default: return COFRE_USAGE;
        }
    if (!config || optind != argc) {
        fputs(help, stderr);
        return COFRE_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    const int rc = part     ? part_run(part, config, descriptors, &err)
                   : checks ? check(config, &err)
                   : copy   ? copy_log(config, copy, &err)
                            : serve(config, &err);
    if (rc < 0)
        fprintf(stderr, "cofred: %s%s%s\n", part ? part : "", part ? ": " : "", err.text);
    return rc < 0 ? -rc : 0;
}
