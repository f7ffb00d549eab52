#include "vmm/host/cofred/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOG_ROOM "cofred"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/host/cofred/ground.h"
#include "vmm/host/cofred/notify.h"
#include "vmm/host/cofred/part.h"

#define END_SECONDS   20 /* that parts have to end in */
#define AGAIN_MOST    8  /* starts of all parts, after the first, ... */
#define AGAIN_SECONDS 60 /* ... in so long: then whoever started cofred is to know that it does not work */

struct supervisor {
    const char *path;
    struct config config;
    struct bytes text; /* of the configuration */
    struct ground ground;
    int program[PARTS];
    int signals, decider; /* decider: says that it serves */
    int keys;             /* whose end ends the part that fetches keys */
    pid_t pid[PARTS];     /* 0: not there */
    enum { STARTING, SERVING, ENDING } state;
    bool stop, again;  /* why it ends: to be gone, or to start again */
    int rc;            /* of the first part that failed */
    time_t end;        /* of ENDING: when it is made to */
    uint64_t watchdog; /* microseconds in which systemd wants to hear that it lives; 0: it does not */
    time_t starts[AGAIN_MOST];
    size_t start;
};

static time_t seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Processes */

/* What parsers would do each for itself, or copy: symbols are bound once, and memory that was given back is in one place. */
static void make_light(void)
{
    (void)setenv("LD_BIND_NOW", "1", 1);
    (void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
}

/* In the child: descriptors 3 and up become the part's, in their order. Only what is safe after fork(2) in one thread. */
static void be_part(const struct supervisor *s, enum part part, const int *fd, size_t count)
{
    int high[PART_DESCRIPTORS_MAX];
    const int program = fcntl(s->program[part], F_DUPFD_CLOEXEC, 100);
    sigset_t none;
    for (size_t i = 0; i < count; i++)
        high[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, 100);
    for (size_t i = 0; i < count; i++)
        if (dup2(high[i], PART_CONFIG_FD + (int)i) < 0)
            _exit(COFRE_FAILED);
    (void)close_range(PART_CONFIG_FD + (unsigned)count, ~0U, CLOSE_RANGE_CLOEXEC);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    if (part == PART_ZYGOTE)
        make_light();
    char *argument[] = {"cofred", "--part", (char *)(uintptr_t)part_name(part), NULL};
    (void)fexecve(program, argument, environ);
    _exit(COFRE_FAILED);
}

static int start_part(struct supervisor *s, enum part part, const int *fd, size_t count,
                      struct cofre_err *err)
{
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        be_part(s, part, fd, count);
    if (pid < 0)
        return cofre_fail(err, COFRE_FAILED, "no process for %s: %s", part_name(part), strerror(errno));
    s->pid[part] = pid;
    return 0;
}

static int pair(int ends[2], int type, struct cofre_err *err)
{
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0
               ? cofre_fail(err, COFRE_FAILED, "socketpair: %s", strerror(errno))
               : 0;
}

static int sealed_text(struct view text, struct cofre_err *err)
{
    CLEAN_FD fd = memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return cofre_fail(err, COFRE_FAILED, "a memory file for the configuration: %s", strerror(errno));
    return TAKE_FD(fd);
}

enum pairs {
    GATE_DECIDER,
    HANDS_DECIDER,
    GATE_ZYGOTE,
    SUPERVISOR_DECIDER,
    SUPERVISOR_KEYS,
    TPM_DECIDER,
    PAIRS
};

static int start_each(struct supervisor *s, int text, int (*ends)[2], struct cofre_err *err)
{
    const struct ground *g = &s->ground;
    int gate[PART_DESCRIPTORS_MAX] = {text, ends[GATE_DECIDER][0], ends[GATE_ZYGOTE][0]};
    memcpy(gate + 3, g->listening, sizeof g->listening[0] * g->count);
    const int hands[] = {text, ends[HANDS_DECIDER][0]}, zygote[] = {text, ends[GATE_ZYGOTE][1]},
              decider[] = {text, ends[HANDS_DECIDER][1], ends[GATE_DECIDER][1], ends[SUPERVISOR_DECIDER][1],
                           ends[TPM_DECIDER][1]},
              keys[] = {text, ends[SUPERVISOR_KEYS][1]}, tpm[] = {text, ends[TPM_DECIDER][0]};
    int rc = start_part(s, PART_HANDS, hands, 2, err);
    if (rc == 0)
        rc = start_part(s, PART_ZYGOTE, zygote, 2, err);
    if (rc == 0)
        rc = start_part(s, PART_DECIDER, decider, s->config.log_tpm ? 5 : 4, err);
    if (rc == 0)
        rc = start_part(s, PART_GATE, gate, 3 + g->count, err);
    if (rc == 0 && s->config.fetches)
        rc = start_part(s, PART_KEYS, keys, 2, err);
    if (rc == 0 && s->config.log_tpm)
        rc = start_part(s, PART_TPM, tpm, 2, err);
    return rc;
}

static void forget_ends(struct supervisor *s)
{
    cleanup_close(&s->decider);
    cleanup_close(&s->keys);
    s->decider = s->keys = -1;
}

static int start_all(struct supervisor *s, struct cofre_err *err)
{
    static const int types[PAIRS] = {
        [GATE_DECIDER] = SOCK_SEQPACKET,    [HANDS_DECIDER] = SOCK_SEQPACKET, [GATE_ZYGOTE] = SOCK_SEQPACKET,
        [SUPERVISOR_DECIDER] = SOCK_STREAM, [SUPERVISOR_KEYS] = SOCK_STREAM,  [TPM_DECIDER] = SOCK_SEQPACKET};
    int ends[PAIRS][2];
    memset(ends, -1, sizeof ends);
    CLEAN_FD text = sealed_text(bytes_view(&s->text), err);
    int rc = text < 0 ? text : 0;
    for (size_t i = 0; rc == 0 && i < PAIRS; i++)
        rc = pair(ends[i], types[i], err);
    if (rc == 0)
        rc = start_each(s, text, ends, err);
    s->decider = TAKE_FD(ends[SUPERVISOR_DECIDER][0]);
    s->keys = TAKE_FD(ends[SUPERVISOR_KEYS][0]);
    for (size_t i = 0; i < PAIRS; i++)
        for (size_t end = 0; end < 2; end++)
            cleanup_close(&ends[i][end]);
    s->state = STARTING;
    s->again = false;
    return rc;
}

/* What happens */

static void end_all(struct supervisor *s)
{
    static const enum part told[] = {PART_GATE, PART_DECIDER}; /* the others end when these are gone */
    if (s->state == ENDING)
        return;
    s->state = ENDING;
    s->end = seconds() + END_SECONDS;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (s->pid[told[i]])
            (void)kill(s->pid[told[i]], SIGTERM);
    forget_ends(s);
}

static void kill_all(struct supervisor *s)
{
    for (enum part part = 0; part < PARTS; part++)
        if (s->pid[part])
            (void)kill(s->pid[part], SIGKILL);
}

static void part_ended(struct supervisor *s, enum part part, int status)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : COFRE_FAILED;
    s->pid[part] = 0;
    if (part == PART_DECIDER && s->pid[PART_TPM]) /* it may be waiting for its TPM, and has nothing to lose */
        (void)kill(s->pid[PART_TPM], SIGKILL);
    if (part == PART_TPM && s->state == ENDING)
        return;
    if (WIFSIGNALED(status) && s->state != ENDING)
        log_error("%s was ended by signal %d", part_name(part), WTERMSIG(status));
    if (code && !s->rc)
        s->rc = -code;
    if (s->state == ENDING)
        return;
    if (s->state == STARTING)
        s->stop = true;
    log_warn("%s has ended: %s", part_name(part),
             s->stop ? "nothing serves yet, so cofred ends" : "all parts start again");
    s->again = !s->stop;
    end_all(s);
}

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (enum part part = 0; part < PARTS; part++)
            if (s->pid[part] == pid)
                part_ended(s, part, status);
}

