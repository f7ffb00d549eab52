/*
 * cofred as a whole, by its API, with a stand-in for cofre-vmm that does nothing: so that what is measured is cofred's. CPU time is of
 * all of cofred's processes and of those that have ended, by the control group that they are in; wall time says little on a machine
 * that is others' as well.
 */
#include <curl/curl.h>
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bench/row.h"
#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"

#define STARTS      40
#define REQUESTS    200
#define FEW         100 /* guests that are defined: a page */
#define MANY        1000
#define RUNNING     200
#define LISTS       10
#define IDLE_SECOND 10

static struct whole whole, *const w = &whole;
static char group[160], kernel[80];

/* cofred's CPU time */

static void write_text(const char *path, const char *text)
{
    CLEAN_FILE *file = fopen(path, "w");
    BENCH_CHECK(file && fputs(text, file) >= 0 && fflush(file) == 0);
}

/* This process and what it starts from here on. */
static void enter(const char *directory)
{
    char path[200], text[16];
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    (void)snprintf(text, sizeof text, "%d", (int)getpid());
    write_text(path, text);
}

/* In milliseconds. */
static double cpu_of(const char *directory)
{
    char path[200];
    unsigned long long microseconds = 0;
    (void)snprintf(path, sizeof path, "%s/cpu.stat", directory);
    CLEAN_FILE *file = fopen(path, "r");
    BENCH_CHECK(file && fscanf(file, "usage_usec %llu", &microseconds) == 1);
    return (double)microseconds / 1000;
}

static void start_in_group(void)
{
    (void)snprintf(group, sizeof group, "%s-bench", w->world.cgroup);
    BENCH_CHECK(mkdir(group, 0755) == 0);
    enter(group);
    whole_start(w);
    char above[160];
    (void)snprintf(above, sizeof above, "%.*s", (int)(strrchr(group, '/') - group), group);
    enter(above);
}

/* Guests */

static void define(unsigned from, unsigned to)
{
    char body[512];
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(body, sizeof body,
                       "{'name': 'g%04u', 'tee': 'none', 'cpus': 1, 'memory': 16777216, 'kernel': '%s', "
                       "'cmdline': 'launch wait'}",
                       i, kernel);
        json_decref(whole_must(w, 201, "POST", "/tenants/shop/guests", body));
    }
}

static void run(unsigned i, const char *what, const char *then)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/tenants/shop/guests/g%04u/%s", i, what);
    json_decref(whole_must(w, 202, "POST", path, NULL));
    (void)snprintf(path, sizeof path, "/tenants/shop/guests/g%04u/wait?state=%s&seconds=20", i, then);
    json_decref(whole_must(w, 200, "GET", path, NULL));
}

/* What a process costs that does what the guest's does, and no more. */
static void start_by_hand(void)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)execl(w->world.program, "stand-in", "--name", "bare", "--cmdline", "wait", "--console", "fd=1",
                    "--launches", "fd=1", (char *)NULL);
        _exit(127);
    }
    BENCH_CHECK(child > 0);
    (void)kill(child, SIGKILL);
    BENCH_CHECK(waitpid(child, NULL, 0) == child);
}

/* Of this process, and of children that it has waited for, in milliseconds. */
static double own_cpu(void)
{
    struct rusage children;
    BENCH_CHECK(getrusage(RUSAGE_CHILDREN, &children) == 0);
    return 1e3 * (bench_clock(CLOCK_PROCESS_CPUTIME_ID) +
                  (double)(children.ru_utime.tv_sec + children.ru_stime.tv_sec)) +
           (double)(children.ru_utime.tv_usec + children.ru_stime.tv_usec) / 1e3;
}

static void starts(void)
{
    double before = cpu_of(group);
    for (unsigned i = 0; i < STARTS; i++)
        run(i, "start", "running");
    const double each = (cpu_of(group) - before) / STARTS;
    before = own_cpu();
    for (unsigned i = 0; i < STARTS; i++)
        start_by_hand();
    const double bare = (own_cpu() - before) / STARTS;
    bench_row_print(&(struct bench_row){.figure = "cofred: a guest's start and the wait for it, CPU time",
                                        .of = "cofred, all of its processes",
                                        .unit = "ms",
                                        .value = each,
                                        .beside = "fork, execve and the end of as empty a process",
                                        .beside_value = bare,
                                        .aim_of = "value",
                                        .aim_kind = "at_most",
                                        .aim = 5});
    for (unsigned i = 0; i < STARTS; i++)
        run(i, "kill", "stopped");
}

/* Requests */

struct client {
    CURL *curl;
    size_t bytes;
};

static size_t count(char *data, size_t size, size_t n, void *context)
{
    (void)data;
    ((struct client *)context)->bytes += size * n;
    return size * n;
}

static void get(struct client *c, const char *path)
{
    char url[256];
    long status = 0;
    (void)snprintf(url, sizeof url, "http://cofred/v1%s", path);
    (void)curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, w->socket);
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, count);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    BENCH_CHECK(curl_easy_perform(c->curl) == CURLE_OK &&
                curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200);
}

