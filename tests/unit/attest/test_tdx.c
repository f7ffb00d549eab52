/*
 * Every check of TDX evidence, broken alone: evidence that passes is changed in one respect, and then exactly one check must
 * fail, or those that the same fact breaks. So a check that is switched off, or that looks at something else, fails here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/attest/broken_tdx.h"
#include "tests/unit/attest/outcomes.h"

static void judge(struct verdict *v, struct fake_intel *f)
{
    struct cofre_err err = {""};
    if (fake_intel_appraise(v, f, &err) != 0)
        fail_msg("not judged at all: %s", err.text);
}

static void must_pass(struct fake_intel *f)
{
    CLEAN_VERDICT v = {0};
    judge(&v, f);
    verdict_must_pass(&v);
}

static void every_form_of_quote_passes(void **state)
{
    (void)state;
    static const struct {
        unsigned version;
        enum tdx_quote_body_type body;
    } forms[] = {{4, TDX_BODY_10}, {5, TDX_BODY_10}, {5, TDX_BODY_15}, {5, TDX_BODY_15_EX}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct fake_intel f;
        fake_intel_init(&f, forms[i].version, forms[i].body);
        must_pass(&f);
    }
}

static char covered[8192];

static void note(const char *ids)
{
    strncat(covered, ids, sizeof covered - strlen(covered) - 1);
    strncat(covered, " ", sizeof covered - strlen(covered) - 1);
}

static void each_check_fails_alone_for_its_reason(void **state)
{
    (void)state;
    for (size_t l = 0; broken_tdx[l].make; l++) {
        struct fake_intel f;
        const char *ids;
        unsigned n = 0;
        for (; (ids = broken_tdx[l].make(&f, n)); n++) {
            CLEAN_VERDICT v = {0};
            print_message("# %zu.%u %s\n", l, n, ids);
            judge(&v, &f);
            verdict_must_fail_only(&v, ids);
            note(ids);
        }
        assert_true(n >= broken_tdx[l].least);
    }
}

/* Each bit of the TD's attributes against what it is not. */
static void each_attribute_can_be_required_or_forbidden(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * POLICY_TDX_ATTRIBUTES; i++) {
        const struct policy_named_bit *bit = &policy_tdx_attributes[i / 2];
        static const char *const words[] = {"required", "forbidden", "any"};
        for (size_t w = 0; w < 3; w++) {
            struct fake_intel f;
            CLEAN_VERDICT v = {0};
            char policy[160], id[80];
            bool set = i % 2;
            fake_intel_init(&f, 4, TDX_BODY_10);
            uint64_t raw = le64(f.body.td_attributes);
            put_le64(f.body.td_attributes, set ? raw | (bit->mask & -bit->mask) : raw & ~bit->mask);
            (void)snprintf(policy, sizeof policy, "{\"tdx\": {\"td_attributes\": {\"%s\": \"%s\"}}}",
                           bit->name, words[w]);
            (void)snprintf(id, sizeof id, "tdx.td_attributes.%s", bit->name);
            f.policy = policy;
            judge(&v, &f);
            if (w == 2 || set == (w == 0)) {
                verdict_must_pass(&v);
            } else {
                verdict_must_fail_only(&v, id);
                note(id);
            }
        }
    }
}

static void says_what_is_missing_or_stale(void **state)
{
    (void)state;
    struct fake_intel f;
    const char *id;
    unsigned n = 0;
    for (; (id = lacking_tdx(&f, n)); n++) {
        CLEAN_VERDICT v = {0};
        print_message("# %u %s\n", n, id);
        judge(&v, &f);
        verdict_must_be_unjudged(&v, id);
        assert_true(strlen(verdict_check(&v, id)->why) > 10);
        note(id);
    }
    assert_true(n >= 18);
    fake_intel_init(&f, 4, TDX_BODY_10); /* the trusted root completes the chain */
    f.left_out[FAKE_ROOT] = true;
    must_pass(&f);
}

/* After the three above. */
static void no_check_is_without_a_negative_test(void **state)
{
    (void)state;
    struct fake_intel f;
    CLEAN_VERDICT v = {0};
    fake_intel_init(&f, 5, TDX_BODY_15_EX);
    judge(&v, &f);
    assert_true(v.count > 60);
    for (size_t i = 0; i < v.count; i++) {
        char id[80];
        (void)snprintf(id, sizeof id, "%s ", v.check[i].id);
        if (!strstr(covered, id))
            fail_msg("%s has no negative test", id);
    }
}