static bool all_gone(const struct supervisor *s)
{
    for (enum part part = 0; part < PARTS; part++)
        if (s->pid[part])
            return false;
    return true;
}

/* Where the new one is no good, cofred goes on with what it has. Other directories and sockets are for another start. */
static void read_again(struct supervisor *s)
{
    struct cofre_err err = {""};
    CLEAN_BYTES text = {0};
    struct config *config = calloc(1, sizeof *config);
    int rc = config ? file_read(&text, s->path, CONFIG_FILE_MAX, &err)
                    : cofre_fail(&err, COFRE_FAILED, "no memory");
    if (rc == 0)
        rc = config_parse(config, bytes_view(&text), &err);
    if (rc < 0) {
        log_error("%s: %s; the configuration stays as it was", s->path, err.text);
        if (config)
            config_free(config);
        free(config);
        return;
    }
    config_free(&s->config);
    s->config = *config;
    free(config);
    bytes_free(&s->text);
    s->text = text;
    text = (struct bytes){0};
    s->again = true;
    end_all(s);
}

static void on_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGCHLD)
            reap(s);
        else if (info.ssi_signo == SIGHUP) {
            if (s->state == SERVING)
                read_again(s);
        } else {
            s->stop = true;
            s->again = false;
            (void)notify("STOPPING=1");
            end_all(s);
        }
}

