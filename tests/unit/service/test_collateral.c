/* The service judges with what vendors' services say: asked once, kept, and gone without while it is good. */
#include "tests/unit/service/fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/evidence.h"
#include "tdx/abi.h"
#include "tdx/model/platform.h"
#include "tests/unit/collateral/vendor.h"
#include "tests/unit/model/fixture.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

#define DAY   86400
#define NONCE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static atomic_llong now;
static int64_t clock_of_service(void)
{
    return now;
}

static struct vendor *vendor;
static char url[64], root_crl[128], roots[2][128];
static int64_t began;

static void write_roots(const struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        CLEAN_BYTES pem = {0};
        snprintf(roots[i], sizeof roots[i], "%s/root%d", f->folder, i);
        assert_int_equal(i ? tdx_platform_root(vendor_platform(vendor), &pem, NULL)
                           : psp_root(vendor_psp(vendor), &pem, NULL),
                         0);
        assert_int_equal(file_write(roots[i], bytes_view(&pem), 0600, NULL), 0);
    }
}

static void start(struct fixture *f)
{
    fixture_start(f);
    fixture_add_credential(f, "guest", "submit", "", began + 365 * DAY);
    fixture_add_credential(f, "auditor", "audit", "", began + 365 * DAY);
}

static int setup(void **state)
{
    now = began = time(NULL);
    struct fixture *f = fixture_new(clock_of_service);
    *state = f;
    vendor = vendor_new(now);
    write_roots(f);
    snprintf(url, sizeof url, "%s", vendor_url(vendor));
    snprintf(root_crl, sizeof root_crl, "%s/IntelSGXRootCA.der", url);
    f->config.trust_roots.path[0] = roots[0];
    f->config.trust_roots.path[1] = roots[1];
    f->config.kds = url;
    f->config.pcs = url;
    f->config.pcs_root_crl = root_crl;
    start(f);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {}, \"tdx\": {}}"), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    vendor_free(vendor);
    return 0;
}

static char *written(const struct evidence *evidence)
{
    CLEAN_BYTES file = {0};
    assert_int_equal(evidence_write(&file, evidence, NULL), 0);
    return strndup((const char *)file.data, file.len);
}

/* A report without any certificate; flip: this bit of the chip's id is another's. */
static char *snp_evidence(const char *nonce, uint8_t flip)
{
    struct snp_report_req request = {0};
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    struct snp_secrets_page secrets;
    assert_true(hex_decode(request.report_data, strlen(nonce) / 2, nonce));
    struct psp_guest *guest = launch_guest(vendor_psp(vendor), &secrets, NULL);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    psp_guest_free(guest);
    response.report.chip_id[0] ^= flip;
    const struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    assert_int_equal(bytes_copy(&evidence.report, report, NULL), 0);
    return written(&evidence);
}

static char *tdx_evidence(void)
{
    struct tdx_report report = {0};
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    put_le64(report.td.attributes, TDX_ATTR_SEPT_VE_DISABLE);
    put_le64(report.td.xfam, 7);
    assert_true(hex_decode(report.mac.report_data, strlen(NONCE) / 2, NONCE));
    tdx_platform_seal_report(vendor_platform(vendor), &report);
    assert_int_equal(tdx_platform_quote(vendor_platform(vendor), &report, &evidence.report, NULL), 0);
    return written(&evidence);
}

static const char *body_of(const char *kind, const char *nonce, const char *evidence)
{
    static char body[1 << 17];
    snprintf(body, sizeof body, "{\"policy\": \"web\", \"%s\": \"%s\", \"evidence\": %s}", kind, nonce,
             evidence);
    return body;
}

static int appraise_for(struct fixture *f, const char *evidence)
{
    return ask(f, "POST", "/v1/appraisals", "guest", body_of("nonce", NONCE, evidence));
}

/* The sentence of that check in the verdict that was answered. */
static void assert_why(struct fixture *f, const char *id, const char *why)
{
    CLEAN_JSON *result = answer_json(f);
    const json_t *checks = json_object_get(json_object_get(result, "verdict"), "checks");
    size_t i;
    json_t *check;
    json_array_foreach(checks, i, check) if (strcmp(json_string_value(json_object_get(check, "id")), id) == 0)
    {
        assert_string_equal(json_string_value(json_object_get(check, "why")), why);
        return;
    }
    fail_msg("there is no check %s", id);
}

static void assert_passes(struct fixture *f, const char *evidence)
{
    int status = appraise_for(f, evidence);
    if (status != 200)
        fail_msg("%s", f->answer);
    assert_member(f, "outcome", "pass");
}

