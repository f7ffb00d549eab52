/* TDREPORTs from bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tdx/report.h"

static void make(struct tdx_report *r)
{
    memset(r, 0x22, sizeof *r);
    r->mac = (struct tdx_report_mac){.type = TDX_TEE_TYPE, .version = 1};
    memset(r->reserved, 0, sizeof r->reserved);
    EVP_Digest(&r->tcb, sizeof r->tcb, r->mac.tee_tcb_info_hash, NULL, EVP_sha384(), NULL);
    EVP_Digest(&r->td, sizeof r->td, r->mac.tee_info_hash, NULL, EVP_sha384(), NULL);
}

static void only_its_size_is_parsed(void **state)
{
    (void)state;
    struct tdx_report r, parsed;
    uint8_t raw[TDX_REPORT_SIZE + 1] = {0};
    make(&r);
    memcpy(raw, &r, sizeof r);
    assert_true(tdx_report_recognises((struct view){raw, sizeof r}));
    assert_int_equal(tdx_report_parse(&parsed, (struct view){raw, sizeof r}, NULL), 0);
    assert_memory_equal(&parsed, &r, sizeof r);
    assert_int_equal(tdx_report_check(&parsed, NULL), 0);
    for (size_t len = sizeof r - 1; len <= sizeof r + 1; len += 2) {
        assert_false(tdx_report_recognises((struct view){raw, len}));
        assert_int_equal(tdx_report_parse(&parsed, (struct view){raw, len}, NULL), -COFRE_MALFORMED);
    }
}

/* Every byte but the MAC, its subject and the version counts. */
static void a_changed_byte_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < TDX_REPORT_SIZE; i++) {
        struct tdx_report r;
        struct cofre_err err = {""};
        make(&r);
        ((uint8_t *)&r)[i] ^= 0x40;
        bool free_byte = i == offsetof(struct tdx_report_mac, version) ||
                         (i >= offsetof(struct tdx_report_mac, cpu_svn) &&
                          i < offsetof(struct tdx_report_mac, tee_tcb_info_hash)) ||
                         (i >= offsetof(struct tdx_report_mac, report_data) &&
                          i < offsetof(struct tdx_report_mac, reserved2)) ||
                         (i >= offsetof(struct tdx_report_mac, mac) && i < sizeof(struct tdx_report_mac));
        if (tdx_report_check(&r, &err) != (free_byte ? 0 : -COFRE_NEGATIVE))
            fail_msg("byte %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_size_is_parsed),
        cmocka_unit_test(a_changed_byte_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
