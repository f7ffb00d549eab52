/* What is held is given out whatever the vendor does, asked for once however many ask, and refreshed before its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/collateral/keeper.h"
#include "attest/store/schema.h"
#include "tests/unit/collateral/vendor.h"
#include "tests/unit/store/database.h"
#include "vmm/base/timestamp.h"

#define DAY 86400
#define QE  "the QE identity (standard): "

static struct database server;
static bool there;

static atomic_llong now; /* of every keeper */
static int64_t read_clock(void)
{
    return now;
}
static uint32_t no_chance(void)
{
    return 0;
}

static struct vendor *vendor;
static struct keeper_config config;
static struct keeper *keeper;
static struct db *db;
static const struct collateral_id qe = {.kind = PCS_QE_IDENTITY};

static struct keeper *new_keeper(unsigned waiters)
{
    struct keeper *k = NULL;
    struct cofre_err err = {""};
    config.waiters = waiters;
    if (keeper_new(&k, &config, &err) < 0 || keeper_use_roots(k, vendor_roots(vendor), &err) < 0)
        fail_msg("%s", err.text);
    return k;
}

static int setup(void **state)
{
    static char root_crl[128];
    struct cofre_err err = {""};
    (void)state;
    if (!there)
        return 0;
    now = time(NULL);
    vendor = vendor_new(now);
    if (db_open(&db, server.name, &err) < 0 || schema_bring(db, &err) < 0 ||
        db_script(db, "DELETE FROM collateral", &err) < 0)
        fail_msg("%s", err.text);
    snprintf(root_crl, sizeof root_crl, "%s/IntelSGXRootCA.der", vendor_url(vendor));
    config = (struct keeper_config){
        .database = server.name,
        .sources = {.kds = vendor_url(vendor), .pcs = vendor_url(vendor), .pcs_root_crl = root_crl},
        .wait_ms = 60000,
        .limits = {.body = 1 << 20, .connect_ms = 2000, .whole_ms = 30000},
        .clock = read_clock,
        .random = no_chance};
    keeper = new_keeper(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!there)
        return 0;
    keeper_free(keeper);
    db_close(db);
    vendor_free(vendor);
    return 0;
}

/* Without a thread: who asks is told to come again, and this is the thread. */
static void run_all(void)
{
    while (keeper_step(keeper, COLLATERAL_AMD) || keeper_step(keeper, COLLATERAL_INTEL))
        ;
}

static int get(const struct collateral_id *id, struct collateral_item *out, int64_t *again,
               struct cofre_err *err)
{
    collateral_item_free(out);
    *again = 0;
    return keeper_get(keeper, db, id, out, again, err);
}

