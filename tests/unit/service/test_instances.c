/*
 * Two instances of cofre-trust, each a process, on one PostgreSQL: one dies in the middle of a request and the other answers its
 * client's next try, once; a nonce is good at one of them; the database goes away and comes back. COFRE_INSTANCES_ROUNDS
 * and _SEED have it tried oftener.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/service/guest.h"
#include "tests/unit/service/process.h"
#include "tests/unit/store/database.h"
#include "vmm/base/json.h"

static int64_t real_clock(void)
{
    return time(NULL);
}

static struct database server;
static bool there;
static struct fixture *f;
static struct process instance[2];
static struct client at[2];   /* a connection to each */
static struct db *watch;      /* looks at the database, outside of f->db's transactions */
static char request[1 << 17]; /* an appraisal, as it is sent */
static uint64_t draws;

static uint64_t draw(uint64_t below)
{
    draws ^= draws << 13;
    draws ^= draws >> 7;
    draws ^= draws << 17;
    return (draws >> 11) % below;
}

static unsigned rounds(unsigned otherwise)
{
    const char *text = getenv("COFRE_INSTANCES_ROUNDS");
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static struct db *reach(void)
{
    struct cofre_err err = {""};
    struct db *db = NULL;
    if (db_open(&db, server.name, &err) < 0)
        fail_msg("%s", err.text);
    return db;
}

static int setup(void **state)
{
    (void)state;
    if (!there)
        return 0;
    f = fixture_new(real_clock);
    f->config.database = server.name;
    guest_open(f);
    for (int i = 0; i < 2; i++) {
        process_new(&instance[i], f, i ? "second" : "first");
        process_start(&instance[i]);
        at[i] = client_new(instance[i].port);
    }
    process_populate(f, &instance[0]);
    watch = reach();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!there)
        return 0;
    process_leave(f);
    for (int i = 0; i < 2; i++) {
        client_close(&at[i]);
        process_end(&instance[i]);
        process_free(&instance[i]);
    }
    db_close(watch);
    guest_close();
    fixture_free(f);
    return 0;
}

static void needs_postgres(void)
{
    if (!there)
        skip();
}

static void new_nonce(int i, char out[static 65])
{
    assert_int_equal(ask_with(f, &at[i], "POST", "/v1/challenges", "submit", NULL, NULL), 201);
    CLEAN_JSON *answer = answer_json(f);
    snprintf(out, 65, "%s", json_string_value(json_object_get(answer, "nonce")));
}

static void write_appraisal(const char *nonce)
{
    static char body[1 << 16];
    char *evidence = guest_evidence(nonce);
    int n = snprintf(body, sizeof body, "{\"policy\": \"web\", \"challenge\": \"%s\", \"evidence\": %s}",
                     nonce, evidence);
    assert_true((size_t)n < sizeof body);
    free(evidence);
    snprintf(request, sizeof request,
             "POST /v1/appraisals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer submit\r\n"
             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
             n, body);
}

static int answer_of(int i)
{
    return client_answer(&at[i], f->answer, sizeof f->answer);
}

static int appraise(int i)
{
    assert_true(client_send(&at[i], request));
    return answer_of(i);
}

static int64_t number(const char *sql)
{
    int64_t n = -1;
    struct cofre_err err = {""};
    if (db_run(watch, sql, NULL, 0, db_take_integer, &n, &err) < 0)
        fail_msg("%s", err.text);
    return n;
}

#define RESULTS "SELECT count(*) FROM result"
#define ENTRIES "SELECT count(*) FROM log_entry"
#define LOCKED  "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
#define COMMITS "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

static void script(const char *sql)
{
    struct cofre_err err = {""};
    if (db_script(f->db, sql, &err) < 0)
        fail_msg("%s: %s", sql, err.text);
}

/* It comes back, and gives the same answer as the other one. */
static void revive(int i, const char *body)
{
    char *first = strdup(body);
    process_start(&instance[i]);
    client_close(&at[i]);
    at[i] = client_new(instance[i].port);
    assert_int_equal(appraise(i), 200);
    assert_string_equal(answer_body(f), first);
    free(first);
}

