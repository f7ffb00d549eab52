/*
 * Collateral, TCB and event log at their borders, beside the list of broken_tdx.c: what must pass just as well as what must
 * not, by date, role, status and policy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tests/unit/attest/fake_intel.h"
#include "tests/unit/attest/outcomes.h"
#include "tests/unit/tdx/made_log.h"

#define DAY 86400

static struct fake_intel f;
static struct fake_collateral *c = &f.collateral;

static void start(void)
{
    fake_intel_init(&f, 5, TDX_BODY_15);
    f.policy = NULL;
}

static void judge(struct verdict *v)
{
    struct cofre_err err = {""};
    if (fake_intel_appraise(v, &f, &err) != 0)
        fail_msg("not judged at all: %s", err.text);
}

static void must_pass(void)
{
    CLEAN_VERDICT v = {0};
    judge(&v);
    verdict_must_pass(&v);
}

static void must_fail(const char *ids)
{
    CLEAN_VERDICT v = {0};
    judge(&v);
    verdict_must_fail_only(&v, ids);
}

/* The sentence of the check names what is missing. */
static void must_be_unjudged(const char *id, const char *word)
{
    CLEAN_VERDICT v = {0};
    judge(&v);
    verdict_must_be_unjudged(&v, id);
    const struct check_result *check = verdict_check(&v, id);
    if (!check)
        fail_msg("there is no check %s", id);
    else if (!strstr(check->why, word))
        fail_msg("%s: %s", id, check->why);
}

#define TCB_SIGNER "tdx.tcb_info_signer"
#define TCB_SIGNED "tdx.tcb_info_signature"

/* Both documents in turn: the checks of the one have the names of the other's, with its own. */
static struct fake_document *document(int which, const char **signer, const char **signature,
                                      const char **window)
{
    *signer = which ? "tdx.qe_identity_signer" : TCB_SIGNER;
    *signature = which ? "tdx.qe_identity_signature" : TCB_SIGNED;
    *window = which ? "tdx.qe_identity_window" : "tdx.tcb_info_window";
    return which ? &c->qe : &c->tcb;
}

static void a_signer_has_the_role_and_the_root(void **state)
{
    (void)state;
    const char *signer, *signature, *window;
    EVP_PKEY *other = fake_intel_keys.other;
    for (int i = 0; i < 2; i++) {
        start();
        must_pass();
        struct fake_document *d = document(i, &signer, &signature, &window);
        d->signer.cn = "Intel SGX PCK Certificate"; /* a PCK key signs */
        must_fail(signer);
        start();
        d->signer = c->ca; /* the PCK CA signs */
        d->key = c->ca.key;
        must_fail(signer);
        start();
        d->signer = d->root; /* the root signs */
        d->key = d->root.key;
        must_fail(signer);
        start();
        d->signer.cn = "Intel SGX TCB Signing 2";
        must_fail(signer);
        start(); /* one's own everything, with Intel's names */
        d->key = d->signer.key = d->signer.issuer_key = d->root.key = d->root.issuer_key = other;
        must_fail(signer);
        start(); /* one's own signer, said to be under the root */
        d->key = d->signer.key = d->signer.issuer_key = other;
        must_fail(signer);
        start(); /* self-signed signer */
        d->signer.issuer_cn = d->signer.cn;
        d->signer.issuer_key = d->signer.key;
        must_fail(signer);
        start();
        d->signer.issuer_key = other;
        must_fail(signer);
        start();
        d->signer.basic_constraints = "critical,CA:TRUE";
        must_fail(signer);
        start();
        d->signer.key_usage = "critical,keyAgreement";
        must_fail(signer);
        start();
        d->signer.twice = "1.2.3.4";
        must_fail(signer);
        start();
        d->signer.critical = "1.2.3.4";
        must_fail(signer);
        start();
        d->signer.digest = EVP_sha384();
        must_fail(signer);
        start();
        d->signer.to = FAKE_NOW - 1;
        must_fail(signer);
        start();
        d->signer.from = FAKE_NOW + 1;
        must_fail(signer);
        start();
        d->signer.key = fake_intel_keys.p384;
        CLEAN_VERDICT v = {0};
        judge(&v);
        assert_int_equal(verdict_check(&v, signer)->outcome, CHECK_FAILED);
        assert_int_equal(verdict_check(&v, signature)->outcome, CHECK_FAILED);
    }
}

