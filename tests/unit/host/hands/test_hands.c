/* Hands at work, as root in namespaces of the test's own; a stand-in is cofre-vmm. What the host does not have is skipped. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/hands/world.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/devices/rates.h"
#include "vmm/host/hands/channel.h"

static struct world world;
static struct world *const w = &world;
static const char *missing;

static int up(void **state)
{
    (void)state;
    if (!missing)
        world_start_hands(w);
    return 0;
}

/* After each test: all that it started is removed, and nothing is left. */
static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    int rc = world_ask(w, HANDS_LIST, 0, NULL, NULL, 0);
    const struct hands_list list = w->answer.list;
    for (unsigned i = 0; i < list.count && rc == 0; i++)
        rc = world_ask(w, HANDS_REMOVE, list.entry[i].guest, NULL, NULL, 0);
    if (rc)
        print_message("# not all is removed: %s\n", w->why.text);
    world_stop_hands(w, false);
    assert_string_equal(world_leftover(w), "");
    return rc;
}

static void need(bool there, const char *what)
{
    if (!missing && there)
        return;
    print_message("# skipped: %s\n", missing ? missing : what);
    skip();
}

static void assert_says(uint32_t guest, const char *text)
{
    world_until(w, world_says, guest, text);
}

static void a_guest_runs_as_a_user_of_its_own_without_privilege(void **state)
{
    (void)state;
    need(true, "");
    char user[96], run[128];
    assert_int_equal(world_guest(w, 7, "who kernel wait", NULL), 0);
    assert_int_equal(world_guest(w, 8, "who wait", NULL), 0);
    assert_says(7, "kernel kernel of the test");
    const char *said = world_read(w, 7, HANDS_FILE_CONSOLE);
    unsigned uid = WORLD_FIRST_USER + 7 % WORLD_GUESTS;
    snprintf(user, sizeof user, "user %u %u groups %u %u ", uid, uid, uid, uid);
    snprintf(run, sizeof run, "environment COFRE_RUN_DIR=%s/7/run\n", w->guests);
    assert_non_null(strstr(said, user));
    assert_non_null(strstr(said, run));
    assert_non_null(strstr(said, "CapPrm:\t0000000000000000"));
    assert_non_null(strstr(said, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(said, "CapAmb:\t0000000000000000"));
    assert_non_null(strstr(said, "NoNewPrivs:\t1"));
    assert_non_null(strstr(said, "Seccomp:\t2"));
    snprintf(user, sizeof user, "user %u ", uid + 1);
    assert_says(8, user);
    assert_non_null(strstr(world_read(w, 7, HANDS_FILE_LOG), "stand-in: guest-7"));
}

static void it_has_its_own_descriptors_and_no_other(void **state)
{
    (void)state;
    need(true, "");
    struct hands_start start = world_start("descriptors wait");
    start.disks = 1;
    const int fds[] = {open(w->kernel, O_RDONLY | O_CLOEXEC), open(w->disk, O_RDWR | O_CLOEXEC)};
    assert_int_equal(world_guest(w, 1, "wait", NULL), 0); /* another's are open in hands */
    assert_int_equal(world_ask(w, HANDS_START, 2, &start, fds, 2), 0);
    close(fds[0]);
    close(fds[1]);
    world_until(w, world_says, 2, "no other\n");
    char *rest = strdup(world_read(w, 2, HANDS_FILE_CONSOLE));
    char *all = rest;
    unsigned count = 0;
    for (char *line; (line = strsep(&rest, "\n")) && strcmp(line, "no other") != 0; count++)
        assert_true(strstr(line, "/2/input") || strstr(line, "/2/result") || strstr(line, "/2/log") ||
                    strstr(line, "/2/console") || strstr(line, "/2/launches") || strstr(line, "/2/rates") ||
                    strstr(line, w->kernel) || strstr(line, w->disk));
    free(all);
    assert_int_equal(count, 8);
}

static void an_end_is_told_with_its_status(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "exit=3", NULL), 0);
    assert_int_equal(world_guest(w, 2, "abort", NULL), 0);
    assert_int_equal(world_guest(w, 3, "wait", NULL), 0);
    world_until(w, world_has_ended, 1, NULL);
    world_until(w, world_has_ended, 2, NULL);
    assert_int_equal(w->end[1].status, 3);
    assert_int_equal(w->end[2].status, 128 + SIGABRT);
    assert_int_equal(world_ask(w, HANDS_KILL, 3, NULL, NULL, 0), 0);
    world_until(w, world_has_ended, 3, NULL);
    assert_int_equal(w->end[3].status, 128 + SIGKILL);
    assert_int_equal(world_ask(w, HANDS_TERMINATE, 3, NULL, NULL, 0), -COFRE_USAGE);
    assert_int_equal(world_ask(w, HANDS_FREEZE, 3, NULL, NULL, 0), -COFRE_USAGE);
}

