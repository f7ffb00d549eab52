/* Products, TCB versions and what is said of a report's bytes alone. Whole reports: tests/unit/attest/test_snp.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sev/report.h"

static void products_are_told_by_ranges_of_models(void **state)
{
    (void)state;
    static const struct {
        uint8_t family, model;
        enum snp_product product;
    } cases[] = {
        {0x19, 0x00, SNP_PRODUCT_MILAN},   {0x19, 0x0f, SNP_PRODUCT_MILAN},
        {0x19, 0x10, SNP_PRODUCT_GENOA},   {0x19, 0x1f, SNP_PRODUCT_GENOA},
        {0x19, 0x20, SNP_PRODUCT_UNKNOWN}, {0x19, 0x9f, SNP_PRODUCT_UNKNOWN},
        {0x19, 0xa0, SNP_PRODUCT_GENOA},   {0x19, 0xaf, SNP_PRODUCT_GENOA},
        {0x19, 0xb0, SNP_PRODUCT_UNKNOWN}, {0x1a, 0x00, SNP_PRODUCT_TURIN},
        {0x1a, 0x11, SNP_PRODUCT_TURIN},   {0x1a, 0x12, SNP_PRODUCT_UNKNOWN},
        {0x17, 0x01, SNP_PRODUCT_UNKNOWN}, {0x1b, 0x00, SNP_PRODUCT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(snp_product_of_cpuid(cases[i].family, cases[i].model), cases[i].product);
    assert_int_equal(snp_product_named("Milan", 5), SNP_PRODUCT_MILAN);
    assert_int_equal(snp_product_named("Bergamo", 7), SNP_PRODUCT_GENOA);
    assert_int_equal(snp_product_named("Mila", 4), SNP_PRODUCT_UNKNOWN);
    assert_int_equal(snp_product_named("milan", 5), SNP_PRODUCT_UNKNOWN);
}

static void tcb_versions_have_two_layouts(void **state)
{
    (void)state;
    struct snp_tcb tcb;
    assert_true(snp_tcb_decode(&tcb, 0x4405000000000002, SNP_PRODUCT_MILAN));
    assert_memory_equal(tcb.svn, ((uint8_t[]){0, 2, 0, 5, 0x44}), sizeof tcb.svn);
    assert_true(snp_tcb_decode(&tcb, 0x4400000004030201, SNP_PRODUCT_TURIN));
    assert_memory_equal(tcb.svn, ((uint8_t[]){1, 2, 3, 4, 0x44}), sizeof tcb.svn);
    assert_int_equal(snp_tcb_encode(&tcb, SNP_PRODUCT_TURIN), 0x4400000004030201);
    assert_false(snp_tcb_decode(&tcb, 0x4405000000010002, SNP_PRODUCT_GENOA));
    assert_false(snp_tcb_decode(&tcb, 0x4400000104030201, SNP_PRODUCT_TURIN));
    assert_false(snp_tcb_decode(&tcb, 0, SNP_PRODUCT_UNKNOWN));
}

static void tcb_versions_are_compared_by_component(void **state)
{
    (void)state;
    const struct snp_tcb base = {{1, 2, 3, 4, 5}};
    enum snp_tcb_component low;
    assert_true(snp_tcb_at_least(&base, &base, &low));
    for (int c = 0; c < SNP_TCB_COMPONENTS; c++) {
        struct snp_tcb above = {{200, 200, 200, 200, 200}};
        assert_true(snp_tcb_at_least(&above, &base, NULL));
        above.svn[c] = (uint8_t)(base.svn[c] - 1); /* all others higher do not make up for it */
        assert_false(snp_tcb_at_least(&above, &base, &low));
        assert_int_equal(low, c);
    }
}

static void only_1184_bytes_are_a_report(void **state)
{
    (void)state;
    static const uint8_t data[1185];
    struct snp_report report;
    assert_int_equal(snp_report_parse(&report, (struct view){data, 1184}, NULL), 0);
    assert_int_equal(snp_report_parse(&report, (struct view){data, 1183}, NULL), -COFRE_MALFORMED);
    assert_int_equal(snp_report_parse(&report, (struct view){data, 1185}, NULL), -COFRE_MALFORMED);
    assert_int_equal(snp_report_parse(&report, (struct view){data, 0}, NULL), -COFRE_MALFORMED);
}

/* Every byte is either a field of that version or checked to be zero: none can carry anything unseen. */
static void every_byte_that_is_no_field_is_checked(void **state)
{
    (void)state;
    static const unsigned reserved_bytes[] = {[2] = 4 + 24 + 1 + 1 + 168,
                                              [3] = 4 + 21 + 1 + 1 + 168,
                                              [4] = 4 + 21 + 1 + 1 + 168,
                                              [5] = 4 + 21 + 1 + 1 + 152};
    for (uint32_t version = 2; version <= 5; version++) {
        unsigned found = 0;
        for (size_t at = 4; at < SNP_REPORT_SIGNED_BYTES; at++) {
            struct snp_report r = {.version = version, .policy = SNP_POLICY_RESERVED_ONE};
            assert_int_equal(snp_report_check_reserved(&r, NULL), 0);
            ((uint8_t *)&r)[at] |= at >= 0x48 && at < 0x4c ? 0 : 1; /* flags are bits, below */
            found += snp_report_check_reserved(&r, NULL) < 0;
        }
        assert_int_equal(found, reserved_bytes[version]);
        for (int bit = 5; bit < 32; bit++) {
            struct snp_report r = {.version = version, .policy = SNP_POLICY_RESERVED_ONE, .flags = 1u << bit};
            assert_int_equal(snp_report_check_reserved(&r, NULL), -COFRE_NEGATIVE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_told_by_ranges_of_models),
        cmocka_unit_test(tcb_versions_have_two_layouts),
        cmocka_unit_test(tcb_versions_are_compared_by_component),
        cmocka_unit_test(only_1184_bytes_are_a_report),
        cmocka_unit_test(every_byte_that_is_no_field_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