/* Several roots may be trusted at once; a quote under one is not judged by a word under another. */
static void one_root_vouches_for_quote_and_collateral(void **state)
{
    (void)state;
    const char *signer, *signature, *window;
    for (int i = 0; i < 2; i++) {
        start();
        struct fake_document *d = document(i, &signer, &signature, &window);
        d->root.key = d->root.issuer_key = d->signer.issuer_key = fake_intel_keys.other;
        f.also_trusted = &d->root;
        CLEAN_VERDICT v = {0};
        judge(&v);
        verdict_must_fail_only(&v, signer);
        assert_non_null(strstr(verdict_check(&v, signer)->why, "another root"));
    }
}

static void a_document_is_signed_byte_for_byte(void **state)
{
    (void)state;
    const char *signer, *signature, *window;
    for (int i = 0; i < 2; i++) {
        start();
        struct fake_document *d = document(i, &signer, &signature, &window);
        d->key = fake_intel_keys.other;
        must_fail(signature);
        start();
        d->was_then = "\"tcbEvaluationDataNumber\":17";
        d->is_then = "\"tcbEvaluationDataNumber\":18";
        must_fail(signature);
        d->is_then = "\"tcbEvaluationDataNumber\": 17";
        must_fail(signature);
        start();
        d->as_answer = true;
        must_pass();
        d->was_then = "\"tcbEvaluationDataNumber\":17";
        d->is_then = "\"tcbEvaluationDataNumber\":18";
        must_fail(signature);
    }
}

static void a_document_has_a_window(void **state)
{
    (void)state;
    const char *signer, *signature, *window;
    for (int i = 0; i < 2; i++) {
        start();
        struct fake_document *d = document(i, &signer, &signature, &window);
        d->issued = FAKE_NOW;
        d->next_update = FAKE_NOW;
        must_pass();
        d->issued = FAKE_NOW + 1;
        must_be_unjudged(window, "after the time of verification");
        start();
        d->next_update = FAKE_NOW - 1;
        must_be_unjudged(window, "run out");
        f.policy = "{\"tdx\": {\"grace_days\": 1}}";
        must_pass();
        d->next_update = FAKE_NOW - DAY;
        must_pass();
        d->next_update = FAKE_NOW - DAY - 1;
        must_be_unjudged(window, "run out");
    }
}

static void a_policy_limits_the_age_of_a_document(void **state)
{
    (void)state;
    const char *signer, *signature, *window;
    for (int i = 0; i < 2; i++) {
        start();
        struct fake_document *d = document(i, &signer, &signature, &window);
        d->issued = FAKE_NOW - 7 * DAY;
        f.policy = "{\"tdx\": {\"max_collateral_age_days\": 7}}";
        must_pass();
        d->issued -= 1;
        must_be_unjudged(window, "more than the policy's 7 days ago");
        f.policy = "{\"tdx\": {\"max_collateral_age_days\": 8}}";
        must_pass();
        f.policy = "{}";
        must_pass();
    }
}

/* One is not excused by the other. */
static void expired_tcb_info_and_expired_lists_are_each_noticed(void **state)
{
    (void)state;
    start();
    c->root_crl.to = FAKE_NOW - 1;
    must_be_unjudged(TCB_SIGNER, "root_ca_crl");
    start();
    c->root_crl.from = FAKE_NOW + 1;
    must_be_unjudged(TCB_SIGNER, "root_ca_crl");
    start();
    c->root_crl.to = FAKE_NOW - 1;
    f.policy = "{\"tdx\": {\"grace_days\": 100}}"; /* no grace for lists */
    must_be_unjudged("tdx.qe_identity_signer", "root_ca_crl");
    start();
    c->tcb.next_update = FAKE_NOW - 1;
    must_be_unjudged("tdx.tcb_info_window", "run out");
}

