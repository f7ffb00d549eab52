/* The emulated platform's evidence before the verifier: it passes where its root is trusted by hand, and only there. */
#include <string.h>
#include <time.h>

#include "attest/appraise.h"
#include "fixture.h"

/* A report and the host's certificate table, as the agent hands them over. */
static void fetch(struct evidence *out, struct psp_options options, uint32_t key_sel)
{
    struct snp_secrets_page secrets;
    struct psp *psp = open_platform(options);
    struct psp_guest *guest = launch_guest(psp, &secrets, NULL);
    struct snp_report_req request = {.key_sel = key_sel};
    memset(request.report_data, 0xa7, 32);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    struct view report = {(const uint8_t *)&response.report, sizeof response.report};
    *out = (struct evidence){.tee = "snp"};
    assert_int_equal(bytes_copy(&out->report, report, NULL), 0);
    assert_int_equal(psp_cert_table(psp, &out->certificates, NULL), 0);
    psp_guest_free(guest);
    psp_close(psp);
}

static void trust(struct x509_certs *roots, enum snp_product product)
{
    CLEAN_BYTES root = {0};
    struct psp *psp = open_platform((struct psp_options){.product = product});
    assert_int_equal(psp_root(psp, &root, NULL), 0);
    assert_int_equal(x509_certs_add(roots, bytes_view(&root), NULL), 0);
    psp_close(psp);
}

/* The platform's own list, which a verifier would fetch from the vendor. */
static void fetch_crl(struct x509_crls *crls, const struct evidence *evidence)
{
    struct snp_cert_table table;
    assert_int_equal(snp_cert_table_parse(&table, bytes_view(&evidence->certificates), NULL), 0);
    for (size_t i = 0; i < table.count; i++)
        if (table.entry[i].kind == SNP_CERT_CRL)
            assert_int_equal(x509_crls_add(crls, table.entry[i].data, NULL), 0);
    assert_int_equal(crls->count, 1);
}

/* failed: the ids of the checks that must fail, with a blank after each. */
static void expect(const struct evidence *evidence, const struct x509_certs *roots, const char *failed)
{
    CLEAN_POLICY policy;
    CLEAN_VERDICT v = {0};
    struct cofre_err err = {""};
    char found[512] = "";
    uint8_t nonce[32];
    memset(nonce, 0xa7, sizeof nonce);
    policy_init(&policy);
    CLEAN_CRLS crls = {0};
    fetch_crl(&crls, evidence);
    struct appraisal in = {.evidence = evidence,
                           .policy = &policy,
                           .crls = &crls,
                           .roots = roots,
                           .nonce = {nonce, sizeof nonce},
                           .at = time(NULL)}; /* chains are made by the clock */
    if (appraise(&v, &in, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < v.count; i++)
        if (v.check[i].outcome == CHECK_FAILED)
            strcat(strcat(found, v.check[i].id), " ");
    assert_string_equal(found, failed);
    assert_int_equal(verdict_outcome(&v), *failed ? CHECK_FAILED : CHECK_PASSED);
    assert_int_equal(verdict_check(&v, "snp.revocation")->outcome, CHECK_PASSED);
    assert_true(v.emulated);
}

static void reports_of_every_product_version_and_key_pass_under_their_root(void **state)
{
    (void)state;
    for (enum snp_product p = SNP_PRODUCT_MILAN; p <= SNP_PRODUCT_TURIN; p++) {
        CLEAN_CERTS roots = {0};
        trust(&roots, p);
        for (unsigned version = p == SNP_PRODUCT_TURIN ? 3 : 2; version <= 5; version += version == 2 ? 1 : 2)
            for (int vlek = 0; vlek < 2; vlek++) {
                CLEAN_EVIDENCE evidence = {0};
                fetch(&evidence, (struct psp_options){.product = p, .report_version = version, .vlek = vlek},
                      0);
                expect(&evidence, &roots, "");
                expect(&evidence, NULL, "snp.ark ");
            }
    }
}

static void the_root_of_another_emulated_platform_is_not_this_ones(void **state)
{
    (void)state;
    CLEAN_CERTS roots = {0};
    CLEAN_EVIDENCE evidence = {0};
    trust(&roots, SNP_PRODUCT_GENOA);
    fetch(&evidence, (struct psp_options){.product = SNP_PRODUCT_MILAN}, 0);
    expect(&evidence, &roots, "snp.ark ");
}

static void masked_identities_are_judged_as_such(void **state)
{
    (void)state;
    CLEAN_CERTS roots = {0};
    CLEAN_EVIDENCE no_chip_id = {0}, unsigned_report = {0};
    trust(&roots, SNP_PRODUCT_MILAN);
    fetch(&no_chip_id, (struct psp_options){.product = SNP_PRODUCT_MILAN, .mask_chip_id = true}, 0);
    expect(&no_chip_id, &roots, "");
    fetch(&unsigned_report, (struct psp_options){.product = SNP_PRODUCT_MILAN, .mask_chip_key = true}, 0);
    expect(&unsigned_report, &roots, "snp.signature_format snp.signing_key ");
}

/* The host altered the table: another platform's certificates, or none. */
static void altered_certificates_are_noticed(void **state)
{
    (void)state;
    CLEAN_CERTS roots = {0};
    CLEAN_EVIDENCE evidence = {0}, other = {0}, relayed = {0};
    trust(&roots, SNP_PRODUCT_MILAN);
    fetch(&evidence, (struct psp_options){.product = SNP_PRODUCT_MILAN}, 0);
    fetch(&other, (struct psp_options){.product = SNP_PRODUCT_MILAN, .vlek = true}, 0);
    relayed.tee = "snp";
    assert_int_equal(bytes_copy(&relayed.report, bytes_view(&evidence.report), NULL), 0);
    assert_int_equal(bytes_copy(&relayed.certificates, bytes_view(&other.certificates), NULL), 0);
    expect(&relayed, &roots, "snp.signature snp.signing_key ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_of_every_product_version_and_key_pass_under_their_root),
        cmocka_unit_test(the_root_of_another_emulated_platform_is_not_this_ones),
        cmocka_unit_test(masked_identities_are_judged_as_such),
        cmocka_unit_test(altered_certificates_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
