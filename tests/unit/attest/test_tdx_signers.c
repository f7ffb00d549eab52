/* What is remembered of those who signed quotes saves time and changes no verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tdx/collateral.h"
#include "tdx/signer.h"
#include "tests/unit/attest/fake_intel.h"

#define DAY 86400

static struct fake_intel f;
static struct bytes quote, another; /* of the platform, and of another one under the same CA */
static struct tdx_collateral collateral, revoking, short_lived;
static struct x509_certs roots;
static struct policy policy;
static struct cofre_err err;

/* What a test varies. */
struct question {
    const struct bytes *quote;
    const struct tdx_collateral *collateral;
    const struct x509_certs *roots, *certs;
    int64_t at;
};
static const struct question usual = {&quote, &collateral, &roots, NULL, FAKE_NOW};

static int ask(struct verdict *out, const struct question *q, struct tdx_signers *signers)
{
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    assert_int_equal(bytes_copy(&evidence.report, bytes_view(q->quote), &err), 0);
    const struct appraisal in = {.evidence = &evidence,
                                 .policy = &policy,
                                 .collateral = q->collateral,
                                 .roots = q->roots,
                                 .certs = q->certs,
                                 .signers = signers,
                                 .at = q->at};
    return appraise(out, &in, &err);
}

/* The whole verdict as text, or the error's. */
static char *judged(const struct question *q, struct tdx_signers *signers)
{
    CLEAN_VERDICT verdict = {0};
    if (ask(&verdict, q, signers) < 0)
        return strdup(err.text);
    json_t *json = verdict_json(&verdict);
    char *text = json_dumps(json, JSON_SORT_KEYS);
    json_decref(json);
    return text;
}

static bool agree(const struct question *q, struct tdx_signers *signers)
{
    char *a = judged(q, NULL), *b = judged(q, signers);
    bool same = strcmp(a, b) == 0;
    if (!same)
        print_message("# not remembered: %s\n# remembered: %s\n", a, b);
    free(a);
    free(b);
    return same;
}

static void warm(struct tdx_signers *signers)
{
    CLEAN_VERDICT v = {0};
    assert_int_equal(ask(&v, &usual, signers), 0);
    assert_int_equal(verdict_outcome(&v), CHECK_PASSED);
    assert_int_equal(signers->count, 1);
}

static enum check_outcome outcome(const struct question *q, struct tdx_signers *signers, const char *id)
{
    CLEAN_VERDICT v = {0};
    assert_int_equal(ask(&v, q, signers), 0);
    return verdict_check(&v, id)->outcome;
}

static void parse_collateral(struct tdx_collateral *out)
{
    CLEAN_BYTES text = {0};
    fake_collateral_make(&text, &f.collateral);
    assert_int_equal(tdx_collateral_parse(out, bytes_view(&text), &err), 0);
}

static int make(void **state)
{
    (void)state;
    fake_intel_keys_make();
    policy_init(&policy);
    fake_intel_init(&f, 5, TDX_BODY_15);
    fake_intel_quote(&quote, &f);
    X509 *root = fake_cert_make(&f.cert[FAKE_ROOT], NULL, NULL);
    fake_add_der(&roots, root);
    X509_free(root);
    parse_collateral(&collateral);
    f.collateral.pck_crl.revoked_serial = f.cert[FAKE_PCK].serial;
    parse_collateral(&revoking);
    f.collateral.pck_crl.revoked_serial = 0;
    f.collateral.pck_crl.to = FAKE_NOW + DAY;
    parse_collateral(&short_lived);
    f.cert[FAKE_PCK].serial++;
    fake_intel_quote(&another, &f);
    return 0;
}

static int release(void **state)
{
    (void)state;
    bytes_free(&quote);
    bytes_free(&another);
    tdx_collateral_free(&collateral);
    tdx_collateral_free(&revoking);
    tdx_collateral_free(&short_lived);
    x509_certs_free(&roots);
    policy_free(&policy);
    fake_intel_keys_free();
    return 0;
}

static void a_signer_met_before_gets_the_verdict_of_any_other(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    warm(&signers);
    assert_true(agree(&usual, &signers));
    struct question other = usual;
    other.quote = &another;
    assert_true(agree(&other, &signers));
    assert_int_equal(signers.count, 2);
    assert_true(agree(&usual, &signers));
    assert_int_equal(signers.count, 2);
    signers.signer[0]->pck.fmspc[0] ^= 1; /* it is really what the verdict comes from */
    assert_int_equal(outcome(&usual, &signers, "tdx.fmspc"), CHECK_FAILED);
}

/* Each byte of what is remembered by, and some of every other part. */
static void a_changed_byte_is_not_answered_from_memory(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    struct tdx_quote parsed;
    warm(&signers);
    assert_int_equal(tdx_quote_parse(&parsed, bytes_view(&quote), &err), 0);
    struct view remembered = tdx_signer_bytes(&parsed);
    for (size_t i = 0; i < remembered.len; i++) {
        uint8_t *byte = quote.data + (remembered.data - quote.data) + i;
        *byte ^= 1;
        if (tdx_signers_find(&signers, tdx_signer_bytes(&parsed)))
            fail_msg("found with a change at %zu", i);
        *byte ^= 1;
    }
    for (size_t i = 0; i < quote.len; i += 23) {
        quote.data[i] ^= 1;
        if (!agree(&usual, &signers))
            fail_msg("with a change at %zu", i);
        quote.data[i] ^= 1;
    }
    assert_true(agree(&usual, &signers));
}