static void a_list_revokes(void **state)
{
    (void)state;
    start();
    c->root_crl.revoked_serial = c->tcb.signer.serial;
    must_fail("tdx.tcb_info_signer tdx.qe_identity_signer");
    start();
    c->qe.signer.serial = 4711;
    c->root_crl.revoked_serial = 4711;
    must_fail("tdx.qe_identity_signer");
    c->root_crl.to = FAKE_NOW - 1; /* a stale list's word counts against */
    CLEAN_VERDICT v = {0};
    judge(&v);
    assert_int_equal(verdict_check(&v, "tdx.qe_identity_signer")->outcome, CHECK_FAILED);
}

/* The collateral's list and one by option: neither makes good what the other says. */
static void a_list_revokes_beside_one_that_does_not(void **state)
{
    (void)state;
    start();
    struct fake_crl other = c->pck_crl;
    f.also_crl = &other;
    must_pass();
    other.revoked_serial = f.cert[FAKE_PCK].serial;
    must_fail("tdx.revocation.pck");
    other.revoked_serial = 0;
    c->pck_crl.revoked_serial = f.cert[FAKE_PCK].serial;
    must_fail("tdx.revocation.pck");
    c->pck_crl.revoked_serial = 0;
    c->pck_crl.to = FAKE_NOW - 1; /* one that is current is enough */
    must_pass();
}

static void each_missing_member_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *member, *id;
    } cases[] = {
        {"tcb_info", "tdx.tcb_info_window"},
        {"tcb_info", "tdx.tcb_level"},
        {"tcb_info", "tdx.module_signer"},
        {"tcb_info", "tdx.fmspc"},
        {"tcb_info_signature", "tdx.tcb_info_signature"},
        {"tcb_info_issuer_chain", "tdx.tcb_info_signer"},
        {"qe_identity", "tdx.qe_mrsigner"},
        {"qe_identity_signature", "tdx.qe_identity_signature"},
        {"qe_identity_issuer_chain", "tdx.qe_identity_signer"},
        {"root_ca_crl", "tdx.tcb_info_signer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start();
        c->left_out[0] = cases[i].member;
        must_be_unjudged(cases[i].id, cases[i].member);
    }
    start();
    c->left_out[0] = "pck_crl_issuer_chain";
    must_pass(); /* the quote brings its issuer's certificate itself */
    f.no_collateral = true;
    must_be_unjudged("tdx.tcb_status", "--collateral");
}

static void collateral_is_about_the_platform(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof c->fmspc; i++) {
        start();
        c->fmspc[i] ^= 1;
        must_fail("tdx.fmspc");
    }
    start();
    c->pce_id[1] ^= 1;
    must_fail("tdx.pce_id");
}

static void the_quoting_enclave_is_the_one_of_its_identity(void **state)
{
    (void)state;
    start();
    c->qe_mrsigner[31] ^= 1;
    must_fail("tdx.qe_mrsigner");
    start();
    c->qe_prod_id = 1;
    must_fail("tdx.qe_product");
    start();
    c->qe_miscselect = 0;
    must_fail("tdx.qe_miscselect");
    start();
    c->qe_miscselect = 0;
    c->qe_miscselect_mask = ~FAKE_QE_MISCSELECT;
    must_pass();
    start();
    f.qe.attributes[0] |= 2; /* debug */
    must_fail("tdx.qe_attributes");
    start();
    f.qe.attributes[0] |= 4; /* outside the mask */
    must_pass();
    start();
    c->qe_attributes_mask[15] = 0xff;
    c->qe_attributes[15] = 1;
    must_fail("tdx.qe_attributes");
}

static void the_module_is_the_one_of_its_identity(void **state)
{
    (void)state;
    start();
    c->module_mrsigner[47] = 1;
    must_fail("tdx.module_signer");
    start();
    f.body.seam_attributes[7] = 1;
    must_fail("tdx.module_attributes tdx.seam_attributes");
    start();
    c->module_version = 2;
    must_fail("tdx.module_signer tdx.module_attributes tdx.tcb_level");
}

