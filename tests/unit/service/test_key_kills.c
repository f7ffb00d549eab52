/*
 * cofre-trust, and cofre with a backup and a root, killed at named points and at random moments, on a disk whose syncs fail and whose
 * power is cut: no key is lost, none lives that was destroyed, no release is counted twice. COFRE_KILLS and COFRE_KILLS_SEED make it
 * longer. And it finds a service that is broken.
 */
#include "tests/unit/service/kills.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keys/backup.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define WAIT_MS 60000
#define DEATHS  4 /* of a short run */

uint64_t kills_draws;

uint64_t kills_draw(uint64_t below)
{
    kills_draws ^= kills_draws << 13;
    kills_draws ^= kills_draws >> 7;
    kills_draws ^= kills_draws << 17;
    return (kills_draws >> 11) % below;
}

static int64_t real_clock(void)
{
    return time(NULL);
}

static unsigned of_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* The process's life */

static void *watch(void *context)
{
    struct kills *k = context;
    siginfo_t info;
    while (waitid(P_PID, (id_t)k->process.pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&k->lock);
    k->dead = true;
    if (k->fd >= 0)
        (void)shutdown(k->fd, SHUT_RDWR);
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* False where it died before it was ready. */
static bool begin(struct kills *k, const char *broken)
{
    char told[64] = "";
    power_enter(&k->power, broken);
    process_begin(&k->process);
    power_leave();
    k->dead = false;
    k->fd = -1;
    assert_int_equal(pthread_create(&k->watcher, NULL, watch, k), 0);
    k->watched = true;
    CLEAN_FD pidfd = (int)syscall(SYS_pidfd_open, k->process.pid, 0);
    struct pollfd on[] = {{.fd = k->process.notified, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    assert_true(poll(on, 2, WAIT_MS) > 0);
    if (recv(k->process.notified, told, sizeof told - 1, MSG_DONTWAIT) > 0 && strcmp(told, "READY=1") == 0)
        return true;
    return false;
}

/* By a fault, or now. */
static void end(struct kills *k)
{
    int status;
    (void)kill(k->process.pid, SIGKILL);
    assert_int_equal(pthread_join(k->watcher, NULL), 0);
    k->watched = false;
    assert_int_equal(waitpid(k->process.pid, &status, 0), k->process.pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        kills_complain(k, "cofre-trust ended by itself: status %d; %s", status, k->process.log);
    k->process.pid = 0;
    kills_hang_up(k);
    power_arm(&k->power, FAULT_NONE, FAULT_CALLS, "", 0);
}

/* Named points: which call on which file, how many of them a round may let pass, and what happens at it. */
static const struct point {
    const char *name;
    enum fault_call call;
    const char *suffix;
    unsigned most;
} points[] = {
    {"a write of the write-ahead log", FAULT_WRITE, "-wal", 80},
    {"a sync of the write-ahead log", FAULT_SYNC, "-wal", 10},
    {"a cut of the write-ahead log", FAULT_CUT, "-wal", 2},
    {"a write of the database", FAULT_WRITE, "db", 12},
    {"a sync of the database", FAULT_SYNC, "db", 2},
    {"any call", FAULT_CALLS, "", 120},
};
#define POINTS (sizeof points / sizeof *points)

static unsigned struck[POINTS + 1]; /* the last: at random moments */
static unsigned errors;

static size_t arm(struct kills *k)
{
    const size_t i = (size_t)kills_draw(POINTS + 1);
    if (i < POINTS)
        power_arm(&k->power, (enum fault_action)(FAULT_KILL_BEFORE + kills_draw(3)), points[i].call,
                  points[i].suffix, 1 + (unsigned)kills_draw(points[i].most));
    return i;
}

static void *kill_soon(void *context)
{
    struct kills *k = context;
    const struct timespec moment = {.tv_nsec = (long)(kills_draws >> 20) % 60000000};
    (void)nanosleep(&moment, NULL);
    (void)kill(k->process.pid, SIGKILL);
    return NULL;
}

/* Deeds until it dies, or enough of them. A sync may fail first. */
static void work(struct kills *k, size_t point)
{
    pthread_t killer;
    const bool at_random = point == POINTS;
    if (at_random)
        assert_int_equal(pthread_create(&killer, NULL, kill_soon, k), 0);
    for (unsigned i = 0; i < 80 && !k->complaint[0]; i++)
        if (!kills_deed(k))
            break;
    if (at_random)
        assert_int_equal(pthread_join(killer, NULL), 0);
    struck[point] += at_random || atomic_load(&k->power.faults->struck) != 0;
}

/* A sync that fails. The service goes on; what it says of the request is no acknowledgement. */
static void fail_a_sync(struct kills *k)
{
    power_arm(&k->power, FAULT_EIO, FAULT_SYNC, kills_draw(3) ? "-wal" : "db", 1 + (unsigned)kills_draw(6));
    for (unsigned i = 0; i < 12 && !k->complaint[0] && atomic_load(&k->power.faults->struck) == 0; i++)
        if (!kills_deed(k))
            break;
    errors += atomic_load(&k->power.faults->struck) != 0;
    power_arm(&k->power, FAULT_NONE, FAULT_CALLS, "", 0);
}

/* Keys are lost, all of them; and there is a backup. */
static void lose_all_keys(struct kills *k)
{
    struct db *db = NULL;
    struct cofre_err err = {""};
    for (unsigned i = 0; i < k->keys; i++)
        k->wiped += k->key[i].releases;
    if (db_open(&db, k->f->config.database, &err) < 0 ||
        db_script(
            db,
            "DELETE FROM guest_key_release; DELETE FROM guest_key_request; DELETE FROM guest_key_approval;"
            " DELETE FROM guest_key_grant; DELETE FROM guest_key_version; DELETE FROM guest_key;"
            " UPDATE guest_key_generation SET number = 0, mac = ''",
            &err) < 0 ||
        db_forget(db, &err) < 0)
        kills_complain(k, "%s", err.text);
    db_close(db);
    for (unsigned i = 0; i < k->keys; i++)
        k->key[i].there = false;
    k->keys = k->backed_up_keys;
    k->traces = 0;
    for (unsigned i = 0; i < k->backed_up_keys; i++)
        k->backed_up[i].releases = 0;
    k->restoring = true;
    k->doubt = -1;
}

static uint64_t only_what_was_synced(uint64_t below)
{
    (void)below;
    return 0;
}

static void die(struct kills *k)
{
    end(k);
    k->deaths++;
    if (k->harsh)
        power_cut(&k->power, only_what_was_synced);
    else if (kills_draw(2))
        power_cut(&k->power, kills_draw);
    kills_search(k, false);
    power_settle(&k->power);
}

/* Comes back, perhaps only at another try: it may die while it recovers. */
static void come_back(struct kills *k, const char *broken)
{
    for (unsigned i = 0; i < 3; i++) {
        if (i < 2 && kills_draw(8) == 0)
            power_arm(&k->power, (enum fault_action)(FAULT_KILL_BEFORE + kills_draw(3)), FAULT_CALLS, "",
                      1 + (unsigned)kills_draw(20));
        const bool ready = begin(k, broken);
        power_arm(&k->power, FAULT_NONE, FAULT_CALLS, "", 0);
        if (ready)
            return;
        if (atomic_load(&k->power.faults->struck) == 0) {
            siginfo_t info = {.si_status = 0};
            (void)waitid(P_PID, (id_t)k->process.pid, &info, WEXITED | WNOWAIT);
            kills_complain(k, "cofre-trust does not start: it ended with %d, %s", info.si_status,
                           k->process.log);
            end(k);
            return;
        }
        atomic_store(&k->power.faults->struck, 0);
        die(k);
    }
}

static void restore_what_was_lost(struct kills *k)
{
    if (k->restoring && kills_restore_all(k)) {
        memcpy(k->key, k->backed_up, sizeof k->key);
        k->acknowledged++;
    }
}

static void round_of(struct kills *k, const char *broken)
{
    come_back(k, broken);
    if (k->complaint[0])
        return;
    kills_check(k);
    kills_search(k, true);
    atomic_store(&k->power.faults->struck, 0);
    if (kills_draw(4) == 0 && !k->restoring)
        fail_a_sync(k);
    atomic_store(&k->power.faults->struck, 0);
    const size_t point = arm(k);
    restore_what_was_lost(k);
    if (k->doubt < 0 && !k->restoring)
        work(k, point);
    die(k);
    if (k->backup && !k->complaint[0] && !k->restoring && kills_draw(20) == 0) {
        come_back(k, broken); /* what it left is decided first */
        if (!k->complaint[0])
            kills_check(k);
        die(k);
        lose_all_keys(k);
        power_settle(&k->power);
    }
}

/* The run */

static int setup(void **state)
{
    struct kills *k = calloc(1, sizeof *k);
    struct fixture *f = fixture_new(real_clock);
    assert_non_null(k);
    *state = k;
    k->f = f;
    k->doubt = -1;
    k->fd = -1;
    pthread_mutex_init(&k->lock, NULL);
    memset(struck, 0, sizeof struck);
    errors = 0;
    kills_draws = of_environment("COFRE_KILLS_SEED", 1) * 0x9e3779b97f4a7c15 | 1;
    bound_guest_open(f);
    snprintf(k->root, sizeof k->root, "%s/key-root", f->folder);
    assert_int_equal(file_write(k->root, (struct view){fixture_root, sizeof fixture_root}, 0600, NULL), 0);
    f->config.root_key = k->root;
    power_new(&k->power, f->folder);
    process_new(&k->process, f, "kills");
    process_start(&k->process);
    process_populate(f, &k->process);
    process_leave(f);
    process_end(&k->process);
    power_settle(&k->power);
    return 0;
}

/* Its last words, where something is wrong. */
static void show_log(const struct kills *k)
{
    char line[160];
    snprintf(line, sizeof line, "tail -n 12 '%s' >&2", k->process.log);
    (void)!system(line);
}

static int teardown(void **state)
{
    struct kills *k = *state;
    if (k->watched)
        end(k);
    process_free(&k->process);
    power_free(&k->power);
    fixture_free(k->f);
    bound_guest_close();
    free(k->trace);
    free(k->backup);
    free(k->backed_up);
    free(k);
    return 0;
}

static void run(struct kills *k, unsigned deaths, const char *broken)
{
    while (k->deaths < deaths && !k->complaint[0] && k->keys < KILLS_KEYS)
        round_of(k, broken);
}

static void tell(const struct kills *k)
{
    unsigned living = 0, destroyed = 0;
    int64_t releases = k->wiped;
    for (unsigned i = 0; i < k->keys; i++) {
        living += k->key[i].there && k->key[i].state != GUEST_KEY_DESTROYED;
        destroyed += k->key[i].there && k->key[i].state == GUEST_KEY_DESTROYED;
        releases += k->key[i].releases;
    }
    print_message(
        "# %u deaths, %u syncs that failed; %u acknowledged, %u without an answer; %u keys live, %u are "
        "destroyed, %lld releases\n",
        k->deaths, errors, k->acknowledged, k->unanswered, living, destroyed, (long long)releases);
    for (size_t i = 0; i <= POINTS; i++)
        print_message("# %u at %s\n", struck[i], i < POINTS ? points[i].name : "random moments");
}

static void no_key_is_lost_none_lives_again_and_no_release_counts_twice(void **state)
{
    struct kills *k = *state;
    run(k, of_environment("COFRE_KILLS", DEATHS), NULL);
    if (!k->complaint[0]) {
        come_back(k, NULL);
        while (k->restoring && !k->complaint[0])
            restore_what_was_lost(k);
        kills_check(k);
        kills_search(k, true);
        kills_check_log(k);
    }
    tell(k);
    if (k->complaint[0])
        show_log(k);
    if (k->complaint[0])
        fail_msg("after %u deaths: %s", k->deaths, k->complaint);
    assert_true(k->acknowledged > k->deaths);
}

static void a_backup_and_a_root_are_the_old_or_the_new_ones(void **state)
{
    struct kills *k = *state;
    const unsigned deaths = of_environment("COFRE_KILLS", DEATHS);
    assert_true(begin(k, NULL));
    assert_int_equal(kills_ask(k, "POST", "/v1/keys/k0", "keys", "{}"), 201);
    kills_of_clients(k, 3 + deaths / 5, 1 + deaths / 25);
    assert_string_equal(k->complaint, "");
}

static void what_was_destroyed_is_gone_when_the_power_is_cut_at_once(void **state)
{
    struct kills *k = *state;
    come_back(k, NULL);
    snprintf(k->key[0].name, sizeof k->key[0].name, "k0");
    k->key[0].there = true;
    k->keys = 1;
    assert_int_equal(kills_ask(k, "POST", "/v1/keys/k0", "keys", "{}"), 201);
    k->key[0].version[1].there = true;
    k->key[0].current = 1;
    kills_look(k, 0);
    assert_int_equal(k->traces, 1);
    k->key[0].state = GUEST_KEY_DESTROYED; /* not yet, so the search finds it */
    kills_search(k, true);
    assert_non_null(strstr(k->complaint, "key k0, version 1: destroyed, and its bytes are in db"));
    k->complaint[0] = 0;
    assert_int_equal(kills_ask(k, "PUT", "/v1/keys/k0/state", "keys", "{\"state\": \"destroyed\"}"), 200);
    end(k);
    power_cut(&k->power, only_what_was_synced);
    kills_search(k, true);
    assert_string_equal(k->complaint, "");
}

/* What the test is good for: services that do a thing less are found. */

static void is_found(struct kills *k, const char *broken, const char *why)
{
    k->harsh = true;
    run(k, 60, broken);
    print_message("# \"%s\" is found after %u deaths: %s\n", broken, k->deaths, k->complaint);
    assert_non_null(strstr(k->complaint, why));
}

static void a_service_that_syncs_too_late_is_found(void **state)
{
    is_found(*state, "synchronous = FULL|synchronous = NORMAL", "");
    assert_true(((struct kills *)*state)->complaint[0] != 0);
}

static void a_service_that_leaves_deleted_bytes_is_found(void **state)
{
    is_found(*state, "secure_delete = ON|secure_delete = OFF", "destroyed, and its bytes are in db");
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(no_key_is_lost_none_lives_again_and_no_release_counts_twice),
        T(a_backup_and_a_root_are_the_old_or_the_new_ones),
        T(what_was_destroyed_is_gone_when_the_power_is_cut_at_once),
        T(a_service_that_syncs_too_late_is_found),
        T(a_service_that_leaves_deleted_bytes_is_found),
    };
    signal(SIGPIPE, SIG_IGN);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
