#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/token/ear_rows.h"
#include "tdx/tcb_status.h"
#include "tests/unit/token/made_verdict.h"

static const char *const tees[] = {"snp", "tdx"};

static enum ear_tier status_of(const struct ear_vector *v)
{
    int8_t worst = EAR_AFFIRMING;
    for (int i = 0; i < EAR_MEMBERS; i++)
        if (v->has[i])
            worst = ear_worse(worst, v->value[i]);
    return ear_tier_of(worst);
}

static void tiers_are_those_of_ar4si(void **state)
{
    (void)state;
    for (int v = INT8_MIN; v <= INT8_MAX; v++) {
        enum ear_tier due = v >= -1 && v <= 1                             ? EAR_NONE
                            : (v >= 2 && v <= 31) || (v >= -32 && v < 0)  ? EAR_AFFIRMING
                            : (v >= 32 && v <= 95) || (v >= -96 && v < 0) ? EAR_WARNING
                                                                          : EAR_CONTRAINDICATED;
        if (ear_tier_of((int8_t)v) != due)
            fail_msg("%d is %s", v, ear_tier_name(ear_tier_of((int8_t)v)));
    }
    assert_int_equal(ear_worse(2, 3), 3);
    assert_int_equal(ear_worse(0, 2), 0);
    assert_int_equal(ear_worse(0, 32), 32);
    assert_int_equal(ear_worse(96, 95), 96);
    assert_int_equal(ear_worse(-33, 2), -33);
}

static void every_check_has_a_row_and_every_row_a_check(void **state)
{
    (void)state;
    size_t checks = 0;
    for (size_t t = 0; t < 2; t++) {
        CLEAN_VERDICT v = {0};
        made_verdict(&v, tees[t]);
        checks += v.count;
        for (size_t i = 0; i < v.count; i++)
            if (!ear_row_find(v.check[i].id))
                fail_msg("%s has no row: what does it say of the trustworthiness vector?", v.check[i].id);
    }
    assert_int_equal(ear_row_count, checks); /* ids are there once each */
    for (size_t i = 0; i < ear_row_count; i++)
        assert_ptr_equal(ear_row_find(ear_rows[i].id), &ear_rows[i]);
}

static void what_passes_everything_is_affirming(void **state)
{
    (void)state;
    static const int8_t due[2][EAR_MEMBERS] = {
        {[EAR_INSTANCE_IDENTITY] = 2,
         [EAR_CONFIGURATION] = 2,
         [EAR_EXECUTABLES] = 3,
         [EAR_HARDWARE] = 2,
         [EAR_RUNTIME_OPAQUE] = 2},
        {[EAR_INSTANCE_IDENTITY] = 2,
         [EAR_CONFIGURATION] = 2,
         [EAR_EXECUTABLES] = 2,
         [EAR_HARDWARE] = 2,
         [EAR_RUNTIME_OPAQUE] = 2},
    };
    for (size_t t = 0; t < 2; t++) {
        CLEAN_VERDICT v = {0};
        struct ear_vector vector;
        made_verdict(&v, tees[t]);
        ear_vector_of(&vector, &v);
        assert_memory_equal(vector.value, due[t], sizeof vector.value);
        for (int m = 0; m < EAR_MEMBERS; m++)
            assert_int_equal(vector.has[m], due[t][m] != 0);
        assert_int_equal(status_of(&vector), EAR_AFFIRMING);
    }
}

/* What a row says of an outcome, alone among checks that pass, is in the vector, or something worse is. */
static void assert_said(const struct ear_vector *vector, const struct ear_row *row,
                        enum check_outcome outcome)
{
    for (const struct ear_says *s = row->says; !ear_says_ends(s); s++)
        for (int m = 0; m < EAR_MEMBERS; m++) {
            if (s->value[outcome] == EAR_SILENT || (s->member != m && s->member != EAR_ALL) ||
                (s->member == EAR_ALL && !vector->has[m]))
                continue;
            if (!vector->has[m] || ear_worse(vector->value[m], s->value[outcome]) != vector->value[m])
                fail_msg("%s: %s is %d, better than %d", row->id, ear_member_names[m], vector->value[m],
                         s->value[outcome]);
        }
}