static void a_guest_that_is_asked_to_end_leaves_its_result(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "launch wait", NULL), 0);
    world_until(w, world_was_launched, 1, NULL);
    assert_string_equal(world_read(w, 1, HANDS_FILE_LAUNCHES), "{}\n");
    assert_int_equal(world_ask(w, HANDS_TERMINATE, 1, NULL, NULL, 0), 0);
    world_until(w, world_has_ended, 1, NULL);
    assert_int_equal(w->end[1].status, 0);
    assert_string_equal(world_read(w, 1, HANDS_FILE_RESULT), WORLD_RESULT);
}

/* Root's alone where it lies; a guest has a copy, and cannot write to it. */
static void an_emulated_guest_has_the_platform_s_keys_to_read(void **state)
{
    (void)state;
    need(true, "");
    char key[128];
    struct hands_start start = world_start("emulated wait");
    start.tee = HANDS_TEE_SNP;
    start.emulated = 1;
    CLEAN_FD kernel = open(w->kernel, O_RDONLY | O_CLOEXEC);
    assert_int_equal(world_ask(w, HANDS_START, 1, &start, &kernel, 1), -COFRE_LACKING);
    world_stop_hands(w, false);
    snprintf(key, sizeof key, "%s/vcek.key", w->emulated);
    CLEAN_FD fd = open(key, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "a key\n", 6), 6);
    w->config.emulated = w->emulated;
    world_start_hands(w);
    assert_int_equal(world_ask(w, HANDS_START, 1, &start, &kernel, 1), 0);
    assert_says(1, "read a key\n, write: Permission denied");
    w->config.emulated = NULL;
    unlink(key);
}

static void its_console_can_be_written_to(void **state)
{
    (void)state;
    need(true, "");
    const struct hands_open way_in = {HANDS_FILE_INPUT};
    assert_int_equal(world_guest(w, 1, "echo wait", NULL), 0);
    assert_int_equal(world_ask(w, HANDS_OPEN, 1, &way_in, NULL, 0), 0);
    assert_int_equal(write(w->fd, "word\n", 5), 5);
    close(w->fd);
    assert_says(1, "input word\n");
}

static void a_frozen_guest_does_nothing_until_it_is_thawed(void **state)
{
    (void)state;
    need(true, "");
    struct hands_statistics before;
    assert_int_equal(world_guest(w, 1, "spin", NULL), 0);
    assert_int_equal(world_ask(w, HANDS_FREEZE, 1, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_STATISTICS, 1, NULL, NULL, 0), 0);
    before = w->answer.statistics;
    assert_int_equal(before.state, HANDS_IS_FROZEN);
    assert_int_equal(world_ask(w, HANDS_STATISTICS, 1, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.statistics.cpu_us, before.cpu_us);
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.entry[0].state, HANDS_IS_FROZEN);
    assert_int_equal(world_ask(w, HANDS_THAW, 1, NULL, NULL, 0), 0);
    do
        assert_int_equal(world_ask(w, HANDS_STATISTICS, 1, NULL, NULL, 0), 0);
    while (w->answer.statistics.cpu_us <= before.cpu_us);
    assert_int_equal(w->answer.statistics.state, HANDS_IS_RUNNING);
    /* A frozen one can be removed. */
    assert_int_equal(world_ask(w, HANDS_FREEZE, 1, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
}

static void all_that_a_guest_started_ends_with_it(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "fork=5 exit=0", NULL), 0);
    assert_int_equal(world_guest(w, 2, "fork=5 wait", NULL), 0);
    world_until(w, world_has_ended, 1, NULL);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 2, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
}

