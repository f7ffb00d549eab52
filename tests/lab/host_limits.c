/* The lab's test of hands with real guests: host-limits COFRE-VMM CGROUP, as root with KVM. A guest with loads that it starts and ends
 * by words on its console; rates are of what came of them, in pairs of two limits of which one is half the other. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/hands/world.h"
#include "vmm/base/cleanup.h"

#define LOADED      1     /* guest */
#define PAIRS_USUAL 1     /* COFRE_LIMIT_PAIRS: more */
#define BUCKET      69632 /* of a rate at a tap, at least: tap.c */
#define MIB         (1ull << 20)
#define DISK        "/dev/ram0"
#define PROGRAM     "/dev/ram1" /* the guest's; a disk whose file system has no device has no io.max */
#define GUEST_MIB   256

static struct world world;
static struct world *const w = &world;
static uint64_t *received; /* by the other end of the network, in a process of its own */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The network's other end */

static void serve(int port, bool takes)
{
    static char data[65536];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(s, (void *)&a, sizeof a) < 0 || listen(s, 4) < 0)
        _exit(1);
    for (;;) {
        int c = accept(s, NULL, NULL);
        ssize_t n;
        while ((n = takes ? read(c, data, sizeof data) : write(c, data, sizeof data)) > 0)
            if (takes)
                __atomic_fetch_add(received, (uint64_t)n, __ATOMIC_SEQ_CST);
        close(c);
    }
}

static pid_t start_server(int port, bool takes)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        serve(port, takes);
    }
    return pid;
}

/* The guest's words */

static void tell(const char *word)
{
    const struct hands_open input = {HANDS_FILE_INPUT};
    assert_int_equal(world_ask(w, HANDS_OPEN, LOADED, &input, NULL, 0), 0);
    dprintf(w->fd, "%s\n", word);
    close(w->fd);
}

static const struct hands_statistics *statistics(void)
{
    assert_int_equal(world_ask(w, HANDS_STATISTICS, LOADED, NULL, NULL, 0), 0);
    return &w->answer.statistics;
}

/* What has come of a load so far */

static uint64_t counted(void)
{
    const struct hands_open console = {HANDS_FILE_CONSOLE};
    char text[4096];
    assert_int_equal(world_ask(w, HANDS_OPEN, LOADED, &console, NULL, 0), 0);
    off_t end = lseek(w->fd, 0, SEEK_END);
    ssize_t n = pread(w->fd, text, sizeof text - 1, end > 4095 ? end - 4095 : 0);
    close(w->fd);
    text[n > 0 ? n : 0] = 0;
    uint64_t last = 0;
    for (const char *at = text; (at = strstr(at, "load: count ")); at++)
        last = strchr(at, '\n') ? strtoull(at + 12, NULL, 10) : last;
    return last;
}

static uint64_t used(void)
{
    return statistics()->cpu_us;
}

static uint64_t written(void)
{
    return statistics()->write_bytes;
}

static uint64_t sent(void)
{
    return __atomic_load_n(received, __ATOMIC_SEQ_CST);
}

static uint64_t taken(void)
{
    return statistics()->network_in;
}

static void turn(unsigned milliseconds)
{
    struct timeval t = {0, 1000 * milliseconds};
    event_base_loopexit(w->base, &t);
    event_base_dispatch(w->base);
}

/* A second, from what comes in 0.8 after 0.3 that are not counted; in more where less comes than enough, for a bucket that is set anew
 * is full, and lets that much through at once. */
static double rate(uint64_t (*so_far)(void), uint64_t enough)
{
    for (double end = now() + 0.3; now() < end;)
        turn(20);
    uint64_t first = so_far();
    double begin = now();
    while (now() < begin + 0.8 || (so_far() - first < enough && now() < begin + 20))
        turn(20);
    return (double)(so_far() - first) / (now() - begin);
}

static void limit(const struct hands_limits *limits)
{
    int rc = world_ask(w, HANDS_LIMIT, LOADED, limits, NULL, 0);
    if (rc)
        print_message("limit: %s\n", w->why.text);
    assert_int_equal(rc, 0);
}

static const struct {
    const char *word;
    uint64_t (*so_far)(void);
    size_t limit; /* in struct hands_limits: bytes a second; cpu_quota else */
    uint64_t enough;
} loads[] = {
    {"cpu", used, 0, 0},
    {"disk", written, offsetof(struct hands_limits, write_bytes), 0},
    {"send", sent, offsetof(struct hands_limits, network_out), 5 * BUCKET},
    {"take", taken, offsetof(struct hands_limits, network_in), 5 * BUCKET},
};

static double limited(size_t i, double amount)
{
    struct hands_limits limits = {0};
    if (loads[i].limit)
        *(uint64_t *)(void *)((char *)&limits + loads[i].limit) = (uint64_t)amount;
    else
        limits.cpu_quota = (uint32_t)amount;
    limit(&limits);
    return rate(loads[i].so_far, loads[i].enough);
}

/* A half and a quarter of what comes of it without, where that is not more than a MiB, so that the limit and not the machine is what is
 * measured; of CPU time, of one CPU. */
