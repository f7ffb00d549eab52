/* TDX evidence of real hardware has the outcomes that INDEX.md names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tdx/collateral.h"
#include "tdx/report.h"
#include "tests/unit/attest/outcomes.h"
#include "tests/unit/attest/real.h"

#define AT_2023 1687219200 /* 2023-06-20: inside the windows of the files a-sample_* and a-pckcrl */
#define AT_2024 1717200000 /* 2024-06-01 */
#define AT_2025 1748736000 /* 2025-06-01 */
#define AT_B    1750377600 /* 2025-06-20: inside the windows of b-collateral.json */
#define AT_2026 1780272000 /* 2026-06-01 */

/* What is judged besides the quote. */
struct also {
    const char *collateral, *policy;
    const struct tdx_collateral *parsed; /* instead of a file */
    struct view event_log, nonce;
};

static void appraise_file(struct verdict *v, const char *name, int64_t at, const struct also *also)
{
    CLEAN_BYTES file = {0}, text = {0};
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_COLLATERAL collateral = {0};
    CLEAN_POLICY policy;
    struct cofre_err err = {""};
    const char *rules = also->policy ? also->policy : "{}";
    assert_true(real_file(&file, name));
    assert_int_equal(evidence_parse(&evidence, bytes_view(&file), NULL), 0);
    assert_string_equal(evidence.tee, "tdx");
    if (also->event_log.len)
        assert_int_equal(bytes_copy(&evidence.event_log, also->event_log, NULL), 0);
    if (also->collateral) {
        assert_true(real_file(&text, also->collateral));
        assert_int_equal(tdx_collateral_parse(&collateral, bytes_view(&text), NULL), 0);
    }
    assert_int_equal(policy_parse(&policy, (struct view){(const uint8_t *)rules, strlen(rules)}, NULL), 0);
    struct appraisal in = {.evidence = &evidence,
                           .policy = &policy,
                           .collateral = also->collateral ? &collateral : also->parsed,
                           .nonce = also->nonce,
                           .at = at};
    if (appraise(v, &in, &err) < 0)
        fail_msg("%s: not judged: %s", name, err.text);
}

/* Every check of cryptography that needs nothing but the quote. */
static void cryptography_must_pass(const struct verdict *v)
{
    static const char *const ids[] = {"tdx.key_type",
                                      "tdx.vendor",
                                      "tdx.reserved",
                                      "tdx.signature_format",
                                      "tdx.attestation_key",
                                      "tdx.signature",
                                      "tdx.qe_report_data",
                                      "tdx.qe_signature",
                                      "tdx.root",
                                      "tdx.pck_ca",
                                      "tdx.pck",
                                      "tdx.names",
                                      "tdx.validity",
                                      "tdx.pck_extensions"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (verdict_check(v, ids[i])->outcome != CHECK_PASSED)
            fail_msg("%s: %s", ids[i], verdict_check(v, ids[i])->why);
    assert_string_equal(v->root, "Intel");
    assert_false(v->emulated);
}

static void need_files(void)
{
    CLEAN_BYTES file = {0};
    NEED_REAL(&file, "tdx/b-quote.dat");
}

static void a_quote_verifies_with_its_collateral_inside_its_windows(void **state)
{
    (void)state;
    need_files();
    static const int64_t outside[] = {AT_2025, AT_2026};
    const struct also also = {.collateral = "tdx/b-collateral.json"};
    CLEAN_VERDICT v = {0};
    appraise_file(&v, "tdx/b-quote.dat", AT_B, &also);
    verdict_must_pass(&v);
    cryptography_must_pass(&v);
    assert_string_equal(v.product, "b0c06f000000");
    assert_string_equal(v.tcb_status, "UpToDate");
    for (size_t i = 0; i < 2; i++) {
        CLEAN_VERDICT w = {0};
        appraise_file(&w, "tdx/b-quote.dat", outside[i], &also);
        verdict_must_be_unjudged(&w, "tdx.tcb_info_window");
    }
}

static void each_quotes_cryptography_passes(void **state)
{
    (void)state;
    need_files();
    static const struct {
        const char *name, *failed;
        int64_t at;
    } quotes[] = {
        {"tdx/a-tdx_prod_quote_SPR_E4.dat", "tdx.trailing tdx.td_attributes.sept_ve_disable ", AT_2024},
        {"tdx/a-quote_v5_sample.dat", "", AT_2026},
        {"tdx/a-ccel-cos-113-tdx-quote.dat", "", AT_2025},
        {"tdx/b-quote.dat", "", AT_2025},
        {"tdx/c-quote-v4.dat", "tdx.td_attributes.debug ", AT_2024}};
    for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++) {
        CLEAN_VERDICT v = {0};
        char failed[1024];
        appraise_file(&v, quotes[i].name, quotes[i].at, &(struct also){0});
        verdict_list(&v, CHECK_FAILED, failed);
        assert_string_equal(failed, quotes[i].failed);
        cryptography_must_pass(&v);
        assert_int_equal(verdict_outcome(&v), *failed ? CHECK_FAILED : CHECK_UNJUDGED);
        assert_null(v.tcb_status);
    }
}