static void whatever_a_guest_left_in_its_directory_is_removed(void **state)
{
    (void)state;
    need(true, "");
    struct stat before, after;
    assert_int_equal(world_guest(w, 1, "litter exit=0", NULL), 0);
    world_until(w, world_has_ended, 1, NULL);
    assert_string_equal(world_read(w, 1, HANDS_FILE_CONSOLE), "");
    assert_int_equal(stat("/etc", &before), 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
    assert_int_equal(stat("/etc", &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

/* What is removed once is nothing the second time; a number that was used is not another's. */
static void a_number_is_one_guest_s(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "wait", NULL), 0);
    assert_int_equal(world_guest(w, 1, "wait", NULL), -COFRE_USAGE);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_STATISTICS, 1, NULL, NULL, 0), -COFRE_LACKING);
    assert_int_equal(world_ask(w, HANDS_KILL, 1, NULL, NULL, 0), -COFRE_LACKING);
}

static void there_are_no_more_guests_than_users(void **state)
{
    (void)state;
    need(true, "");
    for (uint32_t i = 1; i <= WORLD_GUESTS; i++)
        assert_int_equal(world_guest(w, i, "wait", NULL), 0);
    assert_int_equal(world_guest(w, 40, "wait", NULL), -COFRE_LACKING);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 3, NULL, NULL, 0), 0);
    assert_int_equal(world_guest(w, 40, "who wait", NULL), 0);
    char user[32];
    snprintf(user, sizeof user, "user %u ", WORLD_FIRST_USER + 3);
    assert_says(40, user); /* the one that was free, although others are nearer to its number */
}

static void guests_outlive_hands_and_are_found_again(void **state)
{
    (void)state;
    need(true, "");
    for (unsigned round = 0; round < 2; round++) {
        uint32_t first = 10 * (round + 1);
        assert_int_equal(world_guest(w, first, "launch fork=2 wait", NULL), 0);
        assert_int_equal(world_guest(w, first + 1, "exit=4", NULL), 0);
        world_until(w, world_was_launched, first, NULL);
        world_until(w, world_has_ended, first + 1, NULL);
        world_stop_hands(w, round == 0);
        world_start_hands(w);
        assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
        assert_int_equal(w->answer.list.count, 2);
        for (unsigned i = 0; i < 2; i++) {
            const struct hands_entry *e = &w->answer.list.entry[i];
            bool running = e->guest == first;
            assert_int_equal(e->state, running ? HANDS_IS_RUNNING : HANDS_HAS_ENDED);
            assert_int_equal(e->launches, running);
            assert_int_equal(e->ended.status, running ? -1 : 4);
        }
        /* It ends under the new one, which is not its parent. */
        assert_int_equal(world_ask(w, HANDS_TERMINATE, first, NULL, NULL, 0), 0);
        world_until(w, world_has_ended, first, NULL);
        assert_int_equal(w->end[first].status, -1);
        assert_string_equal(world_read(w, first, HANDS_FILE_RESULT), WORLD_RESULT);
        assert_int_equal(world_ask(w, HANDS_REMOVE, first, NULL, NULL, 0), 0);
        assert_int_equal(world_ask(w, HANDS_REMOVE, first + 1, NULL, NULL, 0), 0);
        assert_string_equal(world_leftover(w), "");
    }
}

static void a_guest_that_ended_while_hands_was_away_has_ended(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "echo exit=0", NULL), 0);
    const struct hands_open way_in = {HANDS_FILE_INPUT};
    assert_int_equal(world_ask(w, HANDS_OPEN, 1, &way_in, NULL, 0), 0);
    int input = w->fd;
    world_stop_hands(w, true);
    assert_int_equal(write(input, "x\n", 2), 2);
    close(input);
    char what[64];
    snprintf(what, sizeof what, "%s/tenant-shop/guest-1/cgroup.events", w->cgroup);
    for (char text[64] = "populated 1"; strstr(text, "populated 1");) {
        CLEAN_FD fd = open(what, O_RDONLY);
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        usleep(1000);
    }
    world_start_hands(w);
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.entry[0].state, HANDS_HAS_ENDED);
    assert_int_equal(w->answer.list.entry[0].ended.status, -1);
    assert_string_equal(world_read(w, 1, HANDS_FILE_CONSOLE), "input x\n");
}