static void assert_held(const struct collateral_id *id)
{
    CLEAN_ITEM item = {.issued = 0};
    struct cofre_err err = {""};
    int64_t again;
    if (get(id, &item, &again, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(item.body.len > 0);
}

static void assert_not_to_be_had(const struct collateral_id *id, int code, int64_t in, const char *sentence)
{
    CLEAN_ITEM item = {.issued = 0};
    struct cofre_err err = {""};
    int64_t again;
    assert_int_equal(get(id, &item, &again, &err), -code);
    assert_string_equal(err.text, sentence);
    assert_int_equal(again, in ? now + in : 0);
}

static void fetch_all(void)
{
    const struct collateral_id all[] = {vendor_vcek(vendor),
                                        {.kind = KDS_CRL, .product = SNP_PRODUCT_MILAN},
                                        vendor_tcb_info(vendor),
                                        qe,
                                        {.kind = PCS_PCK_CRL, .platform_ca = true},
                                        {.kind = PCS_ROOT_CRL}};
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            CLEAN_ITEM item = {.issued = 0};
            int64_t again;
            if (round)
                assert_held(&all[i]);
            else {
                assert_int_equal(get(&all[i], &item, &again, NULL), -COFRE_LACKING);
                run_all();
            }
        }
}

static void what_is_held_is_not_asked_for_again(void **state)
{
    (void)state;
    if (!there)
        skip();
    assert_not_to_be_had(&qe, COFRE_LACKING, 2, QE "it is being asked for");
    run_all();
    for (int i = 0; i < 3; i++)
        assert_held(&qe);
    assert_int_equal(vendor_asked(vendor, "/"), 1);
}

static void whatever_another_is_checked_with_is_fetched_first(void **state)
{
    (void)state;
    if (!there)
        skip();
    fetch_all();
    assert_int_equal(vendor_asked(vendor, "/"), 7);
    assert_int_equal(vendor_asked(vendor, "/vcek/v1/Milan/cert_chain"), 1);
}

static void a_throttled_vendor_is_left_alone_until_then(void **state)
{
    char sentence[256], text[TIME_TEXT_SIZE];
    struct collateral_id tcb = vendor_tcb_info(vendor);
    (void)state;
    if (!there)
        skip();
    vendor_be(vendor, VENDOR_THROTTLES, "40");
    assert_not_to_be_had(&qe, COFRE_LACKING, 2, QE "it is being asked for");
    run_all();
    assert_not_to_be_had(&qe, COFRE_LACKING, 40, QE "Intel's service answered 429 (too many questions)");
    time_format(text, now + 40);
    snprintf(
        sentence, sizeof sentence,
        "the TCB info of FMSPC e006c0f00000 (standard): Intel's service wants no more questions before %s",
        text);
    assert_not_to_be_had(&tcb, COFRE_LACKING, 40, sentence);
    vendor_be(vendor, VENDOR_GOOD, NULL);
    now += 39;
    run_all();
    assert_int_equal(vendor_asked(vendor, "/"), 1);
    now += 1;
    run_all();
    assert_held(&tcb);
    assert_int_equal(vendor_asked(vendor, "/"), 2);
}

static void waits_grow_with_each_failure(void **state)
{
    static const int64_t waits[] = {1, 2, 4, 8, 16, 32};
    (void)state;
    if (!there)
        skip();
    vendor_be(vendor, VENDOR_BROKEN, NULL);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        CLEAN_ITEM item = {.issued = 0};
        int64_t again;
        (void)get(&qe, &item, &again, NULL);
        run_all();
        assert_int_equal(vendor_asked(vendor, "/"), i + 1);
        assert_not_to_be_had(&qe, COFRE_LACKING, waits[i],
                             QE "Intel's service answered 502 (what it asks itself does not answer)");
        now += waits[i];
    }
}

static void no_such_thing_is_believed_for_a_while(void **state)
{
    struct collateral_id id = {.kind = PCS_TCB_INFO, .fmspc = {1, 2, 3, 4, 5, 6}};
    static const char sentence[] =
        "the TCB info of FMSPC 010203040506 (standard): Intel's service answered 404 "
        "(there is no such thing)";
    (void)state;
    if (!there)
        skip();
    for (unsigned round = 1; round <= 2; round++) {
        assert_not_to_be_had(&id, COFRE_LACKING, 2,
                             "the TCB info of FMSPC 010203040506 (standard): it is being asked for");
        run_all();
        assert_not_to_be_had(&id, COFRE_NEGATIVE, 0, sentence);
        now += 599;
        assert_not_to_be_had(&id, COFRE_NEGATIVE, 0, sentence);
        assert_int_equal(vendor_asked(vendor, "/"), round);
        now += 3602;
        run_all(); /* it forgets */
    }
}

static void an_outage_within_validity_is_unnoticed(void **state)
{
    (void)state;
    if (!there)
        skip();
    fetch_all();
    const unsigned asked = vendor_asked(vendor, "/");
    now += DAY - 1;
    run_all();
    assert_int_equal(vendor_asked(vendor, "/"), asked);
    vendor_be(vendor, VENDOR_BROKEN, NULL);
    now += 1;
    run_all(); /* four of Intel's have been due for a second */
    assert_int_equal(vendor_asked(vendor, "/sgx") + vendor_asked(vendor, "/tdx") +
                         vendor_asked(vendor, "/IntelSGXRootCA.der"),
                     8);
    now += 28 * DAY;
    assert_held(&qe);
    const struct collateral_id vcek = vendor_vcek(vendor);
    assert_held(&vcek);
}

