#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/base/number.h"

static void numbers_are_read_whole_and_within_their_range(void **state)
{
    (void)state;
    uint64_t n = 0;
    assert_int_equal(number_parse(&n, "7", "--cpus", 1, 8, NULL), 0);
    assert_int_equal(n, 7);
    assert_int_equal(number_parse(&n, "0xfF", "--features", 0, UINT64_MAX, NULL), 0);
    assert_int_equal(n, 255);
    assert_int_equal(number_parse(&n, "18446744073709551615", "n", 0, UINT64_MAX, NULL), 0);
    assert_true(n == UINT64_MAX);
    const char *const bad[] = {
        "", "0", "9", "7 ", " 7", "+7", "-1", "7a", "x", "0x", "0x9", "1K", "18446744073709551616"};
    struct cofre_err err;
    n = 3;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (number_parse(&n, bad[i], "--cpus", 1, 8, &err) != -COFRE_USAGE)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(err.text, "--cpus"));
    }
    assert_int_equal(n, 3);
}

static void sizes_have_units_of_1024(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t size;
    } good[] = {{"4096", 4096},       {"0", 0},
                {"1K", 1024},         {"512M", 512ull << 20},
                {"16G", 16ull << 30}, {"17179869183G", 17179869183ull << 30}};
    const char *const bad[] = {"",    "G",     "1T",   "1k",  "1KB",          "1 K",
                               "-1M", "0x10M", "1.5G", "1GG", "17179869184G", "99999999999999999999"};
    uint64_t size = 5;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(size_parse(&size, good[i].text, "--memory", NULL), 0);
        assert_true(size == good[i].size);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (size_parse(&size, bad[i], "--memory", NULL) != -COFRE_USAGE)
            fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole_and_within_their_range),
        cmocka_unit_test(sizes_have_units_of_1024),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