/* The first one dies as it waits for the log's last row, which this test holds. */
static void one_that_dies_before_it_kept_a_verdict_leaves_the_other_to_judge(void **state)
{
    char nonce[65];
    (void)state;
    needs_postgres();
    new_nonce(0, nonce);
    write_appraisal(nonce);
    const int64_t results = number(RESULTS), entries = number(ENTRIES);
    script("BEGIN");
    script("UPDATE log_state SET size = size");
    assert_true(client_send(&at[0], request));
    while (number(LOCKED) == 0)
        continue;
    process_kill(&instance[0]);
    script("ROLLBACK");
    assert_int_equal(answer_of(0), 0);
    assert_int_equal(appraise(1), 200);
    assert_member(f, "outcome", "pass");
    revive(0, answer_body(f));
    assert_int_equal(number(RESULTS), results + 1);
    assert_int_equal(number(ENTRIES), entries + 1);
}

/*
 * PostgreSQL has a commit wait for a standby server that never comes: the verdict is on its disk, and nobody is told. When that
 * takes effect the server does not say, so it is tried until an appraisal is not answered.
 */
static void have_a_commit_wait(void)
{
    enum { TRIES = 64 };
    static char nonce[TRIES][65];
    struct pollfd answered = {.fd = at[0].fd, .events = POLLIN};
    for (int i = 0; i < TRIES; i++)
        new_nonce(0, nonce[i]);
    script("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    script("SELECT pg_reload_conf()");
    for (int i = 0; i < TRIES; i++) {
        write_appraisal(nonce[i]);
        assert_true(client_send(&at[0], request));
        while (poll(&answered, 1, 0) == 0)
            if (number(COMMITS))
                return;
        assert_int_equal(answer_of(0), 200);
    }
    fail_msg("no commit of %d had to wait", TRIES);
}

static void wait_for_results(int64_t count)
{
    while (number(RESULTS) != count)
        continue;
}

static void one_that_dies_after_it_kept_a_verdict_has_the_other_answer_it(void **state)
{
    (void)state;
    needs_postgres();
    have_a_commit_wait();
    const int64_t results = number(RESULTS), entries = number(ENTRIES);
    process_kill(&instance[0]);
    script("ALTER SYSTEM RESET synchronous_standby_names");
    script("SELECT pg_reload_conf()");
    wait_for_results(results + 1);
    assert_int_equal(answer_of(0), 0);
    assert_int_equal(appraise(1), 200);
    assert_member(f, "outcome", "pass");
    revive(0, answer_body(f));
    assert_int_equal(number(RESULTS), results + 1);
    assert_int_equal(number(ENTRIES), entries + 1);
}

static void a_commit_over_which_the_database_died_is_found_by_the_next_try(void **state)
{
    (void)state;
    needs_postgres();
    have_a_commit_wait();
    const int64_t results = number(RESULTS);
    script("ALTER SYSTEM RESET synchronous_standby_names"); /* for its next start */
    database_stop(&server, "immediate");
    assert_int_equal(answer_of(0), 503);
    assert_non_null(strstr(f->answer, "Retry-After: "));
    database_start_again(&server);
    assert_int_equal(number(RESULTS), results + 1);
    assert_int_equal(appraise(0), 200);
    char *first = strdup(answer_body(f));
    assert_int_equal(appraise(1), 200);
    assert_string_equal(answer_body(f), first);
    free(first);
    assert_int_equal(number(RESULTS), results + 1);
}

static void whenever_one_dies_the_next_try_is_answered_once(void **state)
{
    const unsigned count = rounds(4);
    (void)state;
    needs_postgres();
    const int64_t results = number(RESULTS), entries = number(ENTRIES);
    for (unsigned i = 0; i < count; i++) {
        const int victim = i % 2;
        const struct timespec later = {.tv_nsec = (long)draw(30000000)};
        char nonce[65];
        new_nonce(!victim, nonce);
        write_appraisal(nonce);
        assert_true(client_send(&at[victim], request));
        (void)nanosleep(&later, NULL);
        process_kill(&instance[victim]);
        assert_int_equal(appraise(!victim), 200);
        assert_member(f, "outcome", "pass");
        revive(victim, answer_body(f));
    }
    assert_int_equal(number(RESULTS), results + count);
    assert_int_equal(number(ENTRIES), entries + count);
}

static void a_nonce_is_good_at_one_of_them(void **state)
{
    static char other[sizeof request], first[sizeof f->answer];
    const unsigned count = rounds(10);
    (void)state;
    needs_postgres();
    const int64_t results = number(RESULTS);
    for (unsigned i = 0; i < count; i++) {
        char nonce[65];
        new_nonce(i % 2, nonce);
        write_appraisal(nonce);
        strcpy(other, request);
        write_appraisal(nonce);
        assert_true(client_send(&at[0], request) && client_send(&at[1], other));
        const int status[2] = {answer_of(0), answer_of(1)};
        if (status[0] + status[1] != 200 + 409)
            fail_msg("two with one nonce: %d and %d", status[0], status[1]);
        /* And the same request at both is one request. */
        new_nonce(i % 2, nonce);
        write_appraisal(nonce);
        assert_true(client_send(&at[0], request) && client_send(&at[1], request));
        assert_int_equal(answer_of(0), 200);
        strcpy(first, answer_body(f));
        assert_int_equal(answer_of(1), 200);
        assert_string_equal(answer_body(f), first);
    }
    assert_int_equal(number(RESULTS), results + 2 * count);
}

static void must_be_told_to_come_later(int i, const char *method, const char *path)
{
    assert_int_equal(ask_with(f, &at[i], method, path, "submit", NULL, NULL), 503);
    assert_non_null(strstr(f->answer, "Retry-After: "));
    assert_member(f, "code", "unavailable");
}

static void a_database_that_is_away_for_a_while_is_survived(void **state)
{
    static const char *const modes[] = {"fast", "immediate"};
    char nonce[65];
    (void)state;
    needs_postgres();
    const int64_t results = number(RESULTS);
    for (size_t m = 0; m < 2; m++) {
        const pid_t alive[2] = {instance[0].pid, instance[1].pid};
        new_nonce(0, nonce);
        write_appraisal(nonce);
        database_stop(&server, modes[m]);
        for (int i = 0; i < 2; i++) {
            must_be_told_to_come_later(i, "GET", "/readyz");
            must_be_told_to_come_later(i, "POST", "/v1/challenges");
            assert_int_equal(appraise(i), 503);
            assert_non_null(strstr(f->answer, "Retry-After: "));
            assert_int_equal(ask_with(f, &at[i], "GET", "/healthz", NULL, NULL, NULL), 200);
            assert_int_equal(ask_with(f, &at[i], "GET", "/v1/keys.jwks", NULL, NULL, NULL), 200);
        }
        database_start_again(&server);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ask_with(f, &at[i], "GET", "/readyz", NULL, NULL, NULL), 200);
            assert_int_equal(appraise(i), 200);
            assert_int_equal(instance[i].pid, alive[i]);
        }
        assert_int_equal(number(RESULTS), results + (int64_t)m + 1);
    }
}