static void a_guest_that_may_be_debugged_needs_a_policy_that_says_so(void **state)
{
    (void)state;
    need_files();
    CLEAN_VERDICT v = {0};
    char failed[1024];
    appraise_file(&v, "tdx/c-quote-v4.dat", AT_2024,
                  &(struct also){.policy = "{\"tdx\": {\"td_attributes\": {\"debug\": \"any\"}}}"});
    verdict_list(&v, CHECK_FAILED, failed);
    assert_string_equal(failed, "");
}

static void a_quote_is_not_valid_before_its_certificate(void **state)
{
    (void)state;
    need_files();
    CLEAN_VERDICT v = {0};
    appraise_file(&v, "tdx/a-quote_v5_sample.dat", AT_B, &(struct also){0});
    verdict_must_fail_only(&v, "tdx.validity");
}

static void an_event_log_replays_to_its_quote_and_the_nonce_is_in_it(void **state)
{
    (void)state;
    CLEAN_BYTES log = {0}, nonce = {0};
    CLEAN_VERDICT v = {0}, other = {0};
    NEED_REAL(&log, "tdx/a-ccel-ccel_data.dat");
    NEED_REAL(&nonce, "tdx/a-ccel-nonce.dat");
    struct also also = {.event_log = bytes_view(&log),
                        .nonce = bytes_view(&nonce),
                        .policy = "{\"tdx\": {\"event_log\": \"required\"}}"};
    appraise_file(&v, "tdx/a-ccel-cos-113-tdx-quote.dat", AT_2025, &also);
    verdict_must_be_unjudged(&v, "tdx.tcb_status"); /* for want of collateral */
    assert_int_equal(verdict_check(&v, "tdx.event_log")->outcome, CHECK_PASSED);
    assert_int_equal(verdict_check(&v, "tdx.event_log_replay")->outcome, CHECK_PASSED);
    assert_int_equal(verdict_check(&v, "tdx.event_data")->outcome, CHECK_PASSED);
    assert_int_equal(verdict_check(&v, "tdx.nonce")->outcome, CHECK_PASSED);
    also.nonce = (struct view){0}; /* another machine's quote */
    appraise_file(&other, "tdx/b-quote.dat", AT_2025, &also);
    verdict_must_fail_only(&other, "tdx.event_log_replay");
}

static void set_file(json_t *to, const char *member, const char *name, bool hex)
{
    CLEAN_BYTES file = {0};
    assert_true(real_file(&file, name));
    char *text = calloc(2, file.len + 1);
    if (hex)
        hex_encode(text, file.data, file.len);
    else
        memcpy(text, file.data, file.len);
    json_object_set_new(to, member, json_string(text));
    free(text);
}