static void what_the_policy_lists_passes(void **state)
{
    (void)state;
    struct fake_intel f;
#define X16(B) B B B B B B B B B B B B B B B B
#define X48(B) X16(B) X16(B) X16(B)
    /* clang-format off */
    static const char policy[] =
        "{\"tdx\": {\"mrtd\": [\"" X48("00") "\", \"" X48("11") "\"], \"rtmr0\": [\"" X48("20") "\"],"
        "\"rtmr1\": [\"" X48("21") "\"], \"rtmr2\": [\"" X48("22") "\"], \"rtmr3\": [\"" X48("23") "\"],"
        "\"mrconfigid\": [\"" X48("12") "\"], \"mrowner\": [\"" X48("13") "\"],"
        "\"mrownerconfig\": [\"" X48("14") "\"], \"mrseam\": [\"" X48("5e") "\"],"
        "\"mrsignerseam\": [\"" X48("00") "\"], \"mrservicetd\": [\"" X48("77") "\"],"
        "\"platform_instance\": [\"" X16("06") "\"],"
        "\"min_tee_tcb_svn\": \"06010300000000000000000000000000\","
        "\"xfam\": {\"mask\": \"ff\", \"value\": \"E7\"}, \"platform\": {\"dynamic_platform\": \"required\","
        "\"cached_keys\": \"forbidden\", \"smt\": \"required\"}}}";
    /* clang-format on */
    fake_intel_init(&f, 5, TDX_BODY_15_EX);
    memset(f.body.mrservicetd, 0x77, 48);
    memset(f.body.init_servtd_hash, 0x77, 48);
    memset(f.body.servtd_hash, 0x77, 48);
    f.policy = policy;
    f.nonce = (struct view){f.body.report_data, 32};
    f.report_data = (struct view){f.body.report_data, 64};
    f.measurement = (struct view){f.body.mrtd, 48};
    must_pass(&f);
}

static void a_reference_value_covers_mrtd_and_the_rtmrs_that_it_has(void **state)
{
    (void)state;
    struct fake_intel f;
    CLEAN_VERDICT v = {0};
    struct reference value = {.name = "web", .version = 9, .tee = REFERENCE_TDX, .until = INT64_MAX};
    const struct references all = {&value, 1};
    fake_intel_init(&f, 5, TDX_BODY_15_EX);
    reference_set(&value, REFERENCE_MRTD, f.body.mrtd);
    reference_set(&value, REFERENCE_RTMR1, f.body.rtmr[1]);
    reference_set(&value, REFERENCE_TEE_TCB_SVN, f.body.tee_tcb_svn);
    value.field[REFERENCE_TEE_TCB_SVN].at_least = true;
    f.references = &all;
    f.policy = "{\"tdx\": {\"reference\": [\"web\"]}}";
    judge(&v, &f);
    verdict_must_pass(&v);
    assert_string_equal(verdict_check(&v, "tdx.reference")->why,
                        "it is the reference value \"web\", version 9");
    assert_int_equal(verdict_check(&v, "tdx.mrtd")->outcome, CHECK_PASSED);
    assert_int_equal(verdict_check(&v, "tdx.rtmr1")->outcome, CHECK_PASSED);
    assert_int_equal(verdict_check(&v, "tdx.rtmr2")->outcome, CHECK_SKIPPED);
    verdict_free(&v);
    value.field[REFERENCE_TEE_TCB_SVN].value[15] = 1;
    judge(&v, &f);
    verdict_must_fail_only(&v, "tdx.reference");
}

static void what_is_in_the_field_passes(void **state)
{
    (void)state;
    struct fake_intel f;
    fake_intel_init(&f, 4, TDX_BODY_10); /* padded with zeros */
    f.padding = 3065;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10); /* a component above 127 is padded in DER */
    fake_intel_set_integer(&f, "2.1", 200);
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10); /* a processor that is a platform of its own */
    f.cert[FAKE_CA].cn = f.cert[FAKE_PCK].issuer_cn = f.collateral.pck_crl.issuer_cn = f.collateral.ca.cn =
        "Intel SGX PCK Processor CA";
    fake_intel_leave_out(&f, "6");
    fake_intel_leave_out(&f, "7.1");
    fake_intel_leave_out(&f, "7.2");
    fake_intel_leave_out(&f, "7.3");
    fake_intel_member(&f, "5")->value[0] = 0;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10); /* lists given by hand */
    f.crls_by_option = true;
    must_pass(&f);
    fake_intel_init(&f, 4, TDX_BODY_10);
    put_le64(f.body.td_attributes, TDX_ATTR_SEPT_VE_DISABLE | 1ull << 40);
    f.policy = "{\"tdx\": {\"unknown_bits\": \"any\"}}";
    must_pass(&f);
}