static void each_row_decides_alone(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        CLEAN_VERDICT v = {0};
        made_verdict(&v, tees[t]);
        for (size_t i = 0; i < v.count; i++) {
            const struct ear_row *row = ear_row_find(v.check[i].id);
            struct ear_vector failed, unjudged, skipped;
            v.check[i].outcome = CHECK_FAILED;
            ear_vector_of(&failed, &v);
            assert_said(&failed, row, CHECK_FAILED);
            if (status_of(&failed) != EAR_CONTRAINDICATED)
                fail_msg("%s failed, and the result is %s", row->id, ear_tier_name(status_of(&failed)));
            v.check[i].outcome = CHECK_UNJUDGED;
            ear_vector_of(&unjudged, &v);
            assert_said(&unjudged, row, CHECK_UNJUDGED);
            if (status_of(&unjudged) == EAR_AFFIRMING)
                fail_msg("%s could not be judged, and the result is affirming", row->id);
            v.check[i].outcome = CHECK_SKIPPED;
            ear_vector_of(&skipped, &v);
            assert_said(&skipped, row, CHECK_SKIPPED);
            v.check[i].outcome = CHECK_PASSED;
        }
    }
}

#define S CHECK_SKIPPED
#define F CHECK_FAILED
#define U CHECK_UNJUDGED
static void findings_have_the_values_of_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *tee, *id;
        enum check_outcome outcome;
        int8_t hardware, configuration, executables, runtime, instance; /* 0 of the last: it is not there */
    } cases[] = {
        {"snp", "snp.signature", F, 99, 99, 99, 99, 99},
        {"snp", "snp.signature", U, 0, 0, 0, 0, 0},
        {"snp", "snp.nonce", F, 99, 99, 99, 99, 99},
        {"snp", "snp.nonce", S, 2, 2, 3, 2, 2},
        {"snp", "snp.ark", F, 97, 2, 3, 2, 2},
        {"snp", "snp.product", F, 97, 2, 3, 2, 2},
        {"snp", "snp.revocation", S, 31, 2, 3, 2, 2},
        {"snp", "snp.min_tcb.reported", F, 96, 2, 3, 2, 2},
        {"snp", "snp.min_tcb.reported", S, 31, 2, 3, 2, 2},
        {"snp", "snp.provisional_firmware", F, 96, 2, 3, 2, 2},
        {"snp", "snp.guest_policy.debug", F, 2, 96, 3, 96, 2},
        {"snp", "snp.guest_policy.migrate_ma", F, 2, 96, 3, 96, 2},
        {"snp", "snp.guest_policy.smt", F, 2, 96, 3, 2, 2},
        {"snp", "snp.platform_info.tsme", F, 2, 96, 3, 2, 2},
        {"snp", "snp.measurement", F, 2, 2, 96, 2, 2},
        {"snp", "snp.measurement", S, 2, 2, 33, 2, 2},
        {"snp", "snp.author_key", F, 2, 2, 96, 2, 2},
        {"snp", "snp.allowed_chip", F, 2, 2, 3, 2, 97},
        {"tdx", "tdx.root", F, 97, 2, 2, 2, 2},
        {"tdx", "tdx.fmspc", F, 97, 2, 2, 2, 2},
        {"tdx", "tdx.tcb_info_window", U, 0, 0, 0, 0, 0},
        {"tdx", "tdx.tcb_status", F, 96, 2, 2, 2, 2},
        {"tdx", "tdx.platform.smt", U, 2, 36, 2, 2, 2},
        {"tdx", "tdx.td_attributes.debug", F, 2, 96, 2, 96, 2},
        {"tdx", "tdx.mrservicetd", F, 2, 96, 2, 96, 2},
        {"tdx", "tdx.mrtd", S, 2, 2, 33, 2, 2},
        {"tdx", "tdx.rtmr1", S, 2, 2, 33, 2, 2},
        {"tdx", "tdx.rtmr2", F, 2, 2, 96, 2, 2},
        {"tdx", "tdx.event_log_replay", S, 2, 2, 3, 2, 2},
        {"tdx", "tdx.event_log_replay", F, 2, 2, 96, 2, 2},
        {"tdx", "tdx.platform_instance", F, 2, 2, 2, 2, 97},
        {"tdx", "tdx.platform_instance", S, 2, 2, 2, 2, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_VERDICT v = {0};
        struct ear_vector vector;
        made_verdict(&v, cases[i].tee);
        made_outcome(&v, cases[i].id, cases[i].outcome);
        ear_vector_of(&vector, &v);
        if (vector.value[EAR_HARDWARE] != cases[i].hardware ||
            vector.value[EAR_CONFIGURATION] != cases[i].configuration ||
            vector.value[EAR_EXECUTABLES] != cases[i].executables ||
            vector.value[EAR_RUNTIME_OPAQUE] != cases[i].runtime ||
            vector.value[EAR_INSTANCE_IDENTITY] != cases[i].instance)
            fail_msg("%s: hardware %d, configuration %d, executables %d, runtime %d, instance %d",
                     cases[i].id, vector.value[EAR_HARDWARE], vector.value[EAR_CONFIGURATION],
                     vector.value[EAR_EXECUTABLES], vector.value[EAR_RUNTIME_OPAQUE],
                     vector.value[EAR_INSTANCE_IDENTITY]);
    }
}