static void a_report_alone_is_judged_with_what_amd_has(void **state)
{
    struct fixture *f = *state;
    char *evidence = snp_evidence(NONCE, 0);
    assert_passes(f, evidence);
    assert_why(f, "snp.revocation", "a current list, signed by the root, does not name the intermediate");
    assert_passes(f, evidence);
    assert_int_equal(vendor_asked(vendor, "/"), 3);
    assert_int_equal(vendor_asked(vendor, "/vcek/v1/Milan/"), 3);
    free(evidence);
}

static void a_quote_alone_is_judged_with_what_intel_has(void **state)
{
    struct fixture *f = *state;
    char *evidence = tdx_evidence();
    assert_passes(f, evidence);
    assert_passes(f, evidence);
    assert_int_equal(vendor_asked(vendor, "/"), 4);
    free(evidence);
}

static void an_outage_within_validity_is_unnoticed(void **state)
{
    struct fixture *f = *state;
    char *snp = snp_evidence(NONCE, 0), *tdx = tdx_evidence();
    assert_passes(f, snp);
    assert_passes(f, tdx);
    vendor_be(vendor, VENDOR_BROKEN, NULL);
    fixture_stop(f); /* and it is the database that has it */
    now = began + 29 * DAY;
    start(f);
    assert_passes(f, snp);
    assert_passes(f, tdx);
    free(snp);
    free(tdx);
}

static void beyond_it_the_verdict_says_what_ran_out_and_when(void **state)
{
    struct fixture *f = *state;
    char *tdx = tdx_evidence(), date[TIME_TEXT_SIZE], why[128];
    assert_passes(f, tdx);
    vendor_be(vendor, VENDOR_BROKEN, NULL);
    fixture_stop(f);
    now = began + 31 * DAY;
    start(f);
    assert_int_equal(appraise_for(f, tdx), 200);
    assert_member(f, "outcome", "unjudged");
    time_format(date, began + 30 * DAY);
    snprintf(why, sizeof why, "the TCB info had run out on %s; fetch a new one", date);
    assert_why(f, "tdx.tcb_info_window", why);
    snprintf(why, sizeof why, "the QE identity had run out on %s; fetch a new one", date);
    assert_why(f, "tdx.qe_identity_window", why);
    snprintf(why, sizeof why, "\"pck_crl\": the revocation list had run out on %s; fetch a new one", date);
    assert_why(f, "tdx.revocation.pck", why);
    snprintf(why, sizeof why, "\"root_ca_crl\": the revocation list had run out on %s; fetch a new one",
             date);
    assert_why(f, "tdx.revocation.pck_ca", why);
    free(tdx);
}

static void what_has_run_out_is_fetched_before_it_is_judged_with(void **state)
{
    struct fixture *f = *state;
    char *tdx = tdx_evidence(), from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE], why[128];
    assert_passes(f, tdx);
    now = began + 31 * DAY;
    vendor_publish(vendor, now);
    assert_passes(f, tdx);
    time_format(from, now - 3600);
    time_format(to, now + 30 * DAY);
    snprintf(why, sizeof why, "issued at %s, good until %s", from, to);
    assert_why(f, "tdx.tcb_info_window", why);
    free(tdx);
}

static void what_cannot_be_had_now_leaves_the_challenge_good(void **state)
{
    struct fixture *f = *state;
    vendor_be(vendor, VENDOR_THROTTLES, "30");
    assert_int_equal(ask(f, "POST", "/v1/challenges", "guest", NULL), 201);
    CLEAN_JSON *challenge = answer_json(f);
    const char *nonce = json_string_value(json_object_get(challenge, "nonce"));
    char *evidence = snp_evidence(nonce, 0);
    const char *body = body_of("challenge", nonce, evidence);
    assert_int_equal(ask(f, "POST", "/v1/appraisals", "guest", body), 503);
    assert_member(f, "code", "collateral");
    CLEAN_JSON *problem = answer_json(f);
    char what[COLLATERAL_NAME_MAX], detail[512];
    const struct collateral_id id = vendor_vcek(vendor);
    collateral_describe(what, &id);
    snprintf(detail, sizeof detail,
             "%s: AMD's chain for Milan: AMD's key service answered 429 (too many questions)", what);
    assert_string_equal(json_string_value(json_object_get(problem, "detail")), detail);
    assert_non_null(strstr(f->answer, "Retry-After: "));
    vendor_be(vendor, VENDOR_GOOD, NULL);
    fixture_stop(f); /* nobody waits in tests: the new one finds that the time has come */
    now += 40;
    start(f);
    assert_int_equal(ask(f, "POST", "/v1/appraisals", "guest", body), 200);
    assert_member(f, "outcome", "pass");
    free(evidence);
}