static void what_the_policy_accepts_of_a_tcb_passes(void **state)
{
    (void)state;
    static const struct {
        const char *platform, *module, *enclave, *comes_to, *policy;
    } cases[] = {
        {"OutOfDate", "UpToDate", "UpToDate", "OutOfDate", "{\"tdx\": {\"tcb_status\": [\"OutOfDate\"]}}"},
        {"SWHardeningNeeded", "OutOfDate", "UpToDate", "OutOfDate",
         "{\"tdx\": {\"tcb_status\": [\"OutOfDate\"]}}"},
        {"ConfigurationNeeded", "UpToDate", "OutOfDate", "OutOfDateConfigurationNeeded",
         "{\"tdx\": {\"tcb_status\": [\"OutOfDateConfigurationNeeded\"]}}"},
        {"OutOfDate", "UpToDate", "UpToDate", "OutOfDate",
         "{\"tdx\": {\"grace_days\": 98}}"}, /* 2023-08-09 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_intel f;
        CLEAN_VERDICT v = {0};
        fake_intel_init(&f, 4, TDX_BODY_10);
        f.collateral.level[0].status = cases[i].platform;
        f.collateral.module[0].status = cases[i].module;
        f.collateral.enclave[0].status = cases[i].enclave;
        f.collateral.enclave[0].advisories = "\"INTEL-SA-00001\"";
        f.policy = cases[i].policy;
        judge(&v, &f);
        verdict_must_pass(&v);
        assert_string_equal(v.tcb_status, cases[i].comes_to);
        assert_string_equal(json_string_value(json_array_get(v.advisories, 0)), "INTEL-SA-00001");
    }
}

static void a_chain_may_come_with_the_collateral(void **state)
{
    (void)state;
    static const unsigned types[] = {1, 2, 3, TDX_CERTIFICATION_PCK_LEAF, 7};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct fake_intel f;
        fake_intel_init(&f, 4, TDX_BODY_10);
        f.certification_type = types[i];
        must_pass(&f);
    }
}

static void the_emulated_platform_is_named_in_every_verdict(void **state)
{
    (void)state;
    struct fake_intel f;
    CLEAN_VERDICT v = {0};
    fake_intel_init(&f, 4, TDX_BODY_10);
    struct fake_collateral *c = &f.collateral;
    const char **organisations[] = {&f.cert[FAKE_ROOT].organisation, &f.cert[FAKE_CA].organisation,
                                    &f.cert[FAKE_PCK].organisation,  &c->tcb.signer.organisation,
                                    &c->tcb.root.organisation,       &c->qe.signer.organisation,
                                    &c->qe.root.organisation,        &c->ca.organisation,
                                    &c->pck_crl.organisation,        &c->root_crl.organisation};
    for (size_t i = 0; i < sizeof organisations / sizeof *organisations; i++)
        *organisations[i] = "EMULATED by Cofre";
    judge(&v, &f);
    verdict_must_pass(&v);
    assert_true(v.emulated);
    assert_string_equal(v.root, "--trust-root");
    assert_string_equal(v.product, "90c06f000000");
    CLEAN_VERDICT pinned = {0};
    f.trust_root = false;
    judge(&pinned, &f);
    assert_int_equal(verdict_check(&pinned, "tdx.root")->outcome, CHECK_FAILED);
    assert_true(pinned.emulated);
    assert_string_equal(pinned.root, "none");
}

static int make_keys(void **state)
{
    (void)state;
    fake_intel_keys_make();
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    fake_intel_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_quote_passes),
        cmocka_unit_test(what_is_in_the_field_passes),
        cmocka_unit_test(what_the_policy_lists_passes),
        cmocka_unit_test(a_reference_value_covers_mrtd_and_the_rtmrs_that_it_has),
        cmocka_unit_test(what_the_policy_accepts_of_a_tcb_passes),
        cmocka_unit_test(a_chain_may_come_with_the_collateral),
        cmocka_unit_test(each_check_fails_alone_for_its_reason),
        cmocka_unit_test(each_attribute_can_be_required_or_forbidden),
        cmocka_unit_test(says_what_is_missing_or_stale),
        cmocka_unit_test(no_check_is_without_a_negative_test),
        cmocka_unit_test(the_emulated_platform_is_named_in_every_verdict),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
