/* The TD HOB, byte for byte as the specification lays it out, and never more than its room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/hob.h"
#include "vmm/base/bytes.h"

static const struct tdx_hob_memory memory[] = {
    {0, 0x809000, false},
    {0x809000, 0x2000, true},
    {0x100000000, 0x80000000, false},
};
#define MEMORY (sizeof memory / sizeof memory[0])
#define LEN    (56 + MEMORY * 48 + 8)

static void is_a_handoff_then_memory_then_an_end(void **state)
{
    (void)state;
    uint8_t out[LEN];
    memset(out, 0xa5, sizeof out);
    assert_int_equal(tdx_hob_build(out, sizeof out, 0x809000, memory, MEMORY), LEN);
    assert_int_equal(le16(out), 1);
    assert_int_equal(le16(out + 2), 56);
    assert_int_equal(le32(out + 8), 9);
    assert_true(bytes_are_zero(out + 12, 36)); /* boot mode, and memory for the firmware's own choice */
    assert_int_equal(le64(out + 48), 0x809000 + LEN);
    for (size_t i = 0; i < MEMORY; i++) {
        const uint8_t *at = out + 56 + 48 * i;
        assert_int_equal(le16(at), 3);
        assert_int_equal(le16(at + 2), 48);
        assert_true(bytes_are_zero(at + 4, 20));
        assert_int_equal(le32(at + 24), memory[i].accepted ? 0 : 7);
        assert_int_equal(le32(at + 28), 7);
        assert_int_equal(le64(at + 32), memory[i].gpa);
        assert_int_equal(le64(at + 40), memory[i].len);
    }
    assert_int_equal(le32(out + LEN - 8), 0xffff | 8 << 16);
    assert_int_equal(le32(out + LEN - 4), 0);
}

static void fits_or_is_not_written(void **state)
{
    (void)state;
    uint8_t out[LEN] = {0};
    for (size_t size = 0; size < LEN; size++)
        assert_int_equal(tdx_hob_build(out, size, 0, memory, MEMORY), 0);
    assert_true(bytes_are_zero(out, LEN));
    assert_int_equal(tdx_hob_build(out, 64, 0, NULL, 0), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_handoff_then_memory_then_an_end),
        cmocka_unit_test(fits_or_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
