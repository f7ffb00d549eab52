/* What a TPM says of its clock and a log's heads: who verifies it, and what does not verify or cannot follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "tests/unit/keys/swtpm.h"
#include "tests/unit/log/made_tpm.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"
#include "vmm/tpm/clock.h"
#include "vmm/tpm/link.h"

static const struct log_state head = {.size = 7, .root = {{1, 2, 3}}, .id = {{9}}};
static const struct log_clock noon = {
    .milliseconds = 10000000, .since_start = 5000, .resets = 4, .safe = true};

struct tpm_key {
    EVP_PKEY *key;
    struct cose_keys pinned;
};

static int set_up(void **state)
{
    static struct tpm_key k;
    k.key = EVP_EC_gen("P-256");
    assert_non_null(k.key);
    assert_int_equal(EVP_PKEY_up_ref(k.key), 1);
    k.pinned = (struct cose_keys){.count = 1, .key = {{.key = k.key}}};
    assert_int_equal(log_clock_keys(&k.pinned, NULL), 0);
    *state = &k;
    return 0;
}

static int tear_down(void **state)
{
    struct tpm_key *k = *state;
    cose_keys_free(&k->pinned);
    EVP_PKEY_free(k->key);
    return 0;
}

static struct log_entry entry_of(struct tpm_key *k, const struct log_state *state,
                                 const struct log_clock *clock, int64_t time)
{
    struct log_entry e;
    const TPMS_ATTEST said = made_tpm_says(state, clock);
    assert_true(made_tpm_entry(&e, state, &said, k->key, time));
    return e;
}

static int verify(struct tpm_key *k, const struct log_entry *e, struct cofre_err *err)
{
    struct log_clock clock;
    return log_clock_verify(&clock, e, &head.id, &k->pinned, err);
}

static void refuses(struct tpm_key *k, const struct log_entry *e, int due, const char *sentence)
{
    struct cofre_err err = {""};
    assert_int_equal(verify(k, e, &err), due);
    if (!strstr(err.text, sentence))
        fail_msg("\"%s\", where \"%s\" is due", err.text, sentence);
}

static void a_head_with_the_clock_verifies_and_comes_through_an_entry(void **state)
{
    struct tpm_key *k = *state;
    CLEAN_BYTES bytes = {0};
    struct log_clock clock;
    struct cofre_err err = {""};
    struct log_entry again, e = entry_of(k, &head, &noon, 1800000000);
    assert_int_equal(log_entry_write(&bytes, &e, &err), 0);
    assert_int_equal(log_entry_read(&again, bytes_view(&bytes), &err), 0);
    assert_memory_equal(&again, &e, sizeof e);
    if (log_clock_verify(&clock, &again, &head.id, &k->pinned, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(&clock, &noon, sizeof clock);
}

static void what_was_not_attested_so_is_refused(void **state)
{
    struct tpm_key *k = *state, other = {.key = EVP_EC_gen("P-256")};
    const struct log_entry good = entry_of(k, &head, &noon, 0);
    struct log_entry e = good;
    e.size++;
    refuses(k, &e, -COFRE_NEGATIVE, "another head than that of 8 entries");
    e = good;
    e.root.data[31] ^= 1;
    refuses(k, &e, -COFRE_NEGATIVE, "another head");
    struct cofre_err err = {""};
    struct log_clock clock;
    const struct log_hash id = {{8}};
    assert_int_equal(log_clock_verify(&clock, &good, &id, &k->pinned, &err), -COFRE_NEGATIVE);

    e = entry_of(&other, &head, &noon, 0); /* a whole answer, by another key */
    refuses(k, &e, -COFRE_NEGATIVE, "another TPM's key");
    e.tpm_key = good.tpm_key; /* and one that says that it is ours */
    refuses(k, &e, -COFRE_NEGATIVE, "signature");
    EVP_PKEY_free(other.key);
}