static void no_list_of_platforms_no_claim_about_the_instance(void **state)
{
    (void)state;
    static const char *const owners[] = {"snp.allowed_chip", "snp.allowed_csp", "snp.report_id",
                                         "snp.report_id_ma"};
    CLEAN_VERDICT v = {0};
    struct ear_vector vector;
    made_verdict(&v, "snp");
    for (size_t i = 0; i < 4; i++)
        made_outcome(&v, owners[i], CHECK_SKIPPED);
    ear_vector_of(&vector, &v);
    assert_false(vector.has[EAR_INSTANCE_IDENTITY]);
}

static void a_tcb_status_that_a_policy_accepts_stays_what_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *status;
        int8_t hardware, configuration;
        enum ear_tier tier;
    } cases[] = {
        {"UpToDate", 2, 2, EAR_AFFIRMING},
        {"SWHardeningNeeded", 32, 2, EAR_WARNING},
        {"ConfigurationNeeded", 2, 32, EAR_WARNING},
        {"ConfigurationAndSWHardeningNeeded", 32, 32, EAR_WARNING},
        {"OutOfDate", 32, 2, EAR_WARNING},
        {"OutOfDateConfigurationNeeded", 32, 32, EAR_WARNING},
        {"TDRelaunchAdvised", 32, 2, EAR_WARNING},
        {"TDRelaunchAdvisedConfigurationNeeded", 32, 32, EAR_WARNING},
        {"Revoked", 96, 2, EAR_CONTRAINDICATED},
    };
    assert_int_equal(sizeof cases / sizeof *cases, TDX_TCB_STATUSES);
    for (size_t i = 0; i < TDX_TCB_STATUSES; i++) {
        assert_string_equal(cases[i].status, tdx_tcb_status_name((enum tdx_tcb_status)i));
        CLEAN_VERDICT v = {0};
        struct ear_vector vector;
        made_verdict(&v, "tdx");
        v.tcb_status = cases[i].status;
        ear_vector_of(&vector, &v);
        assert_int_equal(vector.value[EAR_HARDWARE], cases[i].hardware);
        assert_int_equal(vector.value[EAR_CONFIGURATION], cases[i].configuration);
        assert_int_equal(status_of(&vector), cases[i].tier);
    }
}

static void debugging_that_a_policy_allows_is_no_opaque_runtime(void **state)
{
    (void)state;
    static const char *const where[] = {"policy", "td_attributes"}, *const ids[] = {
                                                                        "snp.guest_policy.debug",
                                                                        "tdx.td_attributes.debug"};
    for (size_t t = 0; t < 2; t++) {
        CLEAN_VERDICT v = {0};
        struct ear_vector vector;
        made_verdict(&v, tees[t]);
        made_outcome(&v, ids[t], CHECK_SKIPPED);
        ear_vector_of(&vector, &v);
        assert_int_equal(vector.value[EAR_RUNTIME_OPAQUE], 2); /* allowed, and off */
        assert_int_equal(vector.value[EAR_CONFIGURATION], 2);
        json_object_set_new(json_object_get(v.claims, where[t]), "debug", json_true());
        ear_vector_of(&vector, &v);
        assert_int_equal(vector.value[EAR_RUNTIME_OPAQUE], 96);
        assert_int_equal(vector.value[EAR_CONFIGURATION], 32);
    }
}