/* The record names a process that is there, and not the guest's: init, the test itself, and its process with another start. */
static void a_process_that_is_no_guest_s_is_never_taken_for_one(void **state)
{
    (void)state;
    need(true, "");
    char record[128];
    snprintf(record, sizeof record, "%s/1/record", w->guests);
    const pid_t others[] = {1, getpid(), 0};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(world_guest(w, 1, "wait", NULL), 0);
        world_stop_hands(w, true);
        /* struct file of record.c: magic, version, guest, user, pid, started */
        CLEAN_FD fd = open(record, O_WRONLY);
        uint64_t started = 1;
        if (others[i])
            assert_int_equal(pwrite(fd, &others[i], sizeof others[i], 16), sizeof others[i]);
        else
            assert_int_equal(pwrite(fd, &started, sizeof started, 24), sizeof started);
        world_start_hands(w);
        assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
        assert_int_equal(w->answer.list.entry[0].state, HANDS_HAS_ENDED);
        assert_int_equal(world_ask(w, HANDS_TERMINATE, 1, NULL, NULL, 0), -COFRE_USAGE);
        assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
        assert_string_equal(world_leftover(w), "");
    }
}

static uid_t user_of(uint32_t guest)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%u/run", w->guests, guest);
    assert_int_equal(stat(path, &st), 0);
    return st.st_uid;
}

/* Of a start that was cut off there may be a directory, a group, or both, without a whole record. What it was to run as is nobody else's until
 * it is removed. */
static void what_an_interrupted_start_left_is_found_and_removed(void **state)
{
    (void)state;
    need(true, "");
    char path[256];
    world_stop_hands(w, true);
    const char *const made[] = {"1", "1/run", "2"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s/%s", w->guests, made[i]);
        assert_int_equal(mkdir(path, 0711), 0);
    }
    snprintf(path, sizeof path, "%s/guest-3", w->cgroup);
    assert_int_equal(mkdir(path, 0755), 0);
    const uid_t user = WORLD_FIRST_USER + 9 % WORLD_GUESTS;
    snprintf(path, sizeof path, "%s/1/run", w->guests);
    assert_int_equal(chown(path, user, user), 0);
    world_start_hands(w);
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.count, 3);
    assert_int_equal(world_guest(w, 9, "wait", NULL), 0);
    assert_in_range(user_of(9), WORLD_FIRST_USER, WORLD_FIRST_USER + WORLD_GUESTS - 1);
    assert_int_not_equal(user_of(9), user);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(world_ask(w, HANDS_REMOVE, i, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_KILL, 9, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 9, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
    assert_int_equal(world_guest(w, 9 + WORLD_GUESTS, "wait", NULL), 0);
    assert_int_equal(user_of(9 + WORLD_GUESTS), user);
}

/* So that the next hands waits until those before it are gone, with all that they had begun; and never for a guest. */
static void guests_directory_is_hands_alone_until_they_end(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "wait", NULL), 0);
    CLEAN_FD fd = open(w->guests, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(file_lock(fd, 0), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    world_stop_hands(w, true);
    assert_int_equal(file_lock(fd, 60), 0);
    assert_int_equal(flock(fd, LOCK_UN), 0);
    world_start_hands(w);
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.count, 1);
}

static int start_with(uint32_t guest, int fd)
{
    struct hands_start start = world_start("wait");
    int rc = world_ask(w, HANDS_START, guest, &start, &fd, 1);
    close(fd);
    return rc;
}

static void descriptors_of_another_kind_are_refused(void **state)
{
    (void)state;
    need(true, "");
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[1]);
    assert_int_equal(start_with(1, ends[0]), -COFRE_MALFORMED);
    assert_int_equal(start_with(1, open(w->kernel, O_RDWR)), -COFRE_MALFORMED);
    assert_int_equal(start_with(1, open(w->kernel, O_PATH)), -COFRE_MALFORMED);
    assert_int_equal(start_with(1, open(w->directory, O_RDONLY)), -COFRE_MALFORMED);
    assert_int_equal(start_with(1, open("/dev/zero", O_RDONLY)), -COFRE_MALFORMED);
    struct hands_start start = world_start("wait");
    start.disks = 1;
    const int modes[] = {O_RDONLY, O_RDWR | O_APPEND, O_WRONLY};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const int fds[] = {open(w->kernel, O_RDONLY), open(w->disk, modes[i])};
        assert_int_equal(world_ask(w, HANDS_START, 1, &start, fds, 2), -COFRE_MALFORMED);
        close(fds[0]);
        close(fds[1]);
    }
    assert_string_equal(world_leftover(w), "");
}

