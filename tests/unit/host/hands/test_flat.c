/* The kernel's small files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/host/hands/flat.h"
#include "vmm/host/hands/host.h"

static void a_number_is_all_of_its_file(void **state)
{
    (void)state;
    uint64_t n;
    assert_true(flat_number(&n, "18446744073709551615\n"));
    assert_int_equal(n, UINT64_MAX);
    assert_true(flat_number(&n, "max\n"));
    assert_int_equal(n, UINT64_MAX);
    const char *const none[] = {"", "\n", "-1\n", "1 2\n", "0x10\n", "18446744073709551616\n", "maximum\n"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(flat_number(&n, none[i]));
}

static void a_key_is_a_line_s_beginning(void **state)
{
    (void)state;
    const char *text = "oom 1\noom_kill 7\noom_group_kill 3\nMemTotal:  12 kB\nfull max\nodd 3x\n";
    uint64_t n;
    assert_true(flat_keyed(&n, text, "oom_kill"));
    assert_int_equal(n, 7);
    assert_true(flat_keyed(&n, text, "MemTotal"));
    assert_int_equal(n, 12 * 1024);
    assert_true(flat_keyed(&n, text, "full"));
    assert_int_equal(n, UINT64_MAX);
    assert_false(flat_keyed(&n, text, "kill"));
    assert_false(flat_keyed(&n, text, "odd"));
    assert_false(flat_keyed(&n, "a 18446744073709551615 kB\n", "a"));
    assert_false(flat_keyed(&n, "a 999999999999999999 kB\n", "a"));
}

static void devices_are_summed(void **state)
{
    (void)state;
    const char *text =
        "8:0 rbytes=5 wbytes=1 rios=2 wios=3 dbytes=9 dios=1\n254:0 rbytes=7 wbytes=0 rios=1 wios=0\n";
    uint64_t n = 0;
    assert_true(flat_sum(&n, text, "rbytes"));
    assert_int_equal(n, 12);
    n = 0;
    assert_true(flat_sum(&n, text, "bytes"));
    assert_int_equal(n, 0);
    n = UINT64_MAX;
    assert_false(flat_sum(&n, text, "rbytes"));
    n = 0;
    assert_false(flat_sum(&n, "8:0 rbytes=-5\n", "rbytes"));
}

static void lists_are_bits_and_lists_again(void **state)
{
    (void)state;
    uint64_t bits[2];
    char text[64];
    assert_true(flat_bits(bits, 2, "0-3,6,64-66\n"));
    assert_int_equal(bits[0], 0x4f);
    assert_int_equal(bits[1], 7);
    assert_true(flat_bits_format(text, sizeof text, bits, 2));
    assert_string_equal(text, "0-3,6,64-66");
    assert_false(flat_bits_format(text, 8, bits, 2));
    assert_true(flat_bits(bits, 2, "63-64,127\n"));
    assert_true(flat_bits_format(text, sizeof text, bits, 2));
    assert_string_equal(text, "63-64,127");
    assert_true(flat_bits(bits, 2, "\n"));
    assert_int_equal(bits[0] | bits[1], 0);
    const char *const none[] = {"128\n", "3-1\n", "0-\n", ",\n", "1,\n", "a\n", "0-18446744073709551615\n"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(flat_bits(bits, 2, none[i]));
}

static void scarce_things_have_a_capacity_and_a_use(void **state)
{
    (void)state;
    struct hands_misc misc[HANDS_MISC_MAX];
    assert_int_equal(host_misc(misc, "sev 500\nsev_es 99\ntdx 15\n", "sev_es 3\n"), 3);
    assert_string_equal(misc[1].name, "sev_es");
    assert_int_equal(misc[1].capacity, 99);
    assert_int_equal(misc[1].used, 3);
    assert_int_equal(misc[2].used, 0);
    assert_int_equal(host_misc(misc, "", ""), 0);
    assert_int_equal(host_misc(misc, "a 1\nb 1\nc 1\nd 1\ne 1\nf 1\ng 1\nh 1\ni 1\n", ""), HANDS_MISC_MAX);
    assert_int_equal(host_misc(misc, "sev x\nabcdefghijklmnopqrstuvwxyz 1\n \n", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_all_of_its_file),
        cmocka_unit_test(a_key_is_a_line_s_beginning),
        cmocka_unit_test(devices_are_summed),
        cmocka_unit_test(lists_are_bits_and_lists_again),
        cmocka_unit_test(scarce_things_have_a_capacity_and_a_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