/* Intel's answers of June 2023, as its service gave them. The certificate of the key that signed them has been issued anew
 * since: the later one, out of other collateral, has the same key. */
static void collateral_of_2023(struct tdx_collateral *out)
{
    CLEAN_BYTES later = {0};
    struct cofre_err err = {""};
    assert_true(real_file(&later, "tdx/b-collateral.json"));
    json_t *all = json_loadb((const char *)later.data, later.len, 0, NULL);
    assert_non_null(all);
    json_object_del(all, "tcb_info_signature");
    json_object_del(all, "qe_identity_signature");
    set_file(all, "tcb_info", "tdx/a-sample_tcbInfo_response", false);
    set_file(all, "qe_identity", "tdx/a-sample_qeIdentity_response", false);
    set_file(all, "pck_crl", "tdx/a-pckcrl", true);
    set_file(all, "root_ca_crl", "tdx/a-rootcrl.der", true);
    char *text = json_dumps(all, 0);
    if (tdx_collateral_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, &err) < 0)
        fail_msg("%s", err.text);
    free(text);
    json_decref(all);
}

static void answers_of_the_vendors_service_are_signed_and_have_their_windows(void **state)
{
    (void)state;
    need_files();
    static const char *const pass[] = {
        "tdx.tcb_info_signature", "tdx.tcb_info_window",   "tdx.fmspc",          "tdx.qe_identity_signature",
        "tdx.qe_identity_window", "tdx.revocation.pck_ca", "tdx.revocation.pck", "tdx.qe_mrsigner",
        "tdx.qe_product",         "tdx.module_signer"};
    CLEAN_COLLATERAL collateral = {0};
    CLEAN_VERDICT v = {0}, later = {0};
    char failed[1024];
    collateral_of_2023(&collateral);
    const struct also also = {.parsed = &collateral};
    appraise_file(&v, "tdx/a-tdx_prod_quote_SPR_E4.dat", AT_2023, &also);
    for (size_t i = 0; i < sizeof pass / sizeof *pass; i++)
        if (verdict_check(&v, pass[i])->outcome != CHECK_PASSED)
            fail_msg("%s: %s", pass[i], verdict_check(&v, pass[i])->why);
    verdict_list(&v, CHECK_FAILED, failed);
    assert_string_equal(failed, "tdx.trailing tdx.tcb_info_signer tdx.qe_identity_signer tdx.tcb_level "
                                "tdx.td_attributes.sept_ve_disable ");
    assert_non_null(strstr(verdict_check(&v, "tdx.tcb_info_signer")->why, "not yet valid"));
    assert_non_null(strstr(verdict_check(&v, "tdx.tcb_level")->why, "reach no level")); /* 3 where 5 is due */
    appraise_file(&later, "tdx/a-tdx_prod_quote_SPR_E4.dat", AT_2024, &also);
    assert_int_equal(verdict_check(&later, "tdx.tcb_info_window")->outcome, CHECK_UNJUDGED);
    assert_int_equal(verdict_check(&later, "tdx.revocation.pck")->outcome, CHECK_UNJUDGED);
}

/* It is a TDREPORT by its size alone: its bytes are noise, and no digest in it is right. */
static void a_report_parses(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    struct tdx_report report;
    NEED_REAL(&file, "tdx/a-report.dat");
    assert_int_equal(tdx_report_parse(&report, bytes_view(&file), NULL), 0);
    assert_int_equal(tdx_report_check(&report, NULL), -COFRE_NEGATIVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quote_verifies_with_its_collateral_inside_its_windows),
        cmocka_unit_test(each_quotes_cryptography_passes),
        cmocka_unit_test(a_guest_that_may_be_debugged_needs_a_policy_that_says_so),
        cmocka_unit_test(a_quote_is_not_valid_before_its_certificate),
        cmocka_unit_test(an_event_log_replays_to_its_quote_and_the_nonce_is_in_it),
        cmocka_unit_test(answers_of_the_vendors_service_are_signed_and_have_their_windows),
        cmocka_unit_test(a_report_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