static double requests(bool anew)
{
    struct client c = {.curl = curl_easy_init()};
    (void)curl_easy_setopt(c.curl, CURLOPT_FORBID_REUSE, anew ? 1L : 0L);
    const double before = cpu_of(group);
    for (unsigned i = 0; i < REQUESTS; i++)
        get(&c, "/session");
    curl_easy_cleanup(c.curl);
    return (cpu_of(group) - before) / REQUESTS;
}

static void connections(void)
{
    struct bench_times round[5];
    for (unsigned i = 0; i < 5; i++)
        round[i] = (struct bench_times){requests(true), requests(false)};
    const struct bench_times middle = bench_middle(round, 5);
    bench_row_print(&(struct bench_row){.figure = "cofred: a request, CPU time",
                                        .of = "cofred, on a new connection",
                                        .unit = "ms",
                                        .value = middle.measured,
                                        .beside = "cofred, on one that is there",
                                        .beside_value = middle.beside});
}

/* All guests, in pages of FEW; milliseconds a guest. */
static double list_all(unsigned guests)
{
    struct client c = {.curl = curl_easy_init()};
    const double before = cpu_of(group);
    for (unsigned i = 0; i < LISTS; i++)
        for (unsigned from = 0; from < guests; from += FEW) {
            char path[96];
            (void)snprintf(path, sizeof path,
                           from ? "/tenants/shop/guests?limit=%d&after=g%04u"
                                : "/tenants/shop/guests?limit=%d",
                           FEW, from - 1);
            c.bytes = 0;
            get(&c, path);
            BENCH_CHECK(c.bytes > (size_t)FEW * 64);
        }
    curl_easy_cleanup(c.curl);
    return (cpu_of(group) - before) / LISTS / guests;
}

static void lists(void)
{
    define(STARTS, FEW);
    const double few = list_all(FEW);
    define(FEW, MANY);
    const double many = list_all(MANY);
    bench_row_print(
        &(struct bench_row){.figure = "cofred: a list of guests in pages of 100, CPU time for each",
                            .of = "cofred, 1,000 guests defined",
                            .unit = "ms",
                            .value = many,
                            .beside = "cofred, 100 guests defined",
                            .beside_value = few,
                            .aim_of = "ratio",
                            .aim_kind = "at_most",
                            .aim = 1.3});
}

/* Idle */

struct idle {
    double pss; /* MiB */
    unsigned long long switches;
    unsigned processes;
};

/* Of the line that begins with the key. */
static unsigned long long field(const char *pid, const char *file, const char *key)
{
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    CLEAN_FILE *of = fopen(path, "r");
    while (of && fgets(line, sizeof line, of))
        if (strncmp(line, key, strlen(key)) == 0)
            return strtoull(line + strlen(key), NULL, 10);
    return 0;
}

static void look(struct idle *out, const char *directory)
{
    char path[200], pid[32];
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    CLEAN_FILE *list = fopen(path, "r");
    BENCH_CHECK(list);
    *out = (struct idle){0};
    while (fgets(pid, sizeof pid, list)) {
        pid[strcspn(pid, "\n")] = 0;
        out->pss += (double)field(pid, "smaps_rollup", "Pss:") / 1024;
        out->switches += field(pid, "status", "voluntary_ctxt_switches:");
        out->processes++;
    }
}

static void idle(void)
{
    struct idle before, after;
    for (unsigned i = 0; i < RUNNING; i++)
        run(i, "start", "running");
    (void)poll(NULL, 0, 2000); /* connections that ended */
    look(&before, group);
    const double cpu = cpu_of(group);
    (void)poll(NULL, 0, IDLE_SECOND * 1000);
    look(&after, group);
    BENCH_CHECK(after.processes >= 5);
    bench_row_print(&(struct bench_row){.figure = "cofred, idle, 200 guests running",
                                        .of = "memory of all its processes, shared pages by their share",
                                        .unit = "MiB",
                                        .value = after.pss,
                                        .aim_of = "value",
                                        .aim_kind = "at_most",
                                        .aim = 20});
    bench_row_print(&(struct bench_row){.figure = "cofred, idle, 200 guests running",
                                        .of = "times that a process of it woke up in 10 s",
                                        .unit = "",
                                        .value = (double)(after.switches - before.switches),
                                        .aim_of = "value",
                                        .aim_kind = "at_most",
                                        .aim = 0});
    bench_row_print(&(struct bench_row){.figure = "cofred, idle, 200 guests running",
                                        .of = "CPU time in 10 s",
                                        .unit = "ms",
                                        .value = cpu_of(group) - cpu});
    for (unsigned i = 0; i < RUNNING; i++)
        run(i, "kill", "stopped");
}

int main(int argc, char **argv)
{
    BENCH_CHECK(argc == 3);
    const char *why = whole_make(w, argv[1], argv[2]);
    if (why) {
        printf("skipped: %s\n", why);
        return 77;
    }
    start_in_group();
    json_decref(whole_must(w, 201, "POST", "/tenants", "{'name': 'shop'}"));
    whole_image(w, "shop", "kernel of the benchmark", kernel);
    define(0, STARTS);
    starts();
    connections();
    lists();
    idle();
    (void)whole_stop(w, SIGTERM);
    (void)rmdir(group);
    whole_free(w);
    return 0;
}
