/*
 * The whole of cofred, asked by several clients for anything, while processes of it are killed at moments that are drawn. When it is back
 * no guest is in two states, nothing that was acknowledged is lost, nothing was done twice, nothing of a guest is left on the host
 * that is nobody's, and the log is whole. COFRE_KILLS (2) and COFRE_KILLS_SEED (1) make it longer, and another one.
 */
#include "tests/unit/host/cofred/kills.h"

#include <openssl/sha.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/number.h"

#define SECONDS    60
#define REQUESTS   25    /* of clients' after which, */
#define TURN_MS    40    /* between two looks: each request is a process of its own */
#define MOMENTS_US 20000 /* and microseconds later, the axe falls, at most */
#define WHOLE      50    /* kills between two checks of the whole log */

static struct kills kills, *const k = &kills;
static const char *missing;

static unsigned of_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static int up(void **state)
{
    (void)state;
    if (missing)
        return 0;
    whole_start(&k->whole);
    json_decref(whole_must(&k->whole, 201, "POST", "/tenants", "{'name': 'shop'}"));
    whole_image(&k->whole, "shop", "kernel of the test", k->kernel);
    k->shared = mmap(NULL, sizeof *k->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(k->shared != MAP_FAILED);
    k->taps = k->whole.world.bridge && access("/dev/net/tun", W_OK) == 0;
    kills_name_objects(k);
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    for (pid_t guest; (guest = whole_part(&k->whole, "guest"));)
        (void)kill(guest, SIGKILL);
    return whole_stop(&k->whole, SIGTERM);
}

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

/* The axe */

static const char *const victims[] = {"supervisor", "hands", "decider", "gate", "zygote", "parser", "keys"};
#define VICTIMS (sizeof victims / sizeof *victims)

/* Who ended too often ends altogether, and is started again as systemd would. */
static void have_back(const char *name, pid_t killed)
{
    for (int turn = 0; turn < SECONDS * 1000 / TURN_MS; turn++) {
        if (waitpid(k->whole.cofred, NULL, WNOHANG) == k->whole.cofred) {
            whole_start(&k->whole);
            return;
        }
        const pid_t next = whole_part(&k->whole, name);
        if ((strcmp(name, "parser") == 0 || (next && next != killed)) &&
            whole_ask(&k->whole, "GET", "/session", NULL, NULL) == 200)
            return;
        (void)poll(NULL, 0, TURN_MS);
    }
    fail_msg("%s does not come back", name);
}

static void await_moment(uint64_t *draws)
{
    const unsigned long until = k->shared->requests + kills_draw(draws, REQUESTS);
    const struct timespec moment = {.tv_nsec = (long)kills_draw(draws, MOMENTS_US) * 1000};
    for (int turn = 0; k->shared->requests < until && turn < SECONDS * 1000; turn++)
        (void)poll(NULL, 0, 1);
    (void)ppoll(NULL, 0, &moment, NULL);
}

/* False: there is none of it at this moment. */
static bool kill_one(const char *name)
{
    if (strcmp(name, "supervisor") == 0) {
        (void)whole_stop(&k->whole, SIGKILL);
        whole_start(&k->whole);
        return true;
    }
    const pid_t pid = whole_part(&k->whole, name);
    if (!pid || kill(pid, SIGKILL) < 0)
        return false;
    have_back(name, pid);
    return true;
}

static void must(bool good, unsigned round, const char *victim)
{
    if (!good)
        kills_show_entries(k);
    if (!good)
        fail_msg("kill %u, of %s: %s", round, victim, k->why);
}

static void whoever_is_killed_nothing_is_lost_and_nothing_done_twice(void **state)
{
    const unsigned rounds = of_environment("COFRE_KILLS", 2), seed = of_environment("COFRE_KILLS_SEED", 1);
    uint64_t draws = 0x9e3779b97f4a7c15 ^ seed;
    unsigned killed[VICTIMS] = {0};
    (void)state;
    need();
    for (int i = 0; i < 16; i++)
        (void)kills_draw(&draws, 2);
    kills_clients_start(k, seed);
    for (unsigned round = 1; round <= rounds; round++) {
        const size_t victim = kills_draw(&draws, VICTIMS);
        kills_clients_go(k);
        await_moment(&draws);
        killed[victim] += kill_one(victims[victim]);
        kills_clients_rest(k);
        must(kills_settle(k, SECONDS), round, victims[victim]);
        must(kills_check_host(k, SECONDS), round, victims[victim]);
        must(kills_check_entries(k), round, victims[victim]);
        must(kills_see_head(k), round, victims[victim]);
        if (round % WHOLE == 0 || round == rounds)
            must(kills_check_log(k), round, victims[victim]);
    }
    kills_clients_end(k);
    print_message("# seed %u: %lu requests, %lu cut off, %lld entries of the log; killed:", seed,
                  (unsigned long)k->shared->requests, (unsigned long)k->shared->cut_off,
                  (long long)k->entries);
    for (size_t i = 0; i < VICTIMS; i++)
        print_message(" %s %u", victims[i], killed[i]);
    print_message("%s\n", k->taps ? "" : "; no taps here");
}

/* The checks above are no good where they would not see it. */
static void what_is_wrong_is_found(void **state)
{
    char group[256], place[256];
    struct kills_object *object = &k->shared->object[0][0];
    (void)state;
    need();
    (void)snprintf(group, sizeof group, "%s/tenant-none", k->whole.world.cgroup);
    (void)snprintf(place, sizeof place, "%s/guests/4000000", k->whole.run);
    assert_true(kills_check_host(k, SECONDS));
    const char *const folders[] = {group, place};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mkdir(folders[i], 0700), 0);
        assert_false(kills_check_host(k, 0));
        assert_int_equal(rmdir(folders[i]), 0);
    }
    object->acknowledged[KILLS_START] += 1 + object->cut_off[KILLS_START];
    assert_false(kills_check_entries(k));
    object->acknowledged[KILLS_START] -= 1 + object->cut_off[KILLS_START];
    assert_true(kills_check_entries(k));
    object->may ^= KILLS_ABSENT | KILLS_STOPPED | KILLS_RUNNING | KILLS_PAUSED;
    assert_false(kills_settle(k, 0));
    k->entries++;
    assert_false(kills_check_log(k));
    k->entries--;
    assert_true(kills_check_log(k));
    k->head[0].root.data[0] ^= 1;
    assert_false(kills_check_log(k));
    k->head[0].root.data[0] ^= 1;
    assert_true(kills_check_log(k));
}

int main(int argc, char **argv)
{
    missing = argc == 3 ? whole_make(&k->whole, argv[1], argv[2]) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_killed_nothing_is_lost_and_nothing_done_twice),
        cmocka_unit_test(what_is_wrong_is_found),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(&k->whole);
    return rc;
}