static void beyond_it_what_is_held_is_given_as_it_is(void **state)
{
    CLEAN_ITEM item = {.issued = 0};
    struct cofre_err err = {""};
    int64_t again, fetched_at = now;
    (void)state;
    if (!there)
        skip();
    fetch_all();
    vendor_be(vendor, VENDOR_BROKEN, NULL);
    now += 31 * DAY;
    run_all();
    assert_int_equal(get(&qe, &item, &again, &err), 0);
    assert_int_equal(item.until, fetched_at + 30 * DAY);
}

static void a_revision_is_fetched_within_the_day(void **state)
{
    CLEAN_ITEM item = {.issued = 0};
    int64_t again;
    (void)state;
    if (!there)
        skip();
    fetch_all();
    now += DAY;
    vendor_publish(vendor, now);
    run_all();
    assert_int_equal(get(&qe, &item, &again, NULL), 0);
    assert_int_equal(item.until, now + 30 * DAY);
}

static void what_is_older_than_what_is_held_is_refused(void **state)
{
    CLEAN_ITEM item = {.issued = 0};
    struct cofre_err err = {""};
    int64_t again;
    (void)state;
    if (!there)
        skip();
    fetch_all();
    const int64_t until = now + 30 * DAY;
    vendor_publish(vendor, now - 2 * DAY);
    now += DAY;
    run_all();
    assert_int_equal(get(&qe, &item, &again, &err), 0);
    assert_int_equal(item.until, until);
}

struct asker {
    pthread_t thread;
    struct keeper *keeper;
    int rc;
    size_t got;
    struct cofre_err err;
};

static void *ask(void *context)
{
    struct asker *a = context;
    struct db *own = NULL;
    CLEAN_ITEM item = {.issued = 0};
    int64_t again;
    a->rc = db_open(&own, server.name, &a->err);
    if (a->rc == 0)
        a->rc = keeper_get(a->keeper, own, &qe, &item, &again, &a->err);
    a->got = item.body.len;
    db_close(own);
    return NULL;
}

#define ASKERS 8
#define ROUNDS 20 /* who asks while the answer comes meets it at another moment each time */

static void have_all_ask_at_once(void)
{
    struct asker asker[ASKERS] = {{.rc = 0}};
    const unsigned before = vendor_asked(vendor, "/");
    if (db_script(db, "DELETE FROM collateral", NULL) < 0)
        fail_msg("the table of collateral cannot be emptied");
    vendor_be(vendor, VENDOR_HOLDS, NULL);
    for (size_t i = 0; i < ASKERS; i++) {
        asker[i].keeper = keeper;
        assert_int_equal(pthread_create(&asker[i].thread, NULL, ask, &asker[i]), 0);
    }
    vendor_wait_for_held(vendor, 1);
    vendor_be(vendor, VENDOR_GOOD, NULL);
    for (size_t i = 0; i < ASKERS; i++) {
        pthread_join(asker[i].thread, NULL);
        if (asker[i].rc < 0)
            fail_msg("%s", asker[i].err.text);
        assert_true(asker[i].got > 0);
    }
    assert_int_equal(vendor_asked(vendor, "/"), before + 1);
}

static void many_who_ask_at_once_are_one_question(void **state)
{
    (void)state;
    if (!there)
        skip();
    keeper_free(keeper);
    keeper = new_keeper(ASKERS);
    assert_int_equal(keeper_start(keeper, NULL), 0);
    for (int round = 0; round < ROUNDS; round++)
        have_all_ask_at_once();
}

