/*
 * One life of a machine that is about to be reset: cofred comes back on what the disk kept; all that was recorded outside of the machine must
 * hold of it; then clients ask for anything until the axe falls, on the whole machine.
 *
 *     round PROGRAM STAND_IN RECORD WORDS HOW SEED RUN    HOW: power, reset, early or end; RUN: cofred's folder "run"
 *
 * WORDS is the port to who has the machine: "power" asks for its end, now; "reset" announces that it ends by itself; the rest is TAP and
 * comments.
 */
#include <fcntl.h>
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lab/resets/record.h"
#include "vmm/base/file.h"

#define SECONDS    120
#define REQUESTS   25     /* of clients' after which, */
#define MOMENTS_US 400000 /* and microseconds later, the axe falls, at most */
#define EARLY_MS   3000   /* or so long after cofred began to start */
#define FIRST_USER 700000
#define DISK       "/disk"

static struct kills kills, *const k = &kills;
static const char *program, *stand_in, *record, *how, *run;
static int words = -1;
static uint64_t draws;
static uint32_t rounds; /* that were checked before */

static void say(const char *text)
{
    assert_int_equal(write(words, text, strlen(text)), strlen(text));
}

/* The machine */

static void write_configuration(void)
{
    char text[1024];
    const int len = snprintf(
        text, sizeof text,
        "{\"state\": \"%s\", \"run\": \"%s\", \"log_name\": \"operations of a machine that is reset\",\n"
        " \"users\": {\"decider\": \"611\", \"gate\": \"612\"}, \"listen\": [{\"unix\": \"%s\", \"mode\": "
        "\"0666\"}],\n"
        " \"guests\": {\"program\": \"%s\", \"cgroup\": \"%s\", \"first_user\": %u, \"count\": %d, "
        "\"bridges\": [\"cofre-br0\"]},\n"
        " \"access\": {\"administrator\": \"uid:0\"}}\n",
        k->whole.state, k->whole.run, k->whole.socket, stand_in, k->whole.world.cgroup, FIRST_USER,
        WORLD_GUESTS);
    assert_int_equal(
        file_write(k->whole.config, (struct view){(const uint8_t *)text, (size_t)len}, 0600, NULL), 0);
}

static void have_whole(void)
{
    struct whole *w = &k->whole;
    *w = (struct whole){.program = program, .first_user = FIRST_USER, .decider = 611};
    (void)snprintf(w->state, sizeof w->state, DISK "/state");
    (void)snprintf(w->run, sizeof w->run, "%s", run);
    (void)snprintf(w->socket, sizeof w->socket, "/tmp/api.sock");
    (void)snprintf(w->config, sizeof w->config, "/tmp/cofred.json");
    (void)snprintf(w->world.cgroup, sizeof w->world.cgroup, "/sys/fs/cgroup/cofred");
    write_configuration();
}

static void begin(void)
{
    kills_name_objects(k);
    json_decref(whole_must(&k->whole, 201, "POST", "/tenants", "{'name': 'shop'}"));
    whole_image(&k->whole, "shop", "kernel of the test", k->kernel);
    record_all(k, 0);
}

/* What ran has failed, and is started again where its definition says so; what was about to run does. */
static unsigned after_reset(unsigned may, bool restarts)
{
    const unsigned ran = may & (KILLS_RUNNING | KILLS_PAUSED),
                   becomes = restarts ? KILLS_RUNNING : KILLS_FAILED;
    return (may & ~KILLS_PAUSED) | (ran ? becomes : 0);
}

static void reset_objects(void)
{
    for (unsigned client = 0; client < KILLS_CLIENTS; client++)
        for (unsigned place = 0; place < KILLS_GUESTS; place++) {
            struct kills_object *o = &k->shared->object[client][place];
            o->may = after_reset(o->may, place == 0);
        }
}

/* The axe */

static void end_machine(void)
{
    const bool power = strcmp(how, "reset") != 0;
    say(power ? "power\n" : "reset\n");
    if (!power) {
        const int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
        assert_int_equal(write(fd, "b", 1), 1);
    }
    for (;;)
        (void)pause();
}

/* While cofred comes back, or is looked at, or whatever it then is. */
static void end_early(void)
{
    const int ms = (int)kills_draw(&draws, EARLY_MS);
    (void)fflush(NULL);
    if (fork() != 0)
        return;
    (void)poll(NULL, 0, ms);
    end_machine();
}

/* Heads are given out meanwhile, and kept outside before another is asked for. */
static void await_moment(void)
{
    const unsigned long until = kills_draw(&draws, REQUESTS);
    const struct timespec moment = {.tv_nsec = (long)kills_draw(&draws, MOMENTS_US) * 1000};
    for (int turn = 0; k->shared->requests < until && turn < SECONDS * 100; turn++) {
        if (turn % 20 == 0 && kills_see_head(k))
            record_whole(k, rounds);
        (void)poll(NULL, 0, 10);
    }
    (void)ppoll(NULL, 0, &moment, NULL);
}

/* The round */

static void must(bool good)
{
    if (!good)
        kills_show_entries(k);
    if (!good)
        fail_msg("%s", k->why);
}

static void check(void)
{
    must(kills_settle(k, SECONDS));
    must(kills_check_host(k, SECONDS));
    must(kills_check_entries(k));
    must(kills_check_log(k));
    must(kills_see_head(k));
    record_all(k, rounds + 1);
}

static void tell_what_there_is(void)
{
    char text[256];
    unsigned where[5] = {0};
    for (unsigned client = 0; client < KILLS_CLIENTS; client++)
        for (unsigned place = 0; place < KILLS_GUESTS; place++)
            for (unsigned bit = 0; bit < 5; bit++)
                where[bit] += k->shared->object[client][place].may == 1U << bit;
    (void)snprintf(
        text, sizeof text,
        "# %lld entries, %llu heads; guests: %u absent, %u stopped, %u running, %u paused, %u failed\n",
        (long long)k->entries, (unsigned long long)k->heads, where[0], where[1], where[2], where[3],
        where[4]);
    say(text);
}

static void what_was_recorded_holds_of_the_machine_that_came_back(void **state)
{
    (void)state;
    must(record_open(k, record, &rounds));
    const bool first = k->shared->object[0][0].name[0] == 0;
    if (!first)
        reset_objects();
    if (strcmp(how, "early") == 0)
        end_early();
    whole_start(&k->whole);
    if (first)
        begin();
    check();
    tell_what_there_is();
    say("ok\n");
    if (strcmp(how, "end") == 0) {
        (void)whole_stop(&k->whole, SIGTERM);
        for (pid_t guest;
             (guest = whole_part(&k->whole, "guest"));) /* they outlive it, and have disks open */
            (void)kill(guest, SIGKILL);
        return;
    }
    kills_clients_start(k, draws);
    kills_clients_go(k);
    await_moment();
    end_machine();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_recorded_holds_of_the_machine_that_came_back),
    };
    if (argc != 8)
        return 2;
    program = argv[1];
    stand_in = argv[2];
    record = argv[3];
    words = open(argv[4], O_WRONLY | O_CLOEXEC);
    how = argv[5];
    draws = 0x9e3779b97f4a7c15 ^ strtoull(argv[6], NULL, 10);
    run = argv[7];
    for (int i = 0; i < 16; i++)
        (void)kills_draw(&draws, 2);
    k->shared = mmap(NULL, sizeof *k->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words < 0 || k->shared == MAP_FAILED)
        return 1;
    k->restarts = k->taps = true;
    k->note = record_client;
    have_whole();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
