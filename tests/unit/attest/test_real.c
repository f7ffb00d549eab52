/* Evidence of real hardware has the outcomes that INDEX.md names, and what others once let pass does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "sev/report.h"
#include "tests/unit/attest/real.h"

static void failed_checks(const struct verdict *v, char out[512])
{
    out[0] = 0;
    for (size_t i = 0; i < v->count; i++)
        if (v->check[i].outcome == CHECK_FAILED) {
            strncat(out, v->check[i].id, 511 - strlen(out));
            strncat(out, " ", 511 - strlen(out));
        }
}

static void expect(struct view report, struct view vcek, struct view chain, const char *policy, int64_t at,
                   enum check_outcome outcome, const char *failed)
{
    CLEAN_VERDICT v = {0};
    struct cofre_err err = {""};
    char found[512];
    if (real_appraise(&v, report, vcek, chain, policy, at, &err) < 0)
        fail_msg("not judged: %s", err.text);
    failed_checks(&v, found);
    assert_string_equal(found, failed);
    assert_int_equal(verdict_outcome(&v), outcome);
    assert_string_equal(v.product, vcek.len ? "Milan" : "unknown");
}

#define V(bytes) bytes_view(&(bytes))
static const struct view none;

static void each_report_passes_with_and_without_a_chain_at_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        CLEAN_BYTES report = {0}, vcek = {0}, chain = {0};
        const struct real_case *c = &real_cases[i];
        NEED_REAL(&report, c->report);
        NEED_REAL(&vcek, c->vcek);
        NEED_REAL(&chain, c->chain);
        expect(V(report), V(vcek), V(chain), c->policy, REAL_NOW, CHECK_PASSED, "");
        expect(V(report), V(vcek), none, c->policy, REAL_NOW, CHECK_PASSED, "");
    }
}

static void the_default_policy_refuses_the_one_that_allows_debugging(void **state)
{
    (void)state;
    CLEAN_BYTES report = {0}, vcek = {0}, chain = {0};
    NEED_REAL(&report, real_cases[0].report);
    NEED_REAL(&vcek, real_cases[0].vcek);
    NEED_REAL(&chain, real_cases[0].chain);
    expect(V(report), V(vcek), V(chain), "{}", REAL_NOW, CHECK_FAILED, "snp.guest_policy.debug ");
}

static void certificates_are_valid_in_their_time_only(void **state)
{
    (void)state;
    CLEAN_BYTES report = {0}, vcek = {0};
    NEED_REAL(&report, real_cases[1].report);
    NEED_REAL(&vcek, real_cases[1].vcek);
    expect(V(report), V(vcek), none, "{}", 1674583106 - 1, CHECK_FAILED,
           "snp.validity "); /* 2023-01-24T17:58:26Z */
    expect(V(report), V(vcek), none, "{}", 1674583106 + 1, CHECK_PASSED, "");
    expect(V(report), V(vcek), none, "{}", 1895507906 - 1, CHECK_PASSED, ""); /* 2030-01-24T17:58:26Z */
    expect(V(report), V(vcek), none, "{}", 1895507906 + 1, CHECK_FAILED, "snp.validity ");
}

static void a_vcek_of_another_chip_fails_each_check_that_it_should(void **state)
{
    (void)state;
    CLEAN_BYTES report = {0}, legacy = {0}, new = {0}, other = {0};
    NEED_REAL(&report, real_cases[1].report);
    NEED_REAL(&legacy, "negative/b-vcek-invalid-legacy.der");
    NEED_REAL(&new, "negative/b-vcek-invalid-new.der");
    NEED_REAL(&other, real_cases[2].vcek); /* genuine, and of the same TCB: only key and chip differ */
    expect(V(report), V(legacy), none, "{}", REAL_NOW, CHECK_FAILED,
           "snp.signature snp.leaf snp.leaf_tcb snp.chip_id ");
    expect(V(report), V(new), none, "{}", REAL_NOW, CHECK_FAILED,
           "snp.signature snp.leaf snp.leaf_tcb snp.chip_id ");
    expect(V(report), V(other), none, "{}", REAL_NOW, CHECK_FAILED, "snp.signature snp.chip_id ");
}

static void without_its_vcek_a_report_cannot_be_judged(void **state)
{
    (void)state;
    CLEAN_BYTES report = {0};
    NEED_REAL(&report, real_cases[1].report);
    expect(V(report), none, none, "{}", REAL_NOW, CHECK_UNJUDGED, "");
}

static void the_chain_of_another_product_or_key_is_not_this_ones(void **state)
{
    (void)state;
    static const char *const chains[] = {"roots/amd-milan-asvk-ark.pem", "roots/amd-genoa-ask-ark.pem",
                                         "roots/amd-turin-ask-ark.pem"};
    CLEAN_BYTES report = {0}, vcek = {0};
    NEED_REAL(&report, real_cases[1].report);
    NEED_REAL(&vcek, real_cases[1].vcek);
    for (size_t i = 0; i < 3; i++) {
        CLEAN_BYTES chain = {0};
        NEED_REAL(&chain, chains[i]);
        expect(V(report), V(vcek), V(chain), "{}", REAL_NOW, CHECK_UNJUDGED, "");
    }
}