static void half_the_limit_is_half_of_what_comes_of_a_load(void **state)
{
    (void)state;
    const char *more = getenv("COFRE_LIMIT_PAIRS");
    unsigned pairs = more ? (unsigned)atoi(more) : PAIRS_USUAL;
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        double whole = 0, half = 0;
        limit(&(struct hands_limits){0});
        tell(loads[i].word);
        for (uint64_t first = loads[i].so_far(); loads[i].so_far() == first;)
            turn(20);
        double amount = rate(loads[i].so_far, loads[i].enough) / 2;
        double quota = !loads[i].limit ? 500 : amount < MIB ? amount : MIB;
        for (unsigned n = 0; n < pairs; n++) {
            whole += limited(i, quota) / pairs;
            half += limited(i, quota / 2) / pairs;
        }
        tell("stop");
        print_message("%s: %.0f a second, %.0f with a limit, %.0f with half of it: %.2f\n", loads[i].word,
                      2 * amount, whole, half, half / whole);
        double kept = loads[i].limit ? quota : 1000 * quota; /* microseconds of thousandths */
        assert_true(whole > 0 && whole < 1.4 * kept);
        assert_true(half > 0 && half < 0.75 * kept); /* not even what the whole allows */
    }
    limit(&(struct hands_limits){0});
}

/* Whatever CPU it is on, none other. */
static void a_pinned_guest_stays_where_it_is_pinned(void **state)
{
    (void)state;
    char path[256], text[64];
    assert_int_equal(world_ask(w, HANDS_HOST, 0, NULL, NULL, 0), 0);
    unsigned cpu = (unsigned)__builtin_ctzll(w->answer.host.cpus[0]);
    const struct hands_limits pinned = {.cpus = {1ull << cpu}};
    limit(&pinned);
    snprintf(path, sizeof path, "%s/tenant-shop/guest-%d/cpuset.cpus.effective", w->cgroup, LOADED);
    CLEAN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    assert_int_equal(strtoul(text, NULL, 10), cpu);
    assert_null(strpbrk(text, ",-"));
    limit(&(struct hands_limits){0});
}

static void a_frozen_guest_counts_no_further(void **state)
{
    (void)state;
    tell("cpu");
    for (uint64_t first = counted(); counted() == first;)
        turn(20);
    assert_int_equal(world_ask(w, HANDS_FREEZE, LOADED, NULL, NULL, 0), 0);
    uint64_t first = counted(), before = used();
    (void)rate(counted, 0);
    assert_int_equal(counted(), first);
    assert_int_equal(used(), before);
    assert_int_equal(world_ask(w, HANDS_THAW, LOADED, NULL, NULL, 0), 0);
    while (counted() == first)
        turn(20);
}

static void a_guest_counts_on_while_hands_is_killed_and_comes_again(void **state)
{
    (void)state;
    uint64_t before = counted();
    world_stop_hands(w, true);
    world_start_hands(w);
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.count, 1);
    assert_int_equal(w->answer.list.entry[0].state, HANDS_IS_RUNNING);
    assert_int_equal(w->answer.list.entry[0].launches, 1);
    while (counted() <= before)
        turn(20);
    limit(&(struct hands_limits){.cpu_quota = 200, .network_in = MIB, .network_out = MIB});
    uint64_t throttled = statistics()->throttled;
    while (statistics()->throttled == throttled)
        turn(20);
    limit(&(struct hands_limits){0});
    tell("stop");
}

static int start(uint32_t guest, const struct hands_start *s, const char *const *files, unsigned count)
{
    int fds[HANDS_DESCRIPTORS_MAX] = {0};
    for (unsigned i = 0; i < count; i++)
        fds[i] = open(files[i], (strcmp(files[i], DISK) == 0 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    int rc = world_ask(w, HANDS_START, guest, s, fds, count);
    for (unsigned i = 0; i < count; i++)
        cleanup_close(&fds[i]);
    if (rc)
        print_message("start: %s\n", w->why.text);
    return rc;
}

/* What firmware reports is what was predicted, and is known while the guest runs; its user has the whole jail. */
static void a_confidential_guest_s_measurement_is_known_when_it_is_launched(void **state)
{
    (void)state;
    const char *const files[] = {"/lab/vmlinuz", "/lab/guest.cpio"};
    struct hands_start s = world_start("console=hvc0 quiet");
    s.tee = HANDS_TEE_SNP;
    s.emulated = 1;
    s.given |= HANDS_INITRD | HANDS_POLICY;
    s.policy = 0x30000;
    s.memory = GUEST_MIB * MIB;
    assert_int_equal(start(2, &s, files, 2), 0);
    world_until(w, world_was_launched, 2, NULL);
    const char *line = world_read(w, 2, HANDS_FILE_LAUNCHES);
    print_message("%s", line);
    const char *predicted = strstr(line, "\"predicted\":\""), *given = strstr(line, "\"given\":\"");
    assert_non_null(predicted);
    assert_non_null(given);
    assert_memory_equal(predicted + 13, given + 9, 96);
    assert_non_null(strstr(line, "\"jail_missing\":null"));
    assert_int_equal(world_ask(w, HANDS_KILL, 2, NULL, NULL, 0), 0);
    world_until(w, world_has_ended, 2, NULL);
    assert_int_equal(w->end[2].status, 128 + SIGKILL);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 2, NULL, NULL, 0), 0);
}

