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

#include "tests/bench/libvirt.h"
#include "tests/bench/row.h"
#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"

#define STARTS       40
#define REQUESTS     200
#define FEW          100 /* guests that are defined: a page */
#define MANY         1000
#define RUNNING      200
#define LISTS        10
#define IDLE_SECOND  10
#define WATCHERS     20
#define EVENTS       40
#define HEAR_SECONDS 60
#define ROUNDS       5
#define SOME         250 /* guests that are defined beside libvirt */
#define BATCH        6   /* guests that are started beside libvirt, in a round */

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

/* Requests */

struct client {
    CURL *curl;
    struct curl_slist *headers;
    size_t bytes;
};

static struct client client_new(void)
{
    const struct client c = {.curl = curl_easy_init(),
                             .headers = curl_slist_append(NULL, "Content-Type: application/json")};
    BENCH_CHECK(c.curl && c.headers);
    return c;
}

static void client_free(struct client *c)
{
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
}

static size_t count(char *data, size_t size, size_t n, void *context)
{
    (void)data;
    ((struct client *)context)->bytes += size * n;
    return size * n;
}

static void request(struct client *c, const char *method, const char *path, const char *body, long good)
{
    char url[256];
    long status = 0;
    (void)snprintf(url, sizeof url, "http://cofred/v1%s", path);
    (void)curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, w->socket);
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
    if (!body)
        (void)curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, body ? c->headers : NULL);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, count);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    BENCH_CHECK(curl_easy_perform(c->curl) == CURLE_OK &&
                curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == good);
}

static void get(struct client *c, const char *path)
{
    request(c, "GET", path, NULL, 200);
}

/* Guests */

static void define(unsigned from, unsigned to)
{
    char body[512];
    struct client c = client_new();
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"name\": \"g%04u\", \"tee\": \"none\", \"cpus\": 1, \"memory\": 16777216, "
                       "\"kernel\": \"%s\", \"cmdline\": \"launch wait\"}",
                       i, kernel);
        request(&c, "POST", "/tenants/shop/guests", body, 201);
    }
    client_free(&c);
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

/* Connections */

static double requests(bool anew)
{
    struct client c = client_new();
    (void)curl_easy_setopt(c.curl, CURLOPT_FORBID_REUSE, anew ? 1L : 0L);
    const double before = cpu_of(group);
    for (unsigned i = 0; i < REQUESTS; i++)
        get(&c, "/session");
    client_free(&c);
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
    struct client c = client_new();
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
    client_free(&c);
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

/* Beside libvirt: its daemon's own processor time. Both have one client with one connection, a line or a request for each guest. */

static double cofred_defines(unsigned from, unsigned to)
{
    const double before = cpu_of(group);
    define(from, to);
    return (cpu_of(group) - before) / (to - from);
}

static double libvirt_defines(struct libvirt *l, unsigned from, unsigned to)
{
    const double before = libvirt_cpu(l);
    libvirt_define(l, from, to);
    return (libvirt_cpu(l) - before) / (to - from);
}

/* With the wait for what hands has to say of it; and what libvirtd does until QEMU has answered that it is there. */
static double cofred_starts(unsigned from, unsigned to)
{
    char path[128];
    struct client c = client_new();
    const double before = cpu_of(group);
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(path, sizeof path, "/tenants/shop/guests/g%04u/start", i);
        request(&c, "POST", path, NULL, 202);
        (void)snprintf(path, sizeof path, "/tenants/shop/guests/g%04u/wait?state=running&seconds=20", i);
        get(&c, path);
    }
    const double each = (cpu_of(group) - before) / (to - from);
    client_free(&c);
    for (unsigned i = from; i < to; i++)
        run(i, "kill", "stopped");
    return each;
}

static double libvirt_starts(struct libvirt *l, unsigned from, unsigned to)
{
    const double before = libvirt_cpu(l);
    libvirt_run(l, from, to);
    const double each = (libvirt_cpu(l) - before) / (to - from);
    libvirt_end(l, from, to);
    return each;
}

static double libvirt_lists(struct libvirt *l, unsigned guests)
{
    const double before = libvirt_cpu(l);
    libvirt_list(l, LISTS, guests);
    return (libvirt_cpu(l) - before) / LISTS / guests;
}

static void print_beside_libvirt(const char *figure, struct bench_times times)
{
    bench_row_print(&(struct bench_row){.figure = figure,
                                        .of = "cofred, all of its processes",
                                        .unit = "ms",
                                        .value = times.measured,
                                        .beside = "libvirtd 9, its driver for QEMU",
                                        .beside_value = times.beside});
}

static void beside_libvirt(const char *script)
{
    struct libvirt l;
    struct bench_times defined[ROUNDS], listed[ROUNDS], started[ROUNDS];
    const char *why = libvirt_start(&l, script);
    if (why) {
        printf("libvirt is left out: %s\n", why);
        return;
    }
    const unsigned step = SOME / ROUNDS;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const unsigned from = MANY + i * step;
        defined[i] =
            (struct bench_times){cofred_defines(from, from + step), libvirt_defines(&l, from, from + step)};
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        started[i] = (struct bench_times){cofred_starts(MANY + i * BATCH, MANY + (i + 1) * BATCH),
                                          libvirt_starts(&l, MANY + i * BATCH, MANY + (i + 1) * BATCH)};
    for (unsigned from = MANY; from < 2 * MANY - SOME; from += step)
        libvirt_define(&l, from + SOME, from + SOME + step);
    for (unsigned i = 0; i < ROUNDS; i++)
        listed[i] = (struct bench_times){list_all(MANY), libvirt_lists(&l, MANY)};
    print_beside_libvirt("a plain guest defined, CPU time", bench_middle(defined, ROUNDS));
    print_beside_libvirt("1,000 guests listed, CPU time for each", bench_middle(listed, ROUNDS));
    print_beside_libvirt("a plain guest started, CPU time without the guest's",
                         bench_middle(started, ROUNDS));
    libvirt_stop(&l);
}