/* A restricted key signs other things, too, with the same data in them; none is taken for a clock. */
static void another_answer_of_the_same_key_is_refused(void **state)
{
    struct tpm_key *k = *state;
    struct log_entry e;
    TPMS_ATTEST said = made_tpm_says(&head, &noon);
    said.type = TPM2_ST_ATTEST_QUOTE;
    memset(&said.attested, 0, sizeof said.attested);
    assert_true(made_tpm_entry(&e, &head, &said, k->key, 0));
    refuses(k, &e, -COFRE_MALFORMED, "no answer of a TPM about its clock");
    said = made_tpm_says(&head, &noon);
    said.magic ^= 1; /* not by the TPM itself: a key that is not restricted signs anything */
    if (made_tpm_entry(&e, &head, &said, k->key, 0))
        refuses(k, &e, -COFRE_MALFORMED, "no answer of a TPM about its clock");
    said = made_tpm_says(&head, &noon);
    said.extraData.size = 31;
    assert_true(made_tpm_entry(&e, &head, &said, k->key, 0));
    refuses(k, &e, -COFRE_NEGATIVE, "another head");
}

static void each_changed_bit_and_each_cut_is_refused(void **state)
{
    struct tpm_key *k = *state;
    const struct log_entry good = entry_of(k, &head, &noon, 0);
    for (size_t bit = 0; bit < 8U * good.attest.len; bit++) {
        struct log_entry e = good;
        e.attest.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(verify(k, &e, NULL) < 0);
    }
    for (size_t bit = 0; bit < 8U * good.signature.len; bit++) {
        struct log_entry e = good;
        e.signature.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(verify(k, &e, NULL) < 0);
    }
    for (uint8_t len = 0; len < good.attest.len; len++) {
        struct log_entry e = good;
        e.attest.len = len;
        assert_true(verify(k, &e, NULL) < 0);
        e = good;
        e.signature.len = len < good.signature.len ? len : 0;
        assert_true(verify(k, &e, NULL) < 0);
    }
    struct log_entry e = good;
    e.attest.len++; /* something behind it */
    assert_int_equal(verify(k, &e, NULL), -COFRE_MALFORMED);
    e = good;
    e.signature.len++;
    assert_int_equal(verify(k, &e, NULL), -COFRE_MALFORMED);
}

static void keys_of_another_curve_are_none_of_a_tpm(void **state)
{
    CLEAN_COSE_KEYS keys = {.count = 1, .key = {{.key = EVP_EC_gen("P-384")}}};
    (void)state;
    assert_int_equal(log_clock_keys(&keys, NULL), -COFRE_MALFORMED);
}

/* In their order */

struct step {
    uint64_t number, size;
    int64_t time;
    struct log_clock clock;
    const char *refused; /* NULL: it follows */
};

static void walk(const struct step *step, size_t count, struct log_clock_course *c)
{
    *c = (struct log_clock_course){0};
    for (size_t i = 0; i < count; i++) {
        struct cofre_err err = {""};
        const struct log_entry e = {
            .kind = LOG_ENTRY_CLOCK, .time = step[i].time, .size = (int64_t)step[i].size};
        const int rc = log_clock_follow(c, step[i].number, &e, &step[i].clock, &err);
        if (rc != (step[i].refused ? -COFRE_NEGATIVE : 0) ||
            (step[i].refused && !strstr(err.text, step[i].refused)))
            fail_msg("step %zu: %d, \"%s\"", i, rc, err.text);
    }
}
#define WALK(c, ...)                                                                                         \
    do {                                                                                                     \
        const struct step steps_[] = {__VA_ARGS__};                                                          \
        walk(steps_, sizeof steps_ / sizeof *steps_, c);                                                     \
    } while (0)
#define SAFE .safe = true