/* Each as the sentence of a problem, for a quote and for a report. */
static void whatever_a_vendor_does_is_said(void **state)
{
    static const struct {
        enum vendor_mood mood;
        const char *intel, *amd;
    } cases[] = {
        {VENDOR_BROKEN, "Intel's service answered 502 (what it asks itself does not answer)",
         "AMD's key service answered 502 (what it asks itself does not answer)"},
        {VENDOR_THROTTLES, "Intel's service answered 429 (too many questions)",
         "AMD's key service answered 429 (too many questions)"},
        {VENDOR_GARBLES, "Intel's service sent what is not kept: it is no text that JSON could hold",
         "AMD's key service sent what is not kept: at byte 0: not a certificate in DER"},
        {VENDOR_ENDLESS, "Intel's service: the answer has more than 1048576 bytes",
         "AMD's key service: the answer has more than 1048576 bytes"},
        {VENDOR_BAD_SIGNATURE,
         "Intel's service sent what is not kept: \"tcb_info\" is not signed by the key of its signer's "
         "certificate",
         NULL},
        {VENDOR_MOVED, "Intel's service answered 302", "AMD's key service answered 302"},
    };
    struct fixture *f = *state;
    char *tdx = tdx_evidence(), *snp = snp_evidence(NONCE, 0), detail[512], what[COLLATERAL_NAME_MAX];
    const struct collateral_id id = vendor_vcek(vendor);
    collateral_describe(what, &id);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vendor_be(vendor, cases[i].mood, NULL);
        now += 3700; /* longer than any back-off */
        assert_int_equal(appraise_for(f, tdx), 503);
        snprintf(detail, sizeof detail, "the TCB info of FMSPC e006c0f00000 (standard): %s", cases[i].intel);
        assert_member(f, "detail", detail);
        if (!cases[i].amd)
            continue;
        assert_int_equal(appraise_for(f, snp), 503);
        snprintf(detail, sizeof detail, "%s: AMD's chain for Milan: %s", what, cases[i].amd);
        assert_member(f, "detail", detail);
    }
    vendor_publish(vendor, began - 31 * DAY);
    vendor_be(vendor, VENDOR_GOOD, NULL);
    now += 3700;
    char date[TIME_TEXT_SIZE];
    time_format(date, began - DAY);
    assert_int_equal(appraise_for(f, tdx), 503);
    snprintf(detail, sizeof detail,
             "the TCB info of FMSPC e006c0f00000 (standard): Intel's service sent what is not kept: it had "
             "run out "
             "on %s",
             date);
    assert_member(f, "detail", detail);
    free(tdx);
    free(snp);
}

static void a_chip_that_amd_does_not_know_is_said_so(void **state)
{
    struct fixture *f = *state;
    struct collateral_id id = vendor_vcek(vendor);
    char *evidence = snp_evidence(NONCE, 1), what[COLLATERAL_NAME_MAX], why[512];
    assert_int_equal(appraise_for(f, evidence), 200);
    assert_member(f, "outcome", "unjudged");
    id.hwid[0] ^= 1;
    collateral_describe(what, &id);
    snprintf(
        why, sizeof why,
        "the certificate of the signing key (VCEK or VLEK) is missing: %s: AMD's key service answered 404 "
        "(there is no such thing)",
        what);
    assert_why(f, "snp.signature", why);
    free(evidence);
}