static void an_emulated_platform_is_never_affirmed(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        CLEAN_VERDICT v = {0};
        CLEAN_EAR ear = {0};
        const struct ear_occasion o = {.at = MADE_AT, .lifetime = 1};
        struct cofre_err err;
        made_verdict(&v, tees[t]);
        v.emulated = true;
        assert_int_equal(verdict_outcome(&v), CHECK_PASSED);
        assert_int_equal(ear_make(&ear, &v, &o, NULL), 0);
        assert_int_equal(ear.submod[0].vector.value[EAR_HARDWARE], 96);
        assert_int_equal(ear.submod[0].vector.value[EAR_RUNTIME_OPAQUE], 96);
        assert_int_equal(ear.status, EAR_CONTRAINDICATED);
        assert_true(ear.submod[0].emulated);
        assert_string_equal(ear.submod[0].verdict, "pass");
        assert_int_equal(ear_check_result(&ear, &err), -COFRE_NEGATIVE);
        assert_non_null(strstr(err.text, "EMULATED"));
    }
}

/* One that a later version adds without a row: it fails as a signature does. */
static void a_check_without_a_row_counts_as_one_of_genuineness(void **state)
{
    (void)state;
    CLEAN_VERDICT v = {0};
    struct ear_vector vector;
    made_verdict(&v, "snp");
    v.check[v.count++] = (struct check_result){.id = "snp.unheard_of", .outcome = CHECK_FAILED};
    ear_vector_of(&vector, &v);
    assert_int_equal(vector.value[EAR_CONFIGURATION], 99);
}

static void a_verdict_without_checks_claims_nothing(void **state)
{
    (void)state;
    CLEAN_VERDICT v = {.tee = "snp", .root = "none"};
    CLEAN_EAR ear = {0};
    const struct ear_occasion o = {.at = MADE_AT, .lifetime = 1};
    assert_int_equal(ear_make(&ear, &v, &o, NULL), 0);
    assert_int_equal(ear.status, EAR_NONE);
    assert_string_equal(ear.submod[0].verdict, "fail");
    assert_int_equal(ear_check_result(&ear, NULL), -COFRE_NEGATIVE);
}

static void a_result_says_what_was_judged(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0};
    made_ear(&ear, "tdx");
    const struct ear_submod *s = &ear.submod[0];
    assert_int_equal(ear.issued, MADE_AT);
    assert_int_equal(ear.expires, MADE_AT + MADE_LIFETIME);
    assert_string_equal(ear.developer, "Cofre");
    assert_string_equal(s->verdict, "fail");
    assert_string_equal(s->tcb_status, "UpToDate");
    assert_int_equal(json_array_size(s->advisories), 2);
    assert_string_equal(json_string_value(json_array_get(s->failed, 0)), "tdx.mrowner");
    assert_string_equal(json_string_value(json_array_get(s->unjudged, 0)), "tdx.xfam");
    assert_int_equal(s->rtmr[3].len, 48);
    assert_int_equal(s->rtmr[3].data[0], 0x5a);
    char digest[65];
    hex_encode(digest, s->evidence_digest.data, 32);
    assert_string_equal(digest, "ee8250fb76e094b34b471f13a73dbbe51d1ae142e9df59d7c0d31ec20f0a0a8e");
}