static void of_two_instances_one_asks(void **state)
{
    struct asker asker[2] = {{.rc = 0}};
    (void)state;
    if (!there)
        skip();
    struct keeper *other = new_keeper(1);
    keeper_free(keeper);
    keeper = new_keeper(1);
    assert_int_equal(keeper_start(keeper, NULL), 0);
    assert_int_equal(keeper_start(other, NULL), 0);
    vendor_be(vendor, VENDOR_HOLDS, NULL);
    asker[0].keeper = keeper;
    asker[1].keeper = other;
    assert_int_equal(pthread_create(&asker[0].thread, NULL, ask, &asker[0]), 0);
    vendor_wait_for_held(vendor, 1);
    ask(&asker[1]);
    assert_int_equal(asker[1].rc, -COFRE_LACKING);
    assert_string_equal(asker[1].err.text, QE "it is being asked for");
    vendor_be(vendor, VENDOR_GOOD, NULL);
    pthread_join(asker[0].thread, NULL);
    assert_int_equal(asker[0].rc, 0);
    ask(&asker[1]);
    assert_int_equal(asker[1].rc, 0);
    assert_int_equal(vendor_asked(vendor, "/"), 1);
    keeper_free(other);
}

static void no_more_wait_than_may(void **state)
{
    struct asker asker = {.rc = 0};
    (void)state;
    if (!there)
        skip();
    keeper_free(keeper);
    keeper = new_keeper(1);
    assert_int_equal(keeper_start(keeper, NULL), 0);
    vendor_be(vendor, VENDOR_HOLDS, NULL);
    asker.keeper = keeper;
    assert_int_equal(pthread_create(&asker.thread, NULL, ask, &asker), 0);
    vendor_wait_for_held(vendor, 1);
    assert_not_to_be_had(&qe, COFRE_LACKING, 2, QE "it is being asked for");
    vendor_be(vendor, VENDOR_GOOD, NULL);
    pthread_join(asker.thread, NULL);
    assert_int_equal(asker.rc, 0);
}

static void a_stop_does_not_wait_for_a_vendor(void **state)
{
    struct asker asker = {.rc = 0};
    (void)state;
    if (!there)
        skip();
    keeper_free(keeper);
    keeper = new_keeper(0);
    assert_int_equal(keeper_start(keeper, NULL), 0);
    vendor_be(vendor, VENDOR_STALLS, NULL);
    asker.keeper = keeper;
    ask(&asker);
    vendor_wait_for_held(vendor, 1);
    keeper_free(keeper); /* or the test's own time ends */
    keeper = NULL;
}

static void without_a_source_nothing_is_asked(void **state)
{
    CLEAN_ITEM item = {.issued = 0};
    int64_t again;
    (void)state;
    if (!there)
        skip();
    keeper_free(keeper);
    config.sources = (struct collateral_sources){.kds = NULL};
    keeper = new_keeper(0);
    assert_int_equal(get(&qe, &item, &again, NULL), 0);
    assert_int_equal(item.body.len, 0);
    assert_false(keeper_step(keeper, COLLATERAL_INTEL));
    assert_int_equal(vendor_asked(vendor, "/"), 0);
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(what_is_held_is_not_asked_for_again),
        T(whatever_another_is_checked_with_is_fetched_first),
        T(a_throttled_vendor_is_left_alone_until_then),
        T(waits_grow_with_each_failure),
        T(no_such_thing_is_believed_for_a_while),
        T(an_outage_within_validity_is_unnoticed),
        T(beyond_it_what_is_held_is_given_as_it_is),
        T(a_revision_is_fetched_within_the_day),
        T(what_is_older_than_what_is_held_is_refused),
        T(many_who_ask_at_once_are_one_question),
        T(of_two_instances_one_asks),
        T(no_more_wait_than_may),
        T(a_stop_does_not_wait_for_a_vendor),
        T(without_a_source_nothing_is_asked),
    };
    signal(SIGPIPE, SIG_IGN);
    there = database_start(&server, argc > 1 ? argv[1] : "sqlite");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    database_remove(&server);
    return failed;
}