static void every_status_but_the_first_needs_a_policy(void **state)
{
    (void)state;
    static const char *const statuses[] = {"SWHardeningNeeded", "ConfigurationNeeded",
                                           "ConfigurationAndSWHardeningNeeded", "OutOfDate",
                                           "OutOfDateConfigurationNeeded"};
    char policy[128];
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        start();
        c->level[0].status = statuses[i];
        must_fail("tdx.tcb_status");
        (void)snprintf(policy, sizeof policy, "{\"tdx\": {\"tcb_status\": [\"%s\"]}}", statuses[i]);
        f.policy = policy;
        must_pass();
        c->level[0].status = "UpToDate"; /* the list says all that is accepted */
        must_fail("tdx.tcb_status");
        c->level[0].status = "Revoked";
        must_fail("tdx.tcb_status");
    }
}

/* The policy accepts every status that it can name: nothing makes Revoked acceptable, not even grace. */
static void nothing_accepts_revoked(void **state)
{
    (void)state;
    static const char everything[] =
        "{\"tdx\": {\"grace_days\": 36500, \"tcb_status\": [\"UpToDate\", \"SWHardeningNeeded\", "
        "\"ConfigurationNeeded\", \"ConfigurationAndSWHardeningNeeded\", \"OutOfDate\", "
        "\"OutOfDateConfigurationNeeded\", \"TDRelaunchAdvised\", "
        "\"TDRelaunchAdvisedConfigurationNeeded\"]}}";
    struct fake_level *const parts[] = {&c->level[0], &c->module[0], &c->enclave[0]};
    for (size_t i = 0; i < 3; i++) {
        start();
        f.policy = everything;
        must_pass();
        parts[i]->status = "Revoked";
        must_fail("tdx.tcb_status");
    }
}

static void an_old_part_is_not_hidden_by_the_others(void **state)
{
    (void)state;
    struct fake_level *const parts[] = {&c->level[0], &c->module[0], &c->enclave[0]};
    for (size_t i = 0; i < 3; i++) {
        start();
        parts[i]->status = "OutOfDate";
        CLEAN_VERDICT v = {0};
        judge(&v);
        verdict_must_fail_only(&v, "tdx.tcb_status");
        assert_string_equal(v.tcb_status, "OutOfDate");
    }
}

static void a_relaunch_is_advised_where_only_the_running_module_is_old(void **state)
{
    (void)state;
    start();
    f.body.tee_tcb_svn[0] = 4;
    memcpy(f.body.tee_tcb_svn_2, fake_seen.tdx, sizeof fake_seen.tdx);
    CLEAN_VERDICT v = {0};
    judge(&v);
    verdict_must_fail_only(&v, "tdx.tcb_status");
    assert_string_equal(v.tcb_status, "TDRelaunchAdvised");
    f.policy = "{\"tdx\": {\"tcb_status\": [\"TDRelaunchAdvised\"]}}";
    must_pass();
    f.policy = "{\"tdx\": {\"tcb_status\": [\"OutOfDate\"]}}";
    must_fail("tdx.tcb_status");
}

static void grace_counts_from_the_date_of_the_level(void **state)
{
    (void)state;
    start();
    c->level[0].status = "OutOfDate";
    c->level[0].date = "2023-11-13T22:13:20Z"; /* a day before FAKE_NOW */
    c->module[0].date = c->enclave[0].date = "2023-11-14T00:00:00Z";
    must_fail("tdx.tcb_status");
    f.policy = "{\"tdx\": {\"grace_days\": 1}}";
    must_pass();
    c->level[0].date = "2023-11-13T22:13:19Z";
    must_fail("tdx.tcb_status");
    c->level[0].date = "2023-11-13T22:13:20Z";
    c->module[0].date = "2023-11-01T00:00:00Z"; /* the earliest counts */
    must_fail("tdx.tcb_status");
    c->module[0].date = "2023-11-14T00:00:00Z";
    c->level[0].status = "ConfigurationNeeded"; /* not of age */
    must_fail("tdx.tcb_status");
}

