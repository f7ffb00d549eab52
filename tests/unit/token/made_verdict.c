#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/snp.h"
#include "attest/tdx.h"
#include "tests/unit/token/made_verdict.h"

const struct view made_nonce = {(const uint8_t *)"0123456789abcdef", 16};

static void add(struct verdict *v, const char *id)
{
    assert_true(v->count < VERDICT_CHECKS_MAX);
    v->check[v->count++] = (struct check_result){.id = id, .outcome = CHECK_PASSED};
}

static json_t *digests(const char *const *names, size_t count)
{
    json_t *claims = json_object();
    char hex[2 * 48 + 1];
    memset(hex, 'a', sizeof hex - 1);
    hex[sizeof hex - 1] = 0;
    for (size_t i = 0; i < count; i++) {
        hex[0] = (char)('0' + i);
        json_object_set_new(claims, names[i], json_string(hex));
    }
    return claims;
}

static void make_snp(struct verdict *v)
{
    static const struct snp_check *const tables[] = {snp_genuine_checks, snp_policy_checks};
    static const char *const names[] = {"measurement", "report_data", "host_data"};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct snp_check *c = tables[t]; c->id; c++)
            add(v, c->id);
    v->root = "AMD";
    (void)strcpy(v->product, "Milan");
    v->claims = digests(names, 3);
    json_object_set_new(v->claims, "policy", json_pack("{s:b}", "debug", 0));
    v->advisories = json_array();
}

static void make_tdx(struct verdict *v)
{
    static const struct tdx_check *const tables[] = {tdx_genuine_checks, tdx_collateral_checks,
                                                     tdx_tcb_checks, tdx_event_log_checks, tdx_policy_checks};
    static const char *const names[] = {"measurement", "report_data", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct tdx_check *c = tables[t]; c->id; c++)
            add(v, c->id);
    v->root = "Intel";
    (void)strcpy(v->product, "90c06f000000");
    v->claims = digests(names, 6);
    json_object_set_new(v->claims, "td_attributes", json_pack("{s:b}", "debug", 0));
    v->tcb_status = "UpToDate";
    v->advisories = json_pack("[s, s]", "INTEL-SA-00828", "INTEL-SA-00837");
}

void made_verdict(struct verdict *out, const char *tee)
{
    *out = (struct verdict){.tee = tee, .title = "made", .version = 4};
    if (strcmp(tee, "snp") == 0)
        make_snp(out);
    else
        make_tdx(out);
}

void made_outcome(struct verdict *v, const char *id, enum check_outcome outcome)
{
    struct check_result *check = (struct check_result *)(uintptr_t)verdict_check(v, id);
    assert_non_null(check);
    check->outcome = outcome;
}

void made_ear(struct ear *out, const char *tee)
{
    CLEAN_VERDICT v = {0};
    made_verdict(&v, tee);
    made_outcome(&v, strcmp(tee, "snp") == 0 ? "snp.host_data" : "tdx.mrowner", CHECK_FAILED);
    made_outcome(&v, strcmp(tee, "snp") == 0 ? "snp.vmpl" : "tdx.xfam", CHECK_UNJUDGED);
    const struct ear_occasion o = {
        .evidence = {(const uint8_t *)"evidence", 8},
        .policy_id = "web-frontend",
        .policy_version = 7,
        .nonce = made_nonce,
        .evidence_nonce = {(const uint8_t *)"fedcba9876543210", 16},
        .channel_key = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32},
        .id = {(const uint8_t *)"\1\2\3\4", 4},
        .issuer = "https://verifier.example",
        .build = "0.1.0",
        .at = MADE_AT,
        .lifetime = MADE_LIFETIME,
    };
    assert_int_equal(ear_make(out, &v, &o, NULL), 0);
}