/* A guest that was taken over bends its socket's name to a service that only root may reach, or that asks who comes. */
static void a_bent_socket_leads_nowhere_that_the_guest_cannot_go(void **state)
{
    (void)state;
    need(true, "");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const struct hands_open open_vsock = {HANDS_FILE_VSOCK};
    struct ucred who;
    socklen_t size = sizeof who;
    char words[160];
    snprintf(a.sun_path, sizeof a.sun_path, "%s/service", w->directory);
    CLEAN_FD service = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(service, (void *)&a, sizeof a), 0);
    assert_int_equal(listen(service, 8), 0);
    snprintf(words, sizeof words, "bend=%s wait", a.sun_path);
    assert_int_equal(chmod(a.sun_path, 0600), 0);
    assert_int_equal(world_guest(w, 1, words, NULL), 0);
    while (world_ask(w, HANDS_OPEN, 1, &open_vsock, NULL, 0) && strstr(w->why.text, "not so far"))
        continue;
    assert_int_equal(w->rc, -COFRE_LACKING);
    assert_non_null(strstr(w->why.text, "Permission denied"));
    assert_int_equal(chmod(a.sun_path, 0666), 0);
    assert_int_equal(world_ask(w, HANDS_OPEN, 1, &open_vsock, NULL, 0), 0);
    CLEAN_FD from = accept(service, NULL, NULL);
    assert_int_equal(getsockopt(from, SOL_SOCKET, SO_PEERCRED, &who, &size), 0);
    assert_int_equal(who.uid, WORLD_FIRST_USER + 1);
    assert_int_equal(who.gid, WORLD_FIRST_USER + 1);
    close(w->fd);
    unlink(a.sun_path);
    /* One that it has is connected to. */
    assert_int_equal(world_guest(w, 2, "vsock wait", NULL), 0);
    while (world_ask(w, HANDS_OPEN, 2, &open_vsock, NULL, 0))
        assert_int_equal(w->rc, -COFRE_LACKING);
    close(w->fd);
}

/* What its devices hold to is in a file that the guest has to read, and that the next limits are written to. */
static void rates_of_disks_and_networks_reach_the_guest_s_process(void **state)
{
    (void)state;
    struct hands_limits limits = {.write_bytes = 1000, .disk_burst = 2000, .network_out = 5000};
    char path[sizeof w->guests + 64];
    struct rates rates;
    struct cofre_err err;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "wait", &limits), 0);
    snprintf(path, sizeof path, "%s/1/rates", w->guests);
    assert_int_equal(rates_open(&rates, path, &err), 0);
    assert_int_equal(rates.file->rate[RATE_WRITE_BYTES], 1000);
    assert_int_equal(rates.file->rate[RATE_NETWORK_OUT], 5000);
    assert_int_equal(rates.file->burst, 2000);
    limits.write_bytes = 0;
    limits.read_operations = 7;
    assert_int_equal(world_ask(w, HANDS_LIMIT, 1, &limits, NULL, 0), 0);
    assert_int_equal(rates.file->rate[RATE_WRITE_BYTES], 0);
    assert_int_equal(rates.file->rate[RATE_READ_OPERATIONS], 7);
    rates_close(&rates);
}

static void limits_that_the_host_cannot_keep_are_refused_by_name(void **state)
{
    (void)state;
    need(true, "");
    const struct {
        const char *name;
        unsigned controller;
        struct hands_limits limits;
    } all[] = {
        {"cpu_weight", HANDS_CPU, {.cpu_weight = 200}}, {"cpu_quota", HANDS_CPU, {.cpu_quota = 500}},
        {"cpus", HANDS_CPUSET, {.cpus = {1}}},          {"memory", HANDS_MEMORY, {.memory = 64 << 20}},
        {"processes", HANDS_PIDS, {.processes = 4}},
    };
    assert_int_equal(world_guest(w, 1, "wait", NULL), 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool here = w->controllers & all[i].controller;
        int expected = here ? 0 : -COFRE_LACKING;
        assert_int_equal(world_ask(w, HANDS_LIMIT, 1, &all[i].limits, NULL, 0), expected);
        if (!here)
            assert_non_null(strstr(w->why.text, all[i].name));
        assert_int_equal(world_guest(w, 2, "wait", &all[i].limits), expected);
        assert_int_equal(world_ask(w, HANDS_REMOVE, 2, NULL, NULL, 0), 0);
    }
    const struct hands_limits elsewhere = {.cpus = {0, 0, 0, 1ull << 63}};
    assert_true(world_ask(w, HANDS_LIMIT, 1, &elsewhere, NULL, 0) < 0);
}

