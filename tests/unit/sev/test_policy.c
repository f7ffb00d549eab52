#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sev/policy.h"

static uint64_t parsed(const char *text)
{
    struct cofre_err err = {{0}};
    uint64_t policy = 0;
    int rc = snp_policy_parse(&policy, text, &err);
    if (rc != 0)
        fail_msg("%s: %s", text, err.text);
    return policy;
}

static void names_and_numbers_are_the_specification_s_bits(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t policy;
    } cases[] = {
        {"smt", 0x30000},
        {"0x30000", 0x30000},
        {"196608", 0x30000},
        {"none", 0x20000},
        {"smt,debug", 0xb0000},
        {"migrate-ma", 0x60000},
        {"single-socket", 0x120000},
        {"cxl", 0x220000},
        {"aes-256-xts", 0x420000},
        {"rapl-disable", 0x820000},
        {"ciphertext-hiding", 0x1020000},
        {"page-swap-disable", 0x2020000},
        {"abi=1.55,smt", 0x30137},
        {"abi=255.255", 0x2ffff},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(parsed(cases[i].text), cases[i].policy);
}

static void every_policy_reads_back_from_its_text(void **state)
{
    (void)state;
    for (uint64_t flags = 0; flags < 1 << 9; flags++) {
        uint64_t policy = SNP_POLICY_RESERVED_ONE | (flags & 1) << 16 | (flags >> 1) << 18 | flags << 3;
        char text[SNP_POLICY_TEXT_SIZE];
        snp_policy_format(text, policy & 0x3ffffff);
        assert_int_equal(parsed(text), policy & 0x3ffffff);
    }
    char text[SNP_POLICY_TEXT_SIZE];
    snp_policy_format(text, SNP_POLICY_DEFAULT);
    assert_string_equal(text, "smt");
    snp_policy_format(text, 0x10000);
    assert_string_equal(text, "0x10000");
}

static void what_is_no_policy_is_refused_with_a_sentence(void **state)
{
    (void)state;
    const char *const cases[] = {
        "",          "smt,",     ",smt",   "SMT",     "smt debug",           "none,smt",    "0x10000",
        "0x4030000", "0x30000z", "0",      "abi=1",   "abi=1.256",           "abi=256.1",   "abi=1.2.3",
        "abi=.1",    "abi=-1.1", "abi=1.", "-196608", "0x10000000000030000", "abi=00001.1",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cofre_err err = {{0}};
        uint64_t policy = 7;
        if (snp_policy_parse(&policy, cases[i], &err) != -COFRE_USAGE)
            fail_msg("\"%s\" was read as 0x%llx", cases[i], (unsigned long long)policy);
        assert_int_equal(policy, 7);
        assert_non_null(strstr(err.text, "guest policy"));
    }
    char longer[512];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    uint64_t policy;
    assert_int_equal(snp_policy_parse(&policy, longer, NULL), -COFRE_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers_are_the_specification_s_bits),
        cmocka_unit_test(every_policy_reads_back_from_its_text),
        cmocka_unit_test(what_is_no_policy_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
