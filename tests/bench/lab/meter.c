/*
 *   meter entry -- PROGRAM...         until it enters its guest for the first time
 *   meter text TEXT -- PROGRAM...     until TEXT appears in its output
 *   meter end -- PROGRAM...           until it ends
 *
 * Prints one JSON object: seconds since the program's start, processor time in milliseconds, memory in KiB; and where one of
 * its processes went into a jail before the first instruction, what of that time was before. Then all of the program is
 * killed. Its output goes to standard error. Exits with 1 if the program ended before it got there.
 */
#include "tests/bench/lab/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

_Noreturn void meter_die(const char *what)
{
    fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
    _exit(5);
}

/* A cgroup below our own, in which the program's time is added up. */
struct cgroup {
    char path[256], procs[300];
};

static void cgroup_make(struct cgroup *g)
{
    char own[128];
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f || fscanf(f, "0::%127s", own) != 1)
        meter_die("/proc/self/cgroup");
    fclose(f);
    snprintf(g->path, sizeof g->path, "/sys/fs/cgroup%s/meter-%d", own, (int)getpid());
    snprintf(g->procs, sizeof g->procs, "%s/cgroup.procs", g->path);
    if (mkdir(g->path, 0755) < 0)
        meter_die(g->path);
}

static FILE *cgroup_open(const struct cgroup *g, const char *name, const char *mode)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", g->path, name);
    FILE *f = fopen(path, mode);
    if (!f)
        meter_die(path);
    return f;
}

/* Microseconds of processor time, the guest's included. */
static uint64_t cgroup_time(const struct cgroup *g)
{
    unsigned long long usec = 0;
    FILE *f = cgroup_open(g, "cpu.stat", "re");
    if (fscanf(f, "usage_usec %llu", &usec) != 1)
        meter_die("cpu.stat");
    fclose(f);
    return usec;
}

static void cgroup_kill(const struct cgroup *g)
{
    FILE *f = cgroup_open(g, "cgroup.kill", "we");
    fputs("1", f);
    fclose(f);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum until { UNTIL_ENTRY, UNTIL_TEXT, UNTIL_END, UNTILS };
static const char *const until_names[UNTILS] = {"entry", "text", "end"};

struct meter {
    enum until until;
    const char *text;
    struct cgroup cgroup;
    int output,
        children; /* descriptors: the program's output, and a signal for each change of its processes */
    pid_t first;
    double started;
    uint64_t jailed; /* processor time when the jail began, 0: none did */
    char tail[4096]; /* of the output, in which the text is looked for */
    size_t tail_len;
    bool reached;
};

/* Nothing of the program runs while this does: it has the lab's one CPU by its priority, and does not wait. */
static void report(const struct meter *m)
{
    double seconds = now() - m->started;
    uint64_t usec = cgroup_time(&m->cgroup);
    struct memory_use use;
    memory_use_read(&use, m->cgroup.procs);
    json_t *object =
        json_pack("{s:f, s:f, s:I, s:I, s:I, s:i}", "seconds", seconds, "cpu_ms", (double)usec / 1e3,
                  "rss_kib", (json_int_t)use.rss, "pss_kib", (json_int_t)use.pss, "guest_kib",
                  (json_int_t)use.guest, "processes", (int)use.processes);
    if (m->jailed && json_object_set_new(object, "before_jail_ms", json_real((double)m->jailed / 1e3)))
        meter_die("printing");
    if (!object || json_dumpf(object, stdout, JSON_REAL_PRECISION(9)))
        meter_die("printing");
    putchar('\n');
    json_decref(object);
}

static void note_jail(void *context)
{
    struct meter *m = context;
    if (!m->jailed)
        m->jailed = cgroup_time(&m->cgroup);
}

static bool has_text(struct meter *m, const char *data, size_t len)
{
    if (m->tail_len + len > sizeof m->tail - 1) {
        size_t keep = strlen(m->text) < m->tail_len ? strlen(m->text) : m->tail_len;
        memmove(m->tail, m->tail + m->tail_len - keep, keep);
        m->tail_len = keep;
    }
    memcpy(m->tail + m->tail_len, data, len);
    m->tail_len += len;
    return memmem(m->tail, m->tail_len, m->text, strlen(m->text));
}

static void take_output(struct meter *m)
{
    char data[1024];
    ssize_t n = read(m->output, data, sizeof data);
    if (n <= 0)
        return;
    if (m->until == UNTIL_TEXT && !m->reached && has_text(m, data, (size_t)n)) {
        m->reached = true;
        report(m);
        cgroup_kill(&m->cgroup);
    }
    fwrite(data, 1, (size_t)n, stderr);
}

static void take_changes(struct meter *m, bool *running, int *status)
{
    struct signalfd_siginfo taken;
    while (read(m->children, &taken, sizeof taken) > 0)
        ;
    const struct tracee_watch watch = {note_jail, m};
    if (tracee_step(m->first, &watch, running, status) && !m->reached) {
        m->reached = true;
        report(m);
        cgroup_kill(&m->cgroup);
    }
}

static void start(struct meter *m, char **argv)
{
    int pipes[2];
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    m->children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->children < 0 || pipe2(pipes, O_CLOEXEC) < 0)
        meter_die("descriptors");
    m->output = pipes[0];
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &(struct sched_param){1}) < 0)
        meter_die("a real-time priority");
    cgroup_make(&m->cgroup);
    m->started = now();
    m->first = tracee_start(argv, m->cgroup.procs, pipes[1], m->until == UNTIL_ENTRY);
    close(pipes[1]);
}

static void follow(struct meter *m, int *status)
{
    bool running = true;
    while (running) {
        struct pollfd fds[] = {{.fd = m->output, .events = POLLIN}, {.fd = m->children, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            meter_die("poll");
        if (fds[0].revents & POLLIN)
            take_output(m);
        else if (
            fds[0].revents) /* closed; at our priority, polling it further would leave nobody time to end */
            close(TAKE_FD(m->output));
        if (fds[1].revents)
            take_changes(m, &running, status);
    }
}

static int usage(void)
{
    fprintf(stderr, "usage: meter entry|text TEXT|end -- PROGRAM...\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct meter m = {.until = UNTILS};
    int at = 2, status = 0;
    for (unsigned i = 0; argc > 1 && i < UNTILS; i++)
        if (strcmp(argv[1], until_names[i]) == 0)
            m.until = (enum until)i;
    if (m.until == UNTIL_TEXT && argc > 2)
        m.text = argv[at++];
    if (m.until == UNTILS || at + 1 >= argc || strcmp(argv[at], "--") != 0)
        return usage();
    start(&m, argv + at + 1);
    follow(&m, &status);
    if (m.until == UNTIL_END && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        m.reached = true;
        report(&m);
    }
    rmdir(m.cgroup.path);
    if (!m.reached)
        fprintf(stderr, "meter: %s ended before it got there (status %#x)\n", argv[at + 1], (unsigned)status);
    return m.reached ? 0 : 1;
}