static int start_kind(uint32_t guest, uint32_t pages, uint32_t locked)
{
    struct hands_start start = world_start("may-lock wait");
    start.pages = pages;
    start.locked = locked;
    CLEAN_FD kernel = open(w->kernel, O_RDONLY | O_CLOEXEC);
    return world_ask(w, HANDS_START, guest, &start, &kernel, 1);
}

static void a_guest_locks_no_more_than_its_memory(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(start_kind(1, HANDS_PAGES_USUAL, 0), 0);
    assert_says(1, "memory 268435456, may lock 8388608 8388608\n");
    const bool may =
        setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0; /* so may hands */
    assert_int_equal(start_kind(2, HANDS_PAGES_USUAL, 1), may ? 0 : -COFRE_LACKING);
    if (!may) {
        assert_non_null(strstr(w->why.text, "memory_locked: this guest locks 256 MiB"));
        return;
    }
    assert_says(2, "memory 268435456,locked, may lock 276824064 276824064\n");
}

static void read_group(char text[64], const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s/tenant-shop/guest-1/%s", w->cgroup, file);
    CLEAN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, 63);
    text[n > 0 ? n : 0] = 0;
}

/* Without the controller nobody would hold it to them. */
static void a_guest_has_the_huge_pages_of_its_memory_and_no_other(void **state)
{
    (void)state;
    need(true, "");
    char text[64];
    const bool here = w->controllers & HANDS_HUGETLB;
    assert_int_equal(start_kind(1, HANDS_PAGES_2M, 0), here ? 0 : -COFRE_LACKING);
    if (!here) {
        assert_non_null(strstr(w->why.text, "memory_pages"));
        assert_non_null(strstr(w->why.text, "hugetlb"));
        assert_string_equal(world_leftover(w), "");
        return;
    }
    assert_says(1, "memory 268435456,pages=2M, may lock 8388608 ");
    read_group(text, "hugetlb.2MB.max");
    assert_string_equal(text, "268435456\n");
    read_group(text, "hugetlb.1GB.max");
    assert_true(!text[0] || strcmp(text, "0\n") == 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_int_equal(start_kind(1, HANDS_PAGES_USUAL, 1), 0);
    read_group(text, "hugetlb.2MB.max");
    assert_string_equal(text, "0\n");
}

static bool is_there(const char *group)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", w->cgroup, group);
    return access(path, F_OK) == 0;
}

static int start_of(const char *tenant, uint32_t guest)
{
    struct hands_start start = world_start("wait");
    CLEAN_FD kernel = open(w->kernel, O_RDONLY | O_CLOEXEC);
    memset(start.tenant, 0, sizeof start.tenant);
    memcpy(start.tenant, tenant, strlen(tenant));
    return world_ask(w, HANDS_START, guest, &start, &kernel, 1);
}