/* Watching */

struct watcher {
    CURL *curl;
    size_t events, matched; /* bytes of the next one's beginning */
};

struct watchers {
    CURLM *multi;
    struct watcher each[WATCHERS];
    unsigned count;
};

static size_t count_events(char *data, size_t size, size_t n, void *context)
{
    static const char begins[] = "\nevent: ";
    struct watcher *one = context;
    for (size_t i = 0; i < size * n; i++) {
        one->matched = data[i] == begins[one->matched] ? one->matched + 1 : data[i] == begins[0];
        if (begins[one->matched] == 0) {
            one->events++;
            one->matched = 0;
        }
    }
    return size * n;
}

static void watch(struct watchers *all, unsigned count)
{
    *all = (struct watchers){.multi = curl_multi_init(), .count = count};
    for (unsigned i = 0; i < count; i++) {
        CURL *curl = all->each[i].curl = curl_easy_init();
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, w->socket);
        (void)curl_easy_setopt(curl, CURLOPT_URL, "http://cofred/v1/events");
        (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_events);
        (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &all->each[i]);
        BENCH_CHECK(curl_multi_add_handle(all->multi, curl) == CURLM_OK);
    }
}

/* What the one has heard of who has heard least. */
static size_t least(const struct watchers *all)
{
    size_t events = SIZE_MAX;
    for (unsigned i = 0; i < all->count; i++)
        events = all->each[i].events < events ? all->each[i].events : events;
    return events;
}

static void look_for_events(struct watchers *all, int milliseconds)
{
    int running;
    BENCH_CHECK(curl_multi_perform(all->multi, &running) == CURLM_OK && running == (int)all->count &&
                curl_multi_poll(all->multi, NULL, 0, milliseconds, NULL) == CURLM_OK &&
                curl_multi_perform(all->multi, &running) == CURLM_OK && running == (int)all->count);
}

static void watch_no_more(struct watchers *all)
{
    for (unsigned i = 0; i < all->count; i++) {
        (void)curl_multi_remove_handle(all->multi, all->each[i].curl);
        curl_easy_cleanup(all->each[i].curl);
    }
    (void)curl_multi_cleanup(all->multi);
}

/* Pauses the first guest, or lets it go on. */
static void change(struct client *c, bool back)
{
    request(c, "POST", back ? "/tenants/shop/guests/g0000/resume" : "/tenants/shop/guests/g0000/pause", NULL,
            200);
}

/* Each of them has heard of so many events. */
static void hear(struct watchers *all, size_t events)
{
    const double until = bench_clock(CLOCK_MONOTONIC) + HEAR_SECONDS;
    while (least(all) < events) {
        look_for_events(all, 1000);
        BENCH_CHECK(bench_clock(CLOCK_MONOTONIC) < until);
    }
}

/* CPU time of one event with so many who watch: a guest is paused or goes on, and each of them has heard of it. */
static double events(unsigned count)
{
    struct watchers all;
    struct client c = client_new();
    watch(&all, count);
    while (least(&all) == 0) { /* each is there when it has heard of one */
        change(&c, 0);
        change(&c, 1);
        look_for_events(&all, 100);
    }
    size_t heard = 0, now;
    while ((now = least(&all)) != heard && count) { /* and has no more of them to come */
        heard = now;
        for (int i = 0; i < 10; i++)
            look_for_events(&all, 20);
    }
    for (unsigned i = 0; i < count; i++)
        all.each[i].events = 0;
    const double before = cpu_of(group);
    for (unsigned i = 0; i < EVENTS; i++) {
        change(&c, i % 2);
        hear(&all, i + 1);
    }
    const double each = (cpu_of(group) - before) / EVENTS;
    watch_no_more(&all);
    client_free(&c);
    return each;
}

static void watching(void)
{
    struct bench_times one[ROUNDS], many[ROUNDS];
    run(0, "start", "running");
    for (unsigned i = 0; i < ROUNDS; i++) {
        one[i].beside = many[i].beside = events(0);
        one[i].measured = events(1);
        many[i].measured = events(WATCHERS);
    }
    run(0, "kill", "stopped");
    const struct bench_times of_one = bench_middle(one, ROUNDS), of_many = bench_middle(many, ROUNDS);
    const struct {
        const char *of;
        struct bench_times times;
    } rows[] = {{"cofred, with one who watches", of_one}, {"cofred, with 20 who watch", of_many}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        bench_row_print(
            &(struct bench_row){.figure = "cofred: a guest paused or resumed, 1,000 defined, CPU time",
                                .of = rows[i].of,
                                .unit = "ms",
                                .value = rows[i].times.measured,
                                .beside = "cofred, with nobody who watches",
                                .beside_value = rows[i].times.beside});
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
    BENCH_CHECK(argc == 4);
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
    watching();
    beside_libvirt(argv[3]);
    idle();
    (void)whole_stop(w, SIGTERM);
    (void)rmdir(group);
    whole_free(w);
    return 0;
}