/* Nobody asked for anything meanwhile, so nobody notices. */
static void a_database_that_was_started_anew_is_used_as_before(void **state)
{
    char nonce[65];
    (void)state;
    needs_postgres();
    for (int i = 0; i < 8; i++) { /* all threads have used their connections */
        new_nonce(i % 2, nonce);
        write_appraisal(nonce);
        assert_int_equal(appraise(i % 2), 200);
    }
    database_stop(&server, "fast");
    database_start_again(&server);
    for (int i = 0; i < 8; i++) {
        new_nonce(i % 2, nonce);
        write_appraisal(nonce);
        assert_int_equal(appraise(i % 2), 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_dies_before_it_kept_a_verdict_leaves_the_other_to_judge),
        cmocka_unit_test(one_that_dies_after_it_kept_a_verdict_has_the_other_answer_it),
        cmocka_unit_test(a_commit_over_which_the_database_died_is_found_by_the_next_try),
        cmocka_unit_test(whenever_one_dies_the_next_try_is_answered_once),
        cmocka_unit_test(a_nonce_is_good_at_one_of_them),
        cmocka_unit_test(a_database_that_is_away_for_a_while_is_survived),
        cmocka_unit_test(a_database_that_was_started_anew_is_used_as_before),
    };
    const char *seed = getenv("COFRE_INSTANCES_SEED");
    signal(SIGPIPE, SIG_IGN);
    draws = (seed ? strtoull(seed, NULL, 10) : 1) * 0x9e3779b97f4a7c15 | 1;
    there = database_start(&server, "postgres");
    int rc = cmocka_run_group_tests(tests, setup, teardown);
    database_remove(&server);
    return rc;
}