static void trust_in_the_root_is_judged_each_time(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    warm(&signers);
    struct question untrusted = usual;
    untrusted.roots = NULL;
    assert_true(agree(&untrusted, &signers));
    assert_int_equal(outcome(&untrusted, &signers, "tdx.root"), CHECK_FAILED);
}

/* Of the same names and keys as the quote's, and so issuers as well. */
static void the_verifier_s_own_certificates_make_no_difference(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    CLEAN_CERTS more = {0};
    warm(&signers);
    struct question more_certs = usual;
    more_certs.certs = &more;
    for (int i = 0; i < FAKE_INTEL_CERTS; i++) {
        X509 *cert = fake_cert_make(&f.cert[i], NULL, NULL);
        fake_add_der(&more, cert);
        X509_free(cert);
        assert_true(agree(&more_certs, &signers));
    }
}

static void time_is_judged_each_time(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    warm(&signers);
    struct question late = usual, stale = usual;
    late.at = f.cert[FAKE_PCK].to + 1;
    assert_true(agree(&late, &signers));
    assert_int_equal(outcome(&late, &signers, "tdx.validity"), CHECK_FAILED);
    stale.collateral = &short_lived;
    assert_int_equal(outcome(&stale, &signers, "tdx.revocation.pck"), CHECK_PASSED);
    stale.at = FAKE_NOW + 2 * DAY;
    assert_true(agree(&stale, &signers));
    assert_int_equal(outcome(&stale, &signers, "tdx.revocation.pck"), CHECK_UNJUDGED);
}

static void revocation_is_judged_each_time(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    warm(&signers);
    struct question revoked = usual;
    revoked.collateral = &revoking;
    assert_true(agree(&revoked, &signers));
    assert_int_equal(outcome(&revoked, &signers, "tdx.revocation.pck"), CHECK_FAILED);
    struct question none = usual;
    none.collateral = NULL;
    assert_true(agree(&none, &signers));
    assert_int_equal(outcome(&none, &signers, "tdx.revocation.pck"), CHECK_UNJUDGED);
}

/* Else anybody could push out those that are known. */
static void only_of_quotes_that_pass_is_anything_remembered(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    struct question untrusted = usual, unjudged = usual;
    untrusted.roots = NULL;
    free(judged(&untrusted, &signers));
    unjudged.collateral = NULL;
    free(judged(&unjudged, &signers));
    quote.data[quote.len / 8] ^= 1;
    free(judged(&usual, &signers));
    quote.data[quote.len / 8] ^= 1;
    assert_int_equal(signers.count, 0);
}

/* What is remembered outlives the collateral whose certificates the quote's were taken for. */
static void what_is_remembered_is_held(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    struct tdx_collateral passing;
    fake_intel_init(&f, 5, TDX_BODY_15);
    parse_collateral(&passing);
    struct question with_passing = usual;
    with_passing.collateral = &passing;
    free(judged(&with_passing, &signers));
    assert_int_equal(signers.count, 1);
    tdx_collateral_free(&passing);
    assert_true(agree(&usual, &signers));
}

/* A chain that is partly the collateral's may be another one tomorrow. */
static void a_chain_from_elsewhere_is_not_remembered(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    CLEAN_BYTES alone = {0};
    CLEAN_CERTS rest = {0};
    fake_intel_init(&f, 4, TDX_BODY_10);
    f.certification_type = TDX_CERTIFICATION_PCK_LEAF;
    fake_intel_quote(&alone, &f);
    for (int i = FAKE_ROOT; i <= FAKE_CA; i++) {
        X509 *cert = fake_cert_make(&f.cert[i], NULL, NULL);
        fake_add_der(&rest, cert);
        X509_free(cert);
    }
    const struct question q = {&alone, &collateral, &rest, &rest, FAKE_NOW};
    CLEAN_VERDICT v = {0};
    assert_int_equal(ask(&v, &q, &signers), 0);
    assert_int_equal(verdict_outcome(&v), CHECK_PASSED);
    assert_int_equal(signers.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signer_met_before_gets_the_verdict_of_any_other),
        cmocka_unit_test(a_changed_byte_is_not_answered_from_memory),
        cmocka_unit_test(trust_in_the_root_is_judged_each_time),
        cmocka_unit_test(the_verifier_s_own_certificates_make_no_difference),
        cmocka_unit_test(time_is_judged_each_time),
        cmocka_unit_test(revocation_is_judged_each_time),
        cmocka_unit_test(only_of_quotes_that_pass_is_anything_remembered),
        cmocka_unit_test(what_is_remembered_is_held),
        cmocka_unit_test(a_chain_from_elsewhere_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, make, release);
}