static void a_clock_that_goes_on_is_followed_through_resets(void **state)
{
    struct log_clock_course c;
    (void)state;
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL}, {5, 5, 1060, {120000, 120000, 4, 0, SAFE}, NULL},
         {9, 7, 9000, {130000, 10, 5, 0, SAFE}, NULL}, {12, 12, 9100, {140000, 20, 5, 1, SAFE}, NULL},
         {20, 20, 9900, {139000, 5, 6, 0, false}, NULL});
    assert_int_equal(c.entries, 5);
    assert_int_equal(c.resets, 2);
    assert_int_equal(c.restarts, 1);
    assert_int_equal(c.set_back, 1);
    assert_int_equal(c.differences, 0);
    assert_int_equal(c.size, 20);
}

static void a_clock_that_goes_back_is_named(void **state)
{
    struct log_clock_course c;
    (void)state;
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL},
         {5, 5, 1060, {59999, 60001, 4, 0, SAFE}, "goes back, and the TPM had not been reset"});
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL},
         {5, 5, 1060, {60001, 59999, 4, 0, SAFE}, "goes back, and the TPM had not been reset"});
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL},
         {5, 5, 1060, {0, 0, 5, 0, SAFE}, "goes back by 60 seconds: it was cleared"});
    WALK(&c, {2, 2, 1000, {2 * LOG_CLOCK_LOST, 60000, 4, 0, SAFE}, NULL},
         {5, 5, 1060, {LOG_CLOCK_LOST - 1, 0, 5, 0, false}, "goes back by 4194 seconds"});
}

static void what_stands_at_another_place_is_named(void **state)
{
    struct log_clock_course c;
    (void)state;
    WALK(&c, {2, 3, 1000, {60000, 60000, 4, 0, SAFE}, "of a head of 3 entries, and stands behind 2"});
    WALK(&c, {2, 0, 1000, {60000, 60000, 4, 0, SAFE}, "of a head of 0 entries"});
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL},
         {5, 2, 1060, {60000, 60000, 4, 0, SAFE}, "does not have entry 2, the one of its kind before"});
}

static void hours_that_only_one_of_the_clocks_knows_are_told(void **state)
{
    struct log_clock_course c;
    (void)state;
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL},
         {5, 5, 1000 + 86400, {120000, 120000, 4, 0, SAFE}, NULL},
         {7, 7, 1000 + 86460, {86520000, 86520000, 4, 0, SAFE}, NULL},
         {9, 9, 1000 + 2 * 86400, {86530000, 10, 5, 0, SAFE}, NULL}); /* it was off */
    assert_int_equal(c.differences, 2);
    assert_int_equal(c.difference[0].number, 5);
    assert_int_equal(c.difference[0].host, 86400);
    assert_int_equal(c.difference[0].tpm, 60);
    assert_int_equal(c.difference[1].number, 7);
    WALK(&c, {2, 2, 0, {0, 0, 0, 0, SAFE}, NULL},
         {5, 5, INT64_MAX, {UINT64_MAX, UINT64_MAX, 0, 0, SAFE}, NULL});
    assert_int_equal(c.differences, 1);
}

static void an_end_that_no_tpm_vouches_for_is_named(void **state)
{
    struct log_clock_course c;
    struct cofre_err err = {""};
    (void)state;
    WALK(&c, {2, 2, 1000, {60000, 60000, 4, 0, SAFE}, NULL});
    assert_int_equal(log_clock_end(&c, -1, 5000, &err), 0);
    assert_int_equal(log_clock_end(&c, 1000, 1000 + LOG_CLOCK_PATIENCE, &err), 0);
    assert_int_equal(log_clock_end(&c, 1000, 1001 + LOG_CLOCK_PATIENCE, &err), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "its first 2 entries alone"));
    c = (struct log_clock_course){0};
    assert_int_equal(log_clock_end(&c, -1, 0, &err), -COFRE_NEGATIVE);
}

/* A TPM by swtpm */