/* By their groups: whoever has more guests has no more of what is scarce. */
static void tenants_share_the_host_and_guests_their_tenant_s_part(void **state)
{
    (void)state;
    need(true, "");
    char text[64];
    assert_int_equal(start_of("shop", 1), 0);
    assert_int_equal(start_of("shop", 2), 0);
    assert_int_equal(start_of("a", 3), 0);
    assert_true(is_there("tenant-shop/guest-1") && is_there("tenant-shop/guest-2") &&
                is_there("tenant-a/guest-3") && !is_there("tenant-a/guest-1"));
    read_group(text, "cpu.weight");
    assert_string_equal(text, w->controllers & HANDS_CPU ? "100\n" : "");
    world_stop_hands(w, true);
    world_start_hands(w);
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(w->answer.list.entry[i].state, HANDS_IS_RUNNING);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 3, NULL, NULL, 0), 0);
    assert_true(is_there("tenant-shop") && !is_there("tenant-a"));
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_true(is_there("tenant-shop/guest-2"));
    assert_int_equal(world_ask(w, HANDS_REMOVE, 2, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
}

/* A tenant's group of a start that was cut off; and a guest of a cofred that had no tenants' groups, which moves to none. */
static void groups_of_before_are_found_where_they_are(void **state)
{
    (void)state;
    need(true, "");
    char from[256], to[256], text[32];
    assert_int_equal(start_of("shop", 1), 0);
    world_stop_hands(w, true);
    snprintf(from, sizeof from, "%s/tenant-shop/guest-1/cgroup.procs", w->cgroup);
    snprintf(to, sizeof to, "%s/guest-1", w->cgroup);
    assert_int_equal(mkdir(to, 0755), 0);
    FILE *processes = fopen(from, "r");
    assert_non_null(processes);
    while (fgets(text, sizeof text, processes)) {
        snprintf(to, sizeof to, "%s/guest-1/cgroup.procs", w->cgroup);
        CLEAN_FD procs = open(to, O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(procs, text, strlen(text)), strlen(text));
        rewind(processes);
    }
    fclose(processes);
    *strrchr(from, '/') = 0;
    assert_int_equal(rmdir(from), 0);
    world_start_hands(w);
    assert_false(is_there("tenant-shop"));
    assert_int_equal(world_ask(w, HANDS_LIST, 0, NULL, NULL, 0), 0);
    assert_int_equal(w->answer.list.count, 1);
    assert_int_equal(w->answer.list.entry[0].state, HANDS_IS_RUNNING);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 1, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
}

static void no_more_processes_than_the_limit(void **state)
{
    (void)state;
    need(!missing && w->controllers & HANDS_PIDS, "no controller pids here");
    const struct hands_limits limits = {.processes = 3};
    assert_int_equal(world_guest(w, 1, "fork=4 wait", &limits), 0);
    assert_says(1, "forked\nforked\nfork refused\nfork refused\n");
}

static void a_tap_is_a_port_of_its_bridge_and_goes_with_its_guest(void **state)
{
    (void)state;
    need(!missing && w->bridge && access("/dev/net/tun", W_OK) == 0, "no bridge or no tun here");
    struct hands_start start = world_start("descriptors wait");
    start.networks = 1;
    start.network[0] = (struct hands_network){.kind = HANDS_TAP};
    CLEAN_FD kernel = open(w->kernel, O_RDONLY | O_CLOEXEC);
    assert_int_equal(world_ask(w, HANDS_START, 42, &start, &kernel, 1), 0);
    assert_says(42, "/dev/net/tun");
    char port[64];
    struct stat st;
    assert_string_equal(world_leftover(w) + strlen(w->cgroup), "/tenant-shop");
    snprintf(port, sizeof port, "/sys/class/net/cofre2a-0/brport");
    /* sysfs shows the network namespace that it was mounted in */
    if (stat("/sys/class/net/cofre-br0", &st) == 0)
        assert_int_equal(stat(port, &st), 0);
    const struct hands_limits in = {.network_in = 1000000}, none = {0};
    int rc = world_ask(w, HANDS_LIMIT, 42, &in, NULL, 0);
    if (rc) /* a kernel without sch_tbf says so */
        assert_non_null(strstr(w->why.text, "sch_tbf"));
    assert_int_equal(world_ask(w, HANDS_LIMIT, 42, &none, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_STATISTICS, 42, NULL, NULL, 0), 0);
    assert_int_equal(world_ask(w, HANDS_REMOVE, 42, NULL, NULL, 0), 0);
    assert_string_equal(world_leftover(w), "");
    /* A bridge that is not there: nothing is left of the start. */
    start.network[0].bridge = 1;
    assert_int_equal(world_ask(w, HANDS_START, 43, &start, &kernel, 1), -COFRE_LACKING);
    assert_string_equal(world_leftover(w), "");
    start.network[0].bridge = 2;
    assert_int_equal(world_ask(w, HANDS_START, 43, &start, &kernel, 1), -COFRE_USAGE);
    assert_string_equal(world_leftover(w), "");
}

static void the_host_is_told_in_numbers(void **state)
{
    (void)state;
    need(true, "");
    assert_int_equal(world_guest(w, 1, "wait", NULL), 0);
    assert_int_equal(world_ask(w, HANDS_HOST, 0, NULL, NULL, 0), 0);
    const struct hands_host *h = &w->answer.host;
    assert_int_equal(h->guests, 1);
    assert_int_equal(h->guests_max, WORLD_GUESTS);
    assert_int_equal(h->bridges, 2);
    assert_true(h->cpus[0] != 0);
    assert_true(h->memory > h->memory_available && h->memory_available > 0);
}

/* Bytes that no decider sends: hands answers what it can, and goes on or ends; it never does anything. */
static void a_decider_that_was_taken_over_gets_no_further_by_other_bytes(void **state)
{
    (void)state;
    need(true, "");
    static union {
        struct hands_request request;
        uint8_t bytes[sizeof(struct hands_request)];
    } m;
    static struct hands_answer answer;
    world_stop_hands(w, false);
    int pair[2], fds[4];
    unsigned count;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t hands = fork();
    if (hands == 0) {
        close(pair[0]);
        _exit(-hands_serve(&w->config, pair[1], NULL));
    }
    close(pair[1]);
    srandom(1);
    for (unsigned i = 0; i < 600; i++) {
        for (size_t b = 0; b < sizeof m.bytes; b++)
            m.bytes[b] = (uint8_t)random();
        m.request.header = (struct hands_header){HANDS_VERSION, (uint32_t)(i % 12), 1 + i, i % 3};
        size_t size = i % 2 ? hands_request_size(m.request.header.what) : sizeof m.request.header + i;
        if (size < sizeof m.request.header || size > sizeof m.request)
            size = sizeof m.request.header;
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_int_equal(channel_send(pair[0], &m, size, &fd, i % 5 == 0), 0);
        close(fd);
        ssize_t n;
        while ((n = channel_receive(pair[0], &answer, sizeof answer, fds, &count, 4)) < 0)
            usleep(100);
        assert_int_equal(answer.header.serial, 1 + i);
        assert_int_equal(count, 0);
        if (answer.code == 0)
            assert_true(answer.header.what == HANDS_LIST || answer.header.what == HANDS_HOST ||
                        answer.header.what == HANDS_REMOVE);
    }
    assert_string_equal(world_leftover(w), "");
    close(pair[0]);
    world_start_hands(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(int argc, char **argv)
{
    missing = argc == 2 ? world_make(w, argv[1]) : "no stand-in was named";
    const struct CMUnitTest tests[] = {
        TEST(a_guest_runs_as_a_user_of_its_own_without_privilege),
        TEST(it_has_its_own_descriptors_and_no_other),
        TEST(an_end_is_told_with_its_status),
        TEST(a_guest_that_is_asked_to_end_leaves_its_result),
        TEST(an_emulated_guest_has_the_platform_s_keys_to_read),
        TEST(its_console_can_be_written_to),
        TEST(a_frozen_guest_does_nothing_until_it_is_thawed),
        TEST(all_that_a_guest_started_ends_with_it),
        TEST(whatever_a_guest_left_in_its_directory_is_removed),
        TEST(a_number_is_one_guest_s),
        TEST(there_are_no_more_guests_than_users),
        TEST(guests_outlive_hands_and_are_found_again),
        TEST(a_guest_that_ended_while_hands_was_away_has_ended),
        TEST(a_process_that_is_no_guest_s_is_never_taken_for_one),
        TEST(what_an_interrupted_start_left_is_found_and_removed),
        TEST(guests_directory_is_hands_alone_until_they_end),
        TEST(descriptors_of_another_kind_are_refused),
        TEST(a_bent_socket_leads_nowhere_that_the_guest_cannot_go),
        TEST(rates_of_disks_and_networks_reach_the_guest_s_process),
        TEST(limits_that_the_host_cannot_keep_are_refused_by_name),
        TEST(a_guest_locks_no_more_than_its_memory),
        TEST(a_guest_has_the_huge_pages_of_its_memory_and_no_other),
        TEST(tenants_share_the_host_and_guests_their_tenant_s_part),
        TEST(groups_of_before_are_found_where_they_are),
        TEST(no_more_processes_than_the_limit),
        TEST(a_tap_is_a_port_of_its_bridge_and_goes_with_its_guest),
        TEST(the_host_is_told_in_numbers),
        TEST(a_decider_that_was_taken_over_gets_no_further_by_other_bytes),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    world_free(w);
    return rc;
}
