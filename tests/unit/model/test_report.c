/* Reports of the emulated firmware, read and judged by the code that reads real ones, and by OpenSSL. */
#include <openssl/x509.h>
#include <string.h>

#include "fixture.h"
#include "sev/cert_table.h"
#include "sev/report.h"

static struct snp_report_req request_of(uint32_t vmpl, uint32_t key_sel)
{
    struct snp_report_req request = {.vmpl = vmpl, .key_sel = key_sel};
    memset(request.report_data, 0xa7, sizeof request.report_data);
    return request;
}

/* The public key of the leaf in the platform's certificate table. */
static EVP_PKEY *leaf_key(const struct psp *psp, enum snp_cert_kind kind)
{
    struct bytes raw = {0};
    struct snp_cert_table table;
    struct cofre_err err;
    EVP_PKEY *key = NULL;
    assert_int_equal(psp_cert_table(psp, &raw, &err), 0);
    assert_int_equal(snp_cert_table_parse(&table, bytes_view(&raw), &err), 0);
    for (size_t i = 0; i < table.count; i++) {
        const uint8_t *p = table.entry[i].data.data;
        if (table.entry[i].kind != kind)
            continue;
        X509 *x = d2i_X509(NULL, &p, (long)table.entry[i].data.len);
        key = X509_get_pubkey(x);
        X509_free(x);
    }
    bytes_free(&raw);
    assert_non_null(key);
    return key;
}

static struct snp_report report_of(struct psp_options options, uint32_t key_sel)
{
    struct snp_secrets_page secrets;
    struct psp *psp = open_platform(options);
    struct psp_guest *guest = launch_guest(psp, &secrets, NULL);
    struct snp_report_req request = request_of(0, key_sel);
    struct snp_report_rsp response = ask_report(guest, &secrets, 0, 1, &request);
    assert_int_equal(response.status, PSP_SUCCESS);
    assert_int_equal(response.report_size, sizeof response.report);
    psp_guest_free(guest);
    psp_close(psp);
    return response.report;
}

static void assert_good(struct psp_options options, const struct snp_report *report, enum snp_cert_kind kind)
{
    struct cofre_err err = {""};
    struct psp *psp = open_platform(options);
    EVP_PKEY *key = leaf_key(psp, kind);
    if (snp_report_check_version(report, options.product, &err) < 0 ||
        snp_report_check_reserved(report, &err) < 0 || snp_report_check_unknown_bits(report, &err) < 0 ||
        snp_report_check_signature_form(report, &err) < 0 ||
        snp_report_check_signature(report, key, &err) < 0)
        fail_msg("%s", err.text);
    EVP_PKEY_free(key);
    psp_close(psp);
}

static void every_version_of_every_product_is_well_formed_and_signed(void **state)
{
    (void)state;
    for (enum snp_product p = SNP_PRODUCT_MILAN; p <= SNP_PRODUCT_TURIN; p++)
        for (unsigned version = p == SNP_PRODUCT_TURIN ? 3 : 2; version <= 5;
             version += version == 2 ? 1 : 2) {
            struct psp_options options = {.product = p, .report_version = version};
            struct snp_report report = report_of(options, 0);
            assert_int_equal(report.version, version);
            assert_int_equal(SNP_REPORT_SIGNING_KEY(report.flags), SNP_SIGNING_KEY_VCEK);
            assert_int_equal(snp_report_product(&report), version < 3 ? SNP_PRODUCT_UNKNOWN : p);
            assert_int_equal(report.launch_mit_vector != 0, version >= 5);
            assert_good(options, &report, SNP_CERT_VCEK);
        }
}

static void a_signature_covers_every_byte_before_it(void **state)
{
    (void)state;
    struct psp *psp = open_platform((struct psp_options){0});
    EVP_PKEY *key = leaf_key(psp, SNP_CERT_VCEK);
    struct snp_report report = report_of((struct psp_options){0}, 0);
    for (size_t i = 0; i < SNP_REPORT_SIGNED_BYTES; i += 13) {
        ((uint8_t *)&report)[i] ^= 1;
        assert_int_equal(snp_report_check_signature(&report, key, NULL), -COFRE_NEGATIVE);
        ((uint8_t *)&report)[i] ^= 1;
    }
    assert_int_equal(snp_report_check_signature(&report, key, NULL), 0);
    EVP_PKEY_free(key);
    psp_close(psp);
}

static void a_tcb_has_the_layout_of_its_product(void **state)
{
    (void)state;
    const struct {
        enum snp_product product;
        uint64_t tcb;
    } cases[] = {{SNP_PRODUCT_MILAN, 0xdb18000000000004ull},
                 {SNP_PRODUCT_GENOA, 0x541700000000000aull},
                 {SNP_PRODUCT_TURIN, 0x5100000004010101ull}};
    for (size_t i = 0; i < 3; i++) {
        struct snp_report report = report_of((struct psp_options){.product = cases[i].product}, 0);
        assert_true(report.current_tcb == cases[i].tcb && report.reported_tcb == cases[i].tcb);
        assert_true(report.committed_tcb == cases[i].tcb && report.launch_tcb == cases[i].tcb);
    }
}

static void a_turin_s_chip_id_has_eight_bytes(void **state)
{
    (void)state;
    struct snp_report report = report_of((struct psp_options){.product = SNP_PRODUCT_TURIN}, 0);
    assert_false(bytes_are_zero(report.chip_id, 8));
    assert_true(bytes_are_zero(report.chip_id + 8, 56));
    report = report_of((struct psp_options){.product = SNP_PRODUCT_GENOA}, 0);
    assert_false(bytes_are_zero(report.chip_id + 8, 56));
}