static void a_guest_with_too_few_processes_does_not_start(void **state)
{
    (void)state;
    const char *const files[] = {"/lab/vmlinuz", "/lab/guest.cpio"};
    struct hands_start s = world_start("console=hvc0 quiet");
    s.given |= HANDS_INITRD;
    s.memory = GUEST_MIB * MIB;
    s.limits.processes = 2;
    assert_int_equal(start(3, &s, files, 2), 0);
    world_until(w, world_has_ended, 3, NULL);
    assert_int_not_equal(w->end[3].status, 0);
    assert_int_equal(w->launched[3], 0);
    print_message("%s", world_read(w, 3, HANDS_FILE_LOG));
    assert_int_equal(world_ask(w, HANDS_REMOVE, 3, NULL, NULL, 0), 0);
}

/* Below what it holds it is refused; above it the guest is ended, whole, when it takes more, and that is told. */
static void a_guest_that_takes_more_memory_than_its_limit_ends(void **state)
{
    (void)state;
    struct hands_limits limits = {.memory = 8 * MIB};
    assert_int_equal(world_ask(w, HANDS_LIMIT, LOADED, &limits, NULL, 0), -COFRE_LACKING);
    limits.memory = statistics()->memory + 16 * MIB;
    limit(&limits);
    tell("memory");
    world_until(w, world_has_ended, LOADED, NULL);
    assert_int_equal(w->end[LOADED].status, -1); /* it was another hands' child */
    assert_true(w->end[LOADED].out_of_memory > 0);
}

static void nothing_is_left(void **state)
{
    (void)state;
    assert_int_equal(world_ask(w, HANDS_REMOVE, LOADED, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
}

static void a_guest_is_started_with_all_that_it_has(void **state)
{
    (void)state;
    const char *const files[] = {"/lab/vmlinuz", "/lab/guest.cpio", PROGRAM, DISK};
    struct hands_start s = world_start("console=hvc0 quiet");
    s.given |= HANDS_INITRD;
    s.memory = GUEST_MIB * MIB;
    s.vsock = 1;
    s.disks = 2;
    s.disk[0].read_only = 1;
    s.networks = 1;
    s.network[0].kind = HANDS_TAP;
    s.limits = (struct hands_limits){.cpu_weight = 200, .memory = 1024 * MIB, .processes = 100};
    assert_int_equal(start(LOADED, &s, files, 4), 0);
    world_until(w, world_was_launched, LOADED, NULL);
    print_message("%s", world_read(w, LOADED, HANDS_FILE_LAUNCHES));
    assert_non_null(strstr(world_read(w, LOADED, HANDS_FILE_LAUNCHES), "\"jail_missing\":null"));
    for (double end = now() + 60; !world_says(w, LOADED, "load: ready") && now() < end;)
        turn(20);
    if (!world_says(w, LOADED, "load: ready"))
        print_message("%s", world_read(w, LOADED, HANDS_FILE_LOG));
    assert_true(world_says(w, LOADED, "load: ready"));
}

static int set_up(void **state)
{
    (void)state;
    world_start_hands(w);
    const unsigned all = HANDS_CPU | HANDS_CPUSET | HANDS_MEMORY | HANDS_IO | HANDS_PIDS;
    assert_int_equal(w->controllers & all, all);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    snprintf(w->cgroup, sizeof w->cgroup, "%s", argv[2]);
    strcpy(w->guests, "/run/cofre-guests");
    w->config = (struct hands_config){.program = argv[1],
                                      .directory = w->guests,
                                      .emulated = "/var/lib/cofre/emulated",
                                      .cgroup = w->cgroup,
                                      .first_user = WORLD_FIRST_USER,
                                      .guests = WORLD_GUESTS,
                                      .bridge = {"cofre-br0"},
                                      .bridges = 1};
    w->base = event_base_new();
    received = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const pid_t servers[] = {start_server(9000, true), start_server(9001, false)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_is_started_with_all_that_it_has),
        cmocka_unit_test(half_the_limit_is_half_of_what_comes_of_a_load),
        cmocka_unit_test(a_pinned_guest_stays_where_it_is_pinned),
        cmocka_unit_test(a_frozen_guest_counts_no_further),
        cmocka_unit_test(a_guest_counts_on_while_hands_is_killed_and_comes_again),
        cmocka_unit_test(a_confidential_guest_s_measurement_is_known_when_it_is_launched),
        cmocka_unit_test(a_guest_with_too_few_processes_does_not_start),
        cmocka_unit_test(a_guest_that_takes_more_memory_than_its_limit_ends),
        cmocka_unit_test(nothing_is_left),
    };
    int rc = cmocka_run_group_tests(tests, set_up, NULL);
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++)
        kill(servers[i], SIGKILL);
    hands_client_free(w->client);
    event_base_free(w->base);
    return rc;
}
