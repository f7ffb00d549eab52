/*
 * cofre-trust killed again and again under clients of all sorts. What it acknowledged is there, no nonce has two verdicts, and a
 * long life ends with the memory and the descriptors of its youth. COFRE_SOAK_REQUESTS, _KILLS and _SEED make it longer.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/token/key_set.h"
#include "tests/unit/service/guest.h"
#include "tests/unit/service/soak.h"

#define CLIENTS 4
/* That a long life may have over its youth: caches of the database and of malloc; and with the sanitizer its notes of who
 * allocated what, 8 MiB in 22,000 requests in which the service itself grows by less than 0.1. */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_KIB 32768
#else
#define GROWTH_KIB 8192
#endif
#define SAMPLE_EACH 16 /* requests */

static int64_t real_clock(void)
{
    return time(NULL);
}

static unsigned long of_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static struct soak *soak;
static uint64_t draws; /* of moments at which it is killed */

static uint64_t draw(uint64_t below)
{
    draws ^= draws << 13;
    draws ^= draws >> 7;
    draws ^= draws << 17;
    return (draws >> 11) % below;
}

static void read_keys(struct fixture *f)
{
    struct cofre_err err = {""};
    assert_int_equal(ask(f, "GET", "/v1/keys.cose", NULL, NULL), 200);
    const char *length = strstr(f->answer, "Content-Length: ");
    const struct view body = {(const uint8_t *)answer_body(f), strtoul(length + 16, NULL, 10)};
    if (keys_read(&soak->keys, body, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(real_clock);
    *state = f;
    guest_open(f);
    f->config.limits.seconds = 5;
    soak = calloc(1, sizeof *soak);
    assert_non_null(soak);
    soak->f = f;
    pthread_mutex_init(&soak->lock, NULL);
    sem_init(&soak->progress, 0, 0);
    process_new(&soak->process, f, "soak");
    process_start(&soak->process);
    process_populate(f, &soak->process);
    read_keys(f);
    return 0;
}

static int teardown(void **state)
{
    process_leave(*state);
    process_free(&soak->process);
    guest_close();
    fixture_free(*state);
    cose_keys_free(&soak->keys);
    free(soak->told);
    free(soak->head);
    free(soak);
    return 0;
}

/* The largest that was seen of any life, between its birth and the moment at which it is killed. */
struct largest {
    size_t resident;
    unsigned descriptors;
};

static void wait_for_requests(unsigned until, struct largest *largest)
{
    struct process_size size;
    while (atomic_load(&soak->begun) < until) {
        while (sem_wait(&soak->progress) < 0)
            assert_int_equal(errno, EINTR);
        if (atomic_load(&soak->begun) % SAMPLE_EACH || !process_size(&size, &soak->process))
            continue;
        largest->resident = size.resident > largest->resident ? size.resident : largest->resident;
        largest->descriptors =
            size.descriptors > largest->descriptors ? size.descriptors : largest->descriptors;
    }
}

/* At a moment between two requests of theirs, and some microseconds: not always at the same instruction of the service. */
static void kill_at(unsigned request, struct largest *largest)
{
    const struct timespec more = {.tv_nsec = (long)draw(4000000)};
    wait_for_requests(request, largest);
    (void)nanosleep(&more, NULL);
    process_kill(&soak->process);
    process_start(&soak->process);
}

static void start_clients(pthread_t thread[CLIENTS], unsigned requests)
{
    atomic_store(&soak->begun, 0);
    soak->requests = requests;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct soak_client *c = calloc(1, sizeof *c);
        assert_non_null(c);
        c->soak = soak;
        c->state = draw(INT64_MAX) | 1;
        assert_int_equal(pthread_create(&thread[i], NULL, soak_client_run, c), 0);
    }
}

static struct largest run(unsigned requests, unsigned kills)
{
    pthread_t thread[CLIENTS];
    struct largest largest = {0};
    start_clients(thread, requests);
    for (unsigned k = 0; k < kills; k++)
        kill_at((unsigned)((k * (uint64_t)requests + draw(requests)) / kills), &largest);
    wait_for_requests(requests, &largest);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    return largest;
}

static void connect_again(struct fixture *f)
{
    client_close(&f->connection);
    f->connection = client_new(f->port);
}

/* When all clients but this one are gone, and the service knows it. */
static struct process_size quiet(struct fixture *f)
{
    struct process_size size;
    connect_again(f);
    do
        assert_int_equal(ask(f, "GET", "/metrics", "audit", NULL), 200);
    while (!strstr(f->answer, "\ncofre_trust_connections 1\n"));
    assert_true(process_size(&size, &soak->process));
    return size;
}

static void nothing_that_was_acknowledged_is_lost(void **state)
{
    struct fixture *f = *state;
    const unsigned requests = (unsigned)of_environment("COFRE_SOAK_REQUESTS", 300),
                   kills = (unsigned)of_environment("COFRE_SOAK_KILLS", 3);
    const struct process_size born = quiet(f);
    const struct largest of_lives = run(requests / 3 * 2, kills);
    connect_again(f);
    soak_check_results(soak, 0);
    print_message("# %u requests, %u kills; at birth %zu KiB and %u descriptors; at most %zu KiB and %u; %u "
                  "answers were cut off\n",
                  requests / 3 * 2, kills, born.resident, born.descriptors, of_lives.resident,
                  of_lives.descriptors, atomic_load(&soak->broken));
    assert_true(of_lives.descriptors <= born.descriptors + f->config.limits.connections + 16);

    /* And one long life. */
    const size_t before = soak->count;
    (void)run(requests / 9, 0);
    const struct process_size young = quiet(f);
    const struct largest of_life = run(requests / 9 * 2, 0);
    const struct process_size old = quiet(f);
    print_message("# of %u requests in one life: %zu KiB and %u descriptors after %u, %zu KiB and %u at its "
                  "end, at most %zu KiB and %u\n",
                  requests / 9 * 3, young.resident, young.descriptors, requests / 9, old.resident,
                  old.descriptors, of_life.resident, of_life.descriptors);
    assert_int_equal(old.descriptors, young.descriptors);
    assert_true(old.resident <= young.resident + GROWTH_KIB);
    soak_check_results(soak, before);
    soak_check_log(soak);
    process_end(&soak->process);
    soak_check_database(soak);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_that_was_acknowledged_is_lost, setup, teardown),
    };
    signal(SIGPIPE, SIG_IGN);
    /* Memory that was freed and is kept only to catch its use would look like growth. */
    setenv("ASAN_OPTIONS", "quarantine_size_mb=1:thread_local_quarantine_size_kb=64", 1);
    draws = of_environment("COFRE_SOAK_SEED", 1) * 0x9e3779b97f4a7c15 | 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