static struct log_entry ask(struct swtpm *t, uint8_t point[TPM_CLOCK_POINT_SIZE], struct log_clock *clock)
{
    CLEAN_TPM tpm;
    struct tpm_clock said;
    struct log_entry e;
    uint8_t qualifying[LOG_HASH_SIZE];
    struct cofre_err err = {""};
    assert_int_equal(log_clock_qualifying(qualifying, &head, &err), 0);
    if (tpm_open(&tpm, t->device, (struct view){0}, 30000, &err) < 0 ||
        tpm_clock_attest(&said, &tpm, qualifying, &err) < 0 ||
        log_clock_entry(&e, &head, said.key, (struct view){said.attest, said.attest_len},
                        (struct view){said.signature, said.signature_len}, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(log_clock_read(clock, (struct view){e.attest.data, e.attest.len}, &err), 0);
    memcpy(point, said.key, TPM_CLOCK_POINT_SIZE);
    return e;
}

static void a_tpm_attests_with_one_key_through_resets_and_by_another_when_it_is_another(void **state)
{
    uint8_t first[TPM_CLOCK_POINT_SIZE], again[TPM_CLOCK_POINT_SIZE];
    struct log_clock a, b;
    struct log_clock_course c = {0};
    struct swtpm t, other;
    (void)state;
    if (!swtpm_is_there())
        skip();
    swtpm_new(&t);
    struct log_entry e = ask(&t, first, &a);
    assert_int_equal(log_clock_follow(&c, 7, &e, &a, NULL), 0);
    swtpm_restart(&t);
    swtpm_take_ownership(&t, "of no matter here");
    e = ask(&t, again, &b);
    assert_memory_equal(first, again, sizeof first);
    e.size = 8;
    assert_int_equal(log_clock_follow(&c, 8, &e, &b, NULL), 0);
    assert_int_equal(c.resets, 1);
    assert_int_equal(b.resets - a.resets, 1);
    swtpm_free(&t);
    swtpm_new(&other);
    (void)ask(&other, again, &b);
    assert_memory_not_equal(first, again, sizeof first);
    swtpm_free(&other);
}

static void a_cleared_tpm_is_noticed_by_its_clock(void **state)
{
    uint8_t first[TPM_CLOCK_POINT_SIZE], again[TPM_CLOCK_POINT_SIZE];
    struct log_clock a, b;
    struct log_clock_course c = {0};
    struct swtpm t;
    (void)state;
    if (!swtpm_is_there())
        skip();
    swtpm_new(&t);
    swtpm_set_clock(&t, 3600000); /* an hour, which no machine takes for what follows */
    struct log_entry e = ask(&t, first, &a);
    assert_int_equal(log_clock_follow(&c, 7, &e, &a, NULL), 0);
    swtpm_clear(&t);
    e = ask(&t, again, &b);
    e.size = 8;
    assert_memory_equal(first, again, sizeof first); /* clearing leaves the endorsement hierarchy's seed */
    assert_true(b.milliseconds < a.milliseconds);
    assert_int_equal(log_clock_follow(&c, 8, &e, &b, NULL), -COFRE_NEGATIVE);
    swtpm_free(&t);
}

static void a_tpm_that_fails_is_said_and_leaves_nothing_behind(void **state)
{
    struct swtpm t;
    uint8_t point[TPM_CLOCK_POINT_SIZE];
    struct log_clock clock;
    (void)state;
    if (!swtpm_is_there())
        skip();
    swtpm_new(&t);
    for (enum bus_fault fault = BUS_SILENT; fault < BUS_FAULTS; fault++)
        for (unsigned at = 1; at <= 2; at++) {
            struct tpm tpm;
            struct tpm_clock said;
            struct cofre_err err = {""};
            swtpm_fault(&t, fault, at);
            int rc = tpm_open(&tpm, t.device, (struct view){0}, 200, &err);
            assert_int_equal(rc, 0);
            rc = tpm_clock_attest(&said, &tpm, head.root.data, &err);
            if (rc < 0 || fault != BUS_CLOSED) {
                assert_int_equal(rc, -COFRE_LACKING);
                assert_non_null(strstr(err.text, t.device));
            }
            tpm_close(&tpm);
            swtpm_fault(&t, BUS_WHOLE, 0);
            swtpm_restart(&t); /* as a resource manager would: what was made without an answer goes */
        }
    (void)ask(&t, point, &clock);
    swtpm_free(&t);
}

/* Nor is it taken by a command that somebody left who waited no longer. */
static void a_fault_on_the_bus_is_the_next_one_s_alone(void **state)
{
    static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8}; /* TPM2_GetRandom */
    struct swtpm t;
    (void)state;
    if (!swtpm_is_there())
        skip();
    swtpm_new(&t);
    for (unsigned i = 0; i < 20; i++) {
        struct tpm tpm;
        struct tpm_clock said;
        const int fd = unix_connect(t.device);
        assert_int_equal(send(fd, command, sizeof command, 0), sizeof command);
        close(fd);
        swtpm_fault(&t, BUS_DEAF, 1);
        assert_int_equal(tpm_open(&tpm, t.device, (struct view){0}, 30000, NULL), 0);
        assert_int_equal(tpm_clock_attest(&said, &tpm, head.root.data, NULL), -COFRE_LACKING);
        tpm_close(&tpm);
    }
    swtpm_free(&t);
}

/* The time is over before anybody looks, as it is for who did not run for so long. */
static void an_answer_that_is_there_counts_however_late_it_is(void **state)
{
    static const uint8_t command[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0}; /* TPM2_Shutdown */
    static const uint8_t answer[] = {0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0};
    char folder[] = "/tmp/cofre-tpm-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint8_t got[64];
    size_t size = sizeof got;
    struct tpm_link *link;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/tpm", folder);
    CLEAN_FD listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(tpm_link_open(&link, address.sun_path, 0, NULL), 0);
    CLEAN_FD tpm = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(send(tpm, answer, sizeof answer, 0), sizeof answer);
    TSS2_TCTI_CONTEXT *way = tpm_link_tcti(link);
    assert_int_equal(Tss2_Tcti_Transmit(way, sizeof command, command), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Tcti_Receive(way, &size, got, 0), TSS2_RC_SUCCESS);
    assert_int_equal(size, sizeof answer);
    assert_memory_equal(got, answer, sizeof answer);
    assert_int_not_equal(Tss2_Tcti_Receive(way, &size, got, 0), TSS2_RC_SUCCESS);
    assert_string_equal(tpm_link_why(link), "has not answered within 0 milliseconds");
    tpm_link_close(link);
    assert_int_equal(unlink(address.sun_path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_head_with_the_clock_verifies_and_comes_through_an_entry, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_not_attested_so_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_answer_of_the_same_key_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_changed_bit_and_each_cut_is_refused, set_up, tear_down),
        cmocka_unit_test(keys_of_another_curve_are_none_of_a_tpm),
        cmocka_unit_test(a_clock_that_goes_on_is_followed_through_resets),
        cmocka_unit_test(a_clock_that_goes_back_is_named),
        cmocka_unit_test(what_stands_at_another_place_is_named),
        cmocka_unit_test(hours_that_only_one_of_the_clocks_knows_are_told),
        cmocka_unit_test(an_end_that_no_tpm_vouches_for_is_named),
        cmocka_unit_test(a_tpm_attests_with_one_key_through_resets_and_by_another_when_it_is_another),
        cmocka_unit_test(a_cleared_tpm_is_noticed_by_its_clock),
        cmocka_unit_test(a_tpm_that_fails_is_said_and_leaves_nothing_behind),
        cmocka_unit_test(a_fault_on_the_bus_is_the_next_one_s_alone),
        cmocka_unit_test(an_answer_that_is_there_counts_however_late_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