static void a_stalled_vendor_holds_half_of_the_workers(void **state)
{
    struct fixture *f = *state;
    static char request[1 << 17];
    char *snp = snp_evidence(NONCE, 0), *tdx = tdx_evidence();
    const char *body = body_of("nonce", NONCE, snp);
    struct client waiting = client_new(f->port);
    vendor_be(vendor, VENDOR_HOLDS, NULL);
    snprintf(request, sizeof request,
             "POST /v1/appraisals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guest\r\nContent-Type: "
             "application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    assert_true(client_send(&waiting, request));
    vendor_wait_for_held(vendor, 1);
    assert_int_equal(appraise_for(f, tdx), 503);
    assert_member(f, "detail", "the TCB info of FMSPC e006c0f00000 (standard): it is being asked for");
    assert_non_null(strstr(f->answer, "Retry-After: 2\r\n"));
    assert_int_equal(ask(f, "GET", "/readyz", NULL, NULL), 200);
    vendor_be(vendor, VENDOR_GOOD, NULL);
    assert_int_equal(client_answer(&waiting, f->answer, sizeof f->answer), 200);
    assert_member(f, "outcome", "pass");
    client_close(&waiting);
    free(snp);
    free(tdx);
}

static const json_t *find_named(const json_t *list, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (strcmp(json_string_value(json_object_get(item, "name")), name) ==
                                          0) return item;
    fail_msg("%s is not in the list", name);
    return NULL;
}

static void its_state_is_shown(void **state)
{
    struct fixture *f = *state;
    char *tdx = tdx_evidence(), *unknown = snp_evidence(NONCE, 1), date[TIME_TEXT_SIZE],
         name[COLLATERAL_NAME_MAX];
    struct collateral_id id = vendor_vcek(vendor);
    assert_passes(f, tdx);
    assert_int_equal(appraise_for(f, unknown), 200);
    assert_int_equal(ask(f, "GET", "/v1/collateral", "auditor", NULL), 200);
    CLEAN_JSON *body = answer_json(f);
    const json_t *list = json_object_get(body, "collateral");
    assert_int_equal(json_array_size(list), 6);
    const json_t *qe = find_named(list, "pcs/qe/standard");
    assert_true(json_is_true(json_object_get(qe, "held")));
    time_format(date, began + 30 * DAY);
    assert_string_equal(json_string_value(json_object_get(qe, "until")), date);
    assert_null(json_object_get(qe, "trouble"));
    id.hwid[0] ^= 1;
    collateral_name(name, &id);
    const json_t *vcek = find_named(list, name);
    assert_true(json_is_false(json_object_get(vcek, "held")));
    assert_non_null(strstr(json_string_value(json_object_get(vcek, "trouble")), "answered 404"));
    assert_int_equal(ask(f, "GET", "/v1/collateral?after=pcs/qe/standard", "auditor", NULL), 200);
    CLEAN_JSON *rest = answer_json(f);
    assert_int_equal(json_array_size(json_object_get(rest, "collateral")), 2);
    free(tdx);
    free(unknown);
}

static void nobody_is_asked_about_a_platform_that_anybody_made_up(void **state)
{
    struct fixture *f = *state;
    char *tdx = tdx_evidence();
    fixture_stop(f);
    f->config.trust_roots.path[1] = NULL;
    start(f);
    assert_int_equal(appraise_for(f, tdx), 200);
    assert_member(f, "outcome", "fail");
    assert_why(f, "tdx.tcb_info_window",
               "\"tcb_info\" is missing: give Intel's collateral with --collateral");
    assert_int_equal(vendor_asked(vendor, "/"), 0);
    free(tdx);
}

static void a_slash_at_an_addresss_end_is_not_doubled(void **state)
{
    struct trust_config config;
    static const char text[] =
        "{\"name\": \"x\", \"certificate\": \"c\", \"key\": \"k\", \"database\": \"d\", "
        "\"signing_key\": \"s\", \"kds\": \"https://kds.example/\", \"pccs\": "
        "\"https://pccs.example:8081\", \"tcb_update\": \"early\"}";
    struct cofre_err err = {""};
    (void)state;
    if (trust_config_parse(&config, (struct view){(const uint8_t *)text, sizeof text - 1}, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(config.kds, "https://kds.example");
    assert_string_equal(config.pccs, "https://pccs.example:8081");
    assert_string_equal(config.tcb_update, "early");
    trust_config_free(&config);
}

static void addresses_that_will_not_do_are_named(void **state)
{
    static const struct {
        const char *member, *sentence;
    } cases[] = {
        {"\"kds\": \"http://kdsintf.amd.com\"",
         "configuration: kds: \"http://kdsintf.amd.com\" is no https address, "
         "nor an http address of this machine"},
        {"\"pcs\": 1", "configuration: pcs: it is to be a text"},
        {"\"pcs\": \"https://a\", \"pccs\": \"https://b\"",
         "configuration: pccs: it is asked instead of pcs, and both are there"},
        {"\"tcb_update\": \"late\"", "configuration: tcb_update: it is to be \"standard\" or \"early\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trust_config config;
        struct cofre_err err = {""};
        char text[512];
        int len = snprintf(text, sizeof text,
                           "{\"name\": \"x\", \"certificate\": \"c\", \"key\": \"k\", \"database\": \"d\", "
                           "\"signing_key\": \"s\", %s}",
                           cases[i].member);
        assert_int_equal(trust_config_parse(&config, (struct view){(const uint8_t *)text, (size_t)len}, &err),
                         -COFRE_USAGE);
        assert_string_equal(err.text, cases[i].sentence);
    }
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_report_alone_is_judged_with_what_amd_has),
        T(a_quote_alone_is_judged_with_what_intel_has),
        T(an_outage_within_validity_is_unnoticed),
        T(beyond_it_the_verdict_says_what_ran_out_and_when),
        T(what_has_run_out_is_fetched_before_it_is_judged_with),
        T(what_cannot_be_had_now_leaves_the_challenge_good),
        T(whatever_a_vendor_does_is_said),
        T(a_chip_that_amd_does_not_know_is_said_so),
        T(a_stalled_vendor_holds_half_of_the_workers),
        T(its_state_is_shown),
        T(nobody_is_asked_about_a_platform_that_anybody_made_up),
        cmocka_unit_test(a_slash_at_an_addresss_end_is_not_doubled),
        cmocka_unit_test(addresses_that_will_not_do_are_named),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