static void what_a_token_cannot_carry_is_named(void **state)
{
    (void)state;
    static char long_text[200];
    memset(long_text, 'x', sizeof long_text - 1);
    const struct {
        struct ear_occasion o;
        const char *why;
    } cases[] = {
        {{.lifetime = 0}, "of no use"},
        {{.lifetime = -1}, "of no use"},
        {{.lifetime = 1, .nonce = {made_nonce.data, 7}}, "nonce of 7 bytes"},
        {{.lifetime = 1, .nonce = {(const uint8_t *)long_text, 65}}, "nonce of 65 bytes"},
        {{.lifetime = 1, .id = {(const uint8_t *)long_text, 65}}, "id of 65 bytes"},
        {{.lifetime = 1, .issuer = long_text}, "issuer is longer"},
        {{.lifetime = 1, .build = long_text}, "build is longer"},
        {{.lifetime = 1, .policy_id = long_text}, "policy's id is longer"},
    };
    CLEAN_VERDICT v = {0};
    made_verdict(&v, "snp");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_EAR ear = {0};
        struct cofre_err err;
        assert_int_equal(ear_make(&ear, &v, &cases[i].o, &err), -COFRE_USAGE);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%zu: %s", i, err.text);
    }
}

static void a_token_is_good_from_its_issue_to_its_expiry(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0};
    const struct view none = {0}, other = {made_nonce.data, 15};
    made_ear(&ear, "snp");
    assert_int_equal(ear_check(&ear, MADE_AT, made_nonce, NULL), 0);
    assert_int_equal(ear_check(&ear, MADE_AT, none, NULL), 0);
    assert_int_equal(ear_check(&ear, MADE_AT - 60, none, NULL), 0);
    assert_int_equal(ear_check(&ear, MADE_AT - 61, none, NULL), -COFRE_NEGATIVE);
    assert_int_equal(ear_check(&ear, MADE_AT + MADE_LIFETIME - 1, none, NULL), 0);
    assert_int_equal(ear_check(&ear, MADE_AT + MADE_LIFETIME, none, NULL), -COFRE_NEGATIVE);
    assert_int_equal(ear_check(&ear, MADE_AT, other, NULL), -COFRE_NEGATIVE);
    ear.nonce.len = 0;
    assert_int_equal(ear_check(&ear, MADE_AT, made_nonce, NULL), -COFRE_NEGATIVE);
}

static void a_result_is_good_by_verdict_and_status(void **state)
{
    (void)state;
    CLEAN_VERDICT v = {0};
    CLEAN_EAR ear = {0};
    const struct ear_occasion o = {.at = MADE_AT, .lifetime = 1};
    made_verdict(&v, "tdx");
    assert_int_equal(ear_make(&ear, &v, &o, NULL), 0);
    assert_int_equal(ear_check_result(&ear, NULL), 0);
    ear.submod[0].status = EAR_WARNING;
    assert_int_equal(ear_check_result(&ear, NULL), 0);
    ear.submod[0].status = EAR_NONE;
    assert_int_equal(ear_check_result(&ear, NULL), -COFRE_NEGATIVE);
    ear.submod[0].status = EAR_CONTRAINDICATED;
    assert_int_equal(ear_check_result(&ear, NULL), -COFRE_NEGATIVE);
    ear.submod[0].status = EAR_AFFIRMING;
    (void)strcpy(ear.submod[0].verdict, "unjudged");
    assert_int_equal(ear_check_result(&ear, NULL), -COFRE_NEGATIVE);
    *ear.submod[0].verdict = 0; /* somebody else's token */
    assert_int_equal(ear_check_result(&ear, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_are_those_of_ar4si),
        cmocka_unit_test(every_check_has_a_row_and_every_row_a_check),
        cmocka_unit_test(what_passes_everything_is_affirming),
        cmocka_unit_test(each_row_decides_alone),
        cmocka_unit_test(findings_have_the_values_of_the_table),
        cmocka_unit_test(no_list_of_platforms_no_claim_about_the_instance),
        cmocka_unit_test(a_tcb_status_that_a_policy_accepts_stays_what_it_is),
        cmocka_unit_test(debugging_that_a_policy_allows_is_no_opaque_runtime),
        cmocka_unit_test(an_emulated_platform_is_never_affirmed),
        cmocka_unit_test(a_check_without_a_row_counts_as_one_of_genuineness),
        cmocka_unit_test(a_verdict_without_checks_claims_nothing),
        cmocka_unit_test(a_result_says_what_was_judged),
        cmocka_unit_test(what_a_token_cannot_carry_is_named),
        cmocka_unit_test(a_token_is_good_from_its_issue_to_its_expiry),
        cmocka_unit_test(a_result_is_good_by_verdict_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