/* A configuration that the policy does not accept is no better for being old as well. */
static void grace_excuses_age_alone(void **state)
{
    (void)state;
    static const struct {
        const char *platform, *module, *needed;
    } cases[] = {
        {"OutOfDateConfigurationNeeded", "UpToDate", "ConfigurationNeeded"},
        {"ConfigurationNeeded", "OutOfDate", "ConfigurationNeeded"},
        {"ConfigurationAndSWHardeningNeeded", "OutOfDate", "ConfigurationAndSWHardeningNeeded"},
        {"SWHardeningNeeded", "OutOfDate", "SWHardeningNeeded"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char policy[128];
        start();
        c->level[0].status = cases[i].platform;
        c->module[0].status = cases[i].module;
        f.policy = "{\"tdx\": {\"grace_days\": 36500}}";
        must_fail("tdx.tcb_status");
        (void)snprintf(policy, sizeof policy, "{\"tdx\": {\"grace_days\": 36500, \"tcb_status\": [\"%s\"]}}",
                       cases[i].needed);
        f.policy = policy;
        must_pass();
    }
}

static void levels_that_nothing_reaches_are_not_supported(void **state)
{
    (void)state;
    start();
    c->level[0].pce_svn = c->level[1].pce_svn = 14;
    c->level[1].sgx[0] = 3;
    must_fail("tdx.tcb_level");
    start();
    c->module[0].tdx[0] = 8;
    c->module[1].tdx[0] = 7;
    must_fail("tdx.tcb_level");
    start();
    c->enclave[0].tdx[0] = 8;
    c->enclave[1].tdx[0] = 7;
    must_fail("tdx.tcb_level");
}

static void a_tcb_has_an_earliest_date(void **state)
{
    (void)state;
    start();
    f.policy = "{\"tdx\": {\"min_tcb_date\": \"2023-08-09T00:00:00Z\"}}";
    must_pass();
    f.policy = "{\"tdx\": {\"min_tcb_date\": \"2023-08-09T00:00:01Z\"}}";
    must_fail("tdx.tcb_date");
}

static void advisories_are_united_and_can_be_rejected(void **state)
{
    (void)state;
    start();
    c->level[0].advisories = "\"INTEL-SA-1\",\"INTEL-SA-2\"";
    c->module[0].advisories = "\"INTEL-SA-2\",\"INTEL-SA-3\"";
    c->enclave[0].advisories = "\"INTEL-SA-4\"";
    CLEAN_VERDICT v = {0};
    judge(&v);
    verdict_must_pass(&v);
    assert_int_equal(json_array_size(v.advisories), 4);
    f.policy = "{\"tdx\": {\"reject_advisories\": [\"INTEL-SA-5\", \"INTEL-SA-\"]}}";
    must_pass();
    static const char *const rejecting[] = {
        "{\"tdx\": {\"reject_advisories\": [\"INTEL-SA-1\"]}}",
        "{\"tdx\": {\"reject_advisories\": [\"INTEL-SA-5\", \"INTEL-SA-3\"]}}",
        "{\"tdx\": {\"reject_advisories\": [\"INTEL-SA-4\"]}}"};
    for (size_t i = 0; i < 3; i++) {
        f.policy = rejecting[i];
        must_fail("tdx.advisories");
    }
}

/* --- the event log --- */

static struct made_log text;

static void give_log(void)
{
    CLEAN_EVENT_LOG parsed = {0};
    f.event_log = made_view(&text);
    if (tdx_event_log_parse(&parsed, f.event_log, NULL) == 0)
        tdx_event_log_replay(&parsed, f.body.rtmr);
}

static void start_with_log(void)
{
    start();
    text.len = 0;
    made_header(&text, made_sha384, 1);
    made_event(&text, 1, TDX_EV_EFI_ACTION, "layout", 6, "layout", 6);
    made_event(&text, 2, TDX_EV_IPL, "kernel", 6, "the kernel", 10);
    made_event(&text, 3, TDX_EV_IPL, "kernel_cmdline: quiet", 22, "quiet", 5);
    give_log();
}

static void a_log_replays_to_three_registers(void **state)
{
    (void)state;
    start_with_log();
    must_pass();
    for (unsigned i = 0; i < TDX_RTMRS; i++) {
        start_with_log();
        f.body.rtmr[i][5] ^= 1;
        if (i == 3)
            must_pass(); /* the guest's own */
        else
            must_fail("tdx.event_log_replay");
    }
}

static void a_log_with_changed_data_and_its_digest_kept_is_noticed(void **state)
{
    (void)state;
    start_with_log();
    memcpy(memmem(text.bytes, text.len, "cmdline: quiet", 14), "cmdline: debug", 14);
    must_fail("tdx.event_data");
    start_with_log();
    memcpy(memmem(text.bytes, text.len, "layout", 6), "Layout", 6);
    must_fail("tdx.event_data");
}

static const char *policy_on_event(unsigned rtmr, const char *measured)
{
    static char policy[512];
    uint8_t digest[48];
    char digits[97];
    made_digest(digest, measured, strlen(measured));
    hex_encode(digits, digest, sizeof digest);
    (void)snprintf(policy, sizeof policy,
                   "{\"tdx\": {\"events\": [{\"rtmr\": %u, \"digest\": [\"%096d\", \"%s\"]}]}}", rtmr, 0,
                   digits);
    return policy;
}

static void a_policy_asks_for_events(void **state)
{
    (void)state;
    start_with_log();
    f.policy = policy_on_event(1, "the kernel");
    must_pass();
    f.policy = policy_on_event(2, "the kernel"); /* measured, but elsewhere */
    must_fail("tdx.events");
    f.policy = policy_on_event(1, "another kernel");
    must_fail("tdx.events");
    start();
    f.policy = policy_on_event(1, "the kernel");
    must_fail("tdx.events");
}

static void an_event_that_was_not_extended_is_none(void **state)
{
    (void)state;
    start_with_log();
    made_event(&text, 2, TDX_EV_NO_ACTION, "", 0, "wanted", 6);
    give_log();
    f.policy = policy_on_event(1, "wanted");
    must_fail("tdx.events");
    start_with_log(); /* of a register to which the log does not come */
    made_event(&text, 4, TDX_EV_IPL, "", 0, "wanted", 6);
    give_log();
    f.policy = policy_on_event(3, "wanted");
    must_pass();
    f.body.rtmr[3][0] ^= 1;
    must_fail("tdx.events");
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
        cmocka_unit_test(a_signer_has_the_role_and_the_root),
        cmocka_unit_test(one_root_vouches_for_quote_and_collateral),
        cmocka_unit_test(a_document_is_signed_byte_for_byte),
        cmocka_unit_test(a_document_has_a_window),
        cmocka_unit_test(a_policy_limits_the_age_of_a_document),
        cmocka_unit_test(expired_tcb_info_and_expired_lists_are_each_noticed),
        cmocka_unit_test(a_list_revokes),
        cmocka_unit_test(a_list_revokes_beside_one_that_does_not),
        cmocka_unit_test(each_missing_member_is_named),
        cmocka_unit_test(collateral_is_about_the_platform),
        cmocka_unit_test(the_quoting_enclave_is_the_one_of_its_identity),
        cmocka_unit_test(the_module_is_the_one_of_its_identity),
        cmocka_unit_test(every_status_but_the_first_needs_a_policy),
        cmocka_unit_test(nothing_accepts_revoked),
        cmocka_unit_test(an_old_part_is_not_hidden_by_the_others),
        cmocka_unit_test(a_relaunch_is_advised_where_only_the_running_module_is_old),
        cmocka_unit_test(grace_counts_from_the_date_of_the_level),
        cmocka_unit_test(grace_excuses_age_alone),
        cmocka_unit_test(levels_that_nothing_reaches_are_not_supported),
        cmocka_unit_test(a_tcb_has_an_earliest_date),
        cmocka_unit_test(advisories_are_united_and_can_be_rejected),
        cmocka_unit_test(a_log_replays_to_three_registers),
        cmocka_unit_test(a_log_with_changed_data_and_its_digest_kept_is_noticed),
        cmocka_unit_test(a_policy_asks_for_events),
        cmocka_unit_test(an_event_that_was_not_extended_is_none),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