static void on_decider(struct supervisor *s)
{
    char said[64];
    if (recv(s->decider, said, sizeof said, 0) <= 0) {
        cleanup_close(&s->decider); /* its end is seen when the process has ended */
        s->decider = -1;
        return;
    }
    if (s->state == SERVING) /* it is what was asked for by ask_decider */
        (void)notify("WATCHDOG=1");
    if (s->state != STARTING)
        return;
    s->state = SERVING;
    s->rc = 0;
    log_info("all parts serve");
    (void)notify("READY=1");
}

/* Whether they may start once more. */
static bool may_again(struct supervisor *s)
{
    time_t *oldest = &s->starts[s->start++ % AGAIN_MOST];
    const time_t before = *oldest;
    *oldest = seconds();
    return before == 0 || *oldest - before > AGAIN_SECONDS;
}

/* 1: go on. */
static int when_gone(struct supervisor *s, struct cofre_err *err)
{
    const int failed = s->rc;
    if (s->again && !s->stop && may_again(s)) {
        s->rc = 0;
        const int rc = start_all(s, err);
        return rc < 0 ? rc : 1;
    }
    if (s->again)
        return cofre_fail(err, COFRE_FAILED, "its parts ended %d times in %d seconds", AGAIN_MOST,
                          AGAIN_SECONDS);
    return failed < 0 && s->stop
               ? cofre_fail(err, (enum cofre_error) - failed, "it does not serve; what is said above is why")
               : 0;
}

/* Where nobody watches and nothing is to end, nothing wakes it up. */
static int wait_for(const struct supervisor *s)
{
    if (s->state == SERVING && s->watchdog)
        return (int)(s->watchdog / 2000);
    if (s->state != ENDING)
        return -1;
    const time_t left = s->end - seconds();
    return left > 0 ? (int)left * 1000 : 0;
}

static void on_time(struct supervisor *s)
{
    if (s->state != ENDING) {
        (void)send(s->decider, "?", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    log_error("its parts do not end: they are killed");
    kill_all(s);
    s->end = seconds() + END_SECONDS;
}

static int loop(struct supervisor *s, struct cofre_err *err)
{
    int rc = 1;
    while (rc == 1) {
        struct pollfd fds[] = {{.fd = s->signals, .events = POLLIN}, {.fd = s->decider, .events = POLLIN}};
        const int n = poll(fds, 2, wait_for(s));
        if (n == 0)
            on_time(s);
        if (n > 0 && fds[1].revents)
            on_decider(s);
        if (n > 0 && fds[0].revents)
            on_signal(s);
        if (s->state == ENDING && all_gone(s))
            rc = when_gone(s, err);
    }
    return rc;
}

static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Open from the start on, so that they are of this version also when the files are replaced. */
static int open_programs(struct supervisor *s, struct cofre_err *err)
{
    for (enum part part = 0; part < PARTS; part++) {
        s->program[part] = part_open(part, err);
        if (s->program[part] < 0)
            return s->program[part];
    }
    return 0;
}

static int begin(struct supervisor *s, struct cofre_err *err)
{
    if (geteuid() != 0)
        return cofre_fail(err, COFRE_LACKING,
                          "it is started as root, and its parts give up what they do not need");
    int rc = file_read(&s->text, s->path, CONFIG_FILE_MAX, err);
    if (rc == 0)
        rc = config_parse(&s->config, bytes_view(&s->text), err);
    if (rc < 0)
        return cofre_within(err, rc, "%s", s->path);
    s->signals = open_signals();
    if (s->signals < 0)
        return cofre_fail(err, COFRE_FAILED, "signals: %s", strerror(errno));
    rc = open_programs(s, err);
    if (rc < 0)
        return rc;
    s->watchdog = notify_watchdog();
    rc = ground_open(&s->ground, &s->config, err);
    return rc < 0 ? rc : start_all(s, err);
}

int supervise(const char *config_path, struct cofre_err *err)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    *s = (struct supervisor){.path = config_path, .signals = -1, .decider = -1, .keys = -1};
    memset(s->program, -1, sizeof s->program);
    ground_init(&s->ground);
    int rc = begin(s, err);
    if (rc == 0)
        rc = loop(s, err);
    kill_all(s);
    forget_ends(s);
    ground_close(&s->ground);
    for (enum part part = 0; part < PARTS; part++)
        cleanup_close(&s->program[part]);
    cleanup_close(&s->signals);
    bytes_free(&s->text);
    config_free(&s->config);
    free(s);
    return rc;
}