static void an_installed_vlek_signs_unless_the_vcek_is_asked_for(void **state)
{
    (void)state;
    struct psp_options options = {.product = SNP_PRODUCT_GENOA, .vlek = true};
    struct snp_report report = report_of(options, 0);
    assert_int_equal(SNP_REPORT_SIGNING_KEY(report.flags), SNP_SIGNING_KEY_VLEK);
    assert_good(options, &report, SNP_CERT_VLEK);
    report = report_of(options, 2);
    assert_int_equal(SNP_REPORT_SIGNING_KEY(report.flags), SNP_SIGNING_KEY_VLEK);
    report = report_of(options, 1);
    assert_int_equal(SNP_REPORT_SIGNING_KEY(report.flags), SNP_SIGNING_KEY_VCEK);
    options.vlek = false;
    assert_good(options, &report, SNP_CERT_VCEK);
}

static void masks_leave_out_the_chip_id_and_the_signature(void **state)
{
    (void)state;
    struct snp_report report = report_of((struct psp_options){.mask_chip_id = true}, 0);
    assert_true(bytes_are_zero(report.chip_id, sizeof report.chip_id));
    assert_false(bytes_are_zero(&report.signature, sizeof report.signature));
    report = report_of((struct psp_options){.mask_chip_key = true}, 0);
    assert_int_equal(SNP_REPORT_SIGNING_KEY(report.flags), SNP_SIGNING_KEY_NONE);
    assert_true(report.flags & SNP_REPORT_MASK_CHIP_KEY);
    assert_true(bytes_are_zero(&report.signature, sizeof report.signature));
    report = report_of((struct psp_options){.mask_chip_key = true, .vlek = true}, 0);
    assert_int_equal(SNP_REPORT_SIGNING_KEY(report.flags), SNP_SIGNING_KEY_VLEK);
}

static void a_report_says_what_the_launch_said(void **state)
{
    (void)state;
    struct snp_secrets_page secrets;
    struct psp *psp = open_platform((struct psp_options){.smt = true});
    struct psp_launch_finish finish = {.host_data = {1, 2, 3}};
    struct psp_guest *guest = launch_guest(psp, &secrets, &finish);
    struct snp_report_req request = request_of(3, 0);
    struct snp_report_rsp response = ask_report(guest, &secrets, 1, 1, &request);
    struct snp_report *report = &response.report;
    uint8_t digest[SNP_DIGEST_SIZE], all_ones[32];
    memset(all_ones, 0xff, sizeof all_ones);
    psp_launch_digest(guest, digest);
    assert_memory_equal(report->measurement, digest, sizeof digest);
    assert_memory_equal(report->host_data, finish.host_data, sizeof finish.host_data);
    assert_memory_equal(report->report_data, request.report_data, sizeof request.report_data);
    assert_memory_equal(report->report_id_ma, all_ones, sizeof all_ones);
    assert_false(bytes_are_zero(report->report_id, sizeof report->report_id));
    assert_true(bytes_are_zero(report->id_key_digest, sizeof report->id_key_digest));
    assert_int_equal(report->policy, POLICY);
    assert_int_equal(report->vmpl, 3);
    assert_true(report->platform_info & SNP_PLATFORM_SMT_EN);
    psp_guest_free(guest);
    psp_close(psp);
}

static void requests_that_the_guest_may_not_make_are_refused(void **state)
{
    (void)state;
    const struct {
        uint8_t vmpck;
        uint32_t vmpl, key_sel;
        uint8_t reserved;
        uint8_t vcek_disabled;
        enum psp_status status;
    } cases[] = {
        {0, 0, 0, 0, 0, PSP_SUCCESS},       {0, 3, 1, 0, 0, PSP_SUCCESS},
        {2, 2, 0, 0, 0, PSP_SUCCESS},       {2, 1, 0, 0, 0, PSP_INVALID_PARAM},
        {0, 4, 0, 0, 0, PSP_INVALID_PARAM}, {3, 0xffffffff, 0, 0, 0, PSP_INVALID_PARAM},
        {0, 0, 3, 0, 0, PSP_INVALID_KEY},   {0, 0, 4, 0, 0, PSP_INVALID_PARAM},
        {0, 0, 0, 1, 0, PSP_INVALID_PARAM}, {0, 0, 2, 0, 0, PSP_INVALID_KEY},
        {0, 0, 1, 0, 1, PSP_INVALID_KEY},   {0, 0, 0, 0, 1, PSP_INVALID_KEY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct snp_secrets_page secrets;
        struct psp *psp = open_platform((struct psp_options){0});
        struct psp_guest *guest =
            launch_guest(psp, &secrets, &(struct psp_launch_finish){.vcek_disabled = cases[i].vcek_disabled});
        struct snp_report_req request = request_of(cases[i].vmpl, cases[i].key_sel);
        request.reserved_48[23] = cases[i].reserved;
        struct snp_report_rsp response = ask_report(guest, &secrets, cases[i].vmpck, 1, &request);
        assert_int_equal(response.status, cases[i].status);
        assert_int_equal(bytes_are_zero(&response.report, sizeof response.report),
                         cases[i].status != PSP_SUCCESS);
        psp_guest_free(guest);
        psp_close(psp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_every_product_is_well_formed_and_signed),
        cmocka_unit_test(a_signature_covers_every_byte_before_it),
        cmocka_unit_test(a_tcb_has_the_layout_of_its_product),
        cmocka_unit_test(a_turin_s_chip_id_has_eight_bytes),
        cmocka_unit_test(an_installed_vlek_signs_unless_the_vcek_is_asked_for),
        cmocka_unit_test(masks_leave_out_the_chip_id_and_the_signature),
        cmocka_unit_test(a_report_says_what_the_launch_said),
        cmocka_unit_test(requests_that_the_guest_may_not_make_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