static void all_vendor_chains_at_once_in_any_order_are_fine(void **state)
{
    (void)state;
    static const char *const files[] = {"roots/amd-turin-asvk-ark.pem", "roots/amd-genoa-ask-ark.pem",
                                        "roots/amd-milan-asvk-ark.pem", "snp/c-vcek-milan.der",
                                        "roots/amd-milan-ask-ark.pem",  "snp/b-vcek.der"};
    CLEAN_EVIDENCE evidence = {0};
    CLEAN_CERTS certs = {0};
    CLEAN_POLICY policy;
    CLEAN_VERDICT v = {0};
    CLEAN_BYTES report = {0};
    NEED_REAL(&report, real_cases[1].report);
    policy_init(&policy);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CLEAN_BYTES file = {0};
        NEED_REAL(&file, files[i]);
        assert_int_equal(x509_certs_add(&certs, V(file), NULL), 0);
    }
    assert_int_equal(evidence_parse(&evidence, V(report), NULL), 0);
    struct appraisal in = {.evidence = &evidence, .policy = &policy, .certs = &certs, .at = REAL_NOW};
    assert_int_equal(appraise(&v, &in, NULL), 0);
    assert_int_equal(verdict_outcome(&v), CHECK_PASSED);
}

static void the_real_root_key_in_an_altered_body_fails(void **state)
{
    (void)state;
    CLEAN_BYTES report = {0}, vcek = {0}, chain = {0};
    CLEAN_CERTS certs = {0};
    NEED_REAL(&report, real_cases[1].report);
    NEED_REAL(&vcek, real_cases[1].vcek);
    NEED_REAL(&chain, real_cases[1].chain);
    assert_int_equal(x509_certs_add(&certs, V(chain), NULL), 0);
    BIO *bio = BIO_new(BIO_s_mem());
    for (size_t i = 0; i < certs.count; i++) {
        if (snp_cert_role(certs.cert[i], NULL) == SNP_ROLE_ARK) {
            assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certs.cert[i]), 65537), 1);
            assert_true(i2d_re_X509_tbs(certs.cert[i], NULL) > 0); /* the signature stays the old body's */
        }
        assert_int_equal(PEM_write_bio_X509(bio, certs.cert[i]), 1);
    }
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    expect(V(report), V(vcek), (struct view){(uint8_t *)text, (size_t)len}, "{}", REAL_NOW, CHECK_FAILED,
           "snp.ark ");
    BIO_free(bio);
}

static void the_built_in_certificates_are_amds_by_the_pinned_keys(void **state)
{
    (void)state;
    CLEAN_CERTS certs = {0};
    unsigned roots = 0, under = 0;
    assert_int_equal(snp_certs_add_amd(&certs, NULL), 0);
    assert_int_equal(certs.count, 9);
    for (size_t i = 0; i < certs.count; i++) {
        enum snp_product product, of_root;
        enum snp_cert_role role = snp_cert_role(certs.cert[i], &product);
        if (role == SNP_ROLE_ARK) {
            for (int p = 0; p < SNP_PRODUCT_COUNT; p++)
                assert_int_equal(snp_root_is_amd(certs.cert[i], p), p == (int)product);
            roots += x509_check_issued(&snp_scheme, certs.cert[i], certs.cert[i], NULL) == 0;
            continue;
        }
        assert_true(role == SNP_ROLE_ASK || role == SNP_ROLE_ASVK);
        for (size_t k = 0; k < certs.count; k++)
            if (snp_cert_role(certs.cert[k], &of_root) == SNP_ROLE_ARK && of_root == product)
                under += x509_check_issued(&snp_scheme, certs.cert[i], certs.cert[k], NULL) == 0;
    }
    assert_int_equal(roots, 3);
    assert_int_equal(under, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_report_passes_with_and_without_a_chain_at_hand),
        cmocka_unit_test(the_default_policy_refuses_the_one_that_allows_debugging),
        cmocka_unit_test(certificates_are_valid_in_their_time_only),
        cmocka_unit_test(a_vcek_of_another_chip_fails_each_check_that_it_should),
        cmocka_unit_test(without_its_vcek_a_report_cannot_be_judged),
        cmocka_unit_test(the_chain_of_another_product_or_key_is_not_this_ones),
        cmocka_unit_test(all_vendor_chains_at_once_in_any_order_are_fine),
        cmocka_unit_test(the_real_root_key_in_an_altered_body_fails),
        cmocka_unit_test(the_built_in_certificates_are_amds_by_the_pinned_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
