#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/devices/rtc.h"

static void tells_the_time_in_bcd(void **state)
{
    (void)state;
    static const struct {
        uint8_t index, value;
    } expected[] = {{0, 0x59}, {2, 0x58}, {4, 0x23}, {6, 0x03}, {7, 0x29}, {8, 0x02}, {9, 0x00}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        /* 2000-02-29 23:58:59 UTC, a Tuesday */
        assert_int_equal(rtc_register(expected[i].index, 951868739), expected[i].value);
        assert_int_equal(rtc_register(expected[i].index | 0x80, 951868739), expected[i].value);
    }
    assert_int_equal(rtc_register(9, 1795476529), 0x26);
}

/* What Linux looks at before it believes the time (drivers/rtc/rtc-mc146818-lib.c). */
static void is_ready_at_once(void **state)
{
    (void)state;
    assert_int_equal(rtc_register(0x0a, 0) & 0x80, 0); /* no update in progress */
    assert_int_equal(rtc_register(0x0b, 0) & 0x84, 0); /* not being set; BCD */
    assert_int_equal(rtc_register(0x0b, 0) & 0x02, 2); /* 24 hours */
    assert_int_equal(rtc_register(0x0d, 0) & 0x7f, 0); /* there */
    assert_int_equal(rtc_register(0x0d, 0) & 0x80, 0x80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_time_in_bcd),
        cmocka_unit_test(is_ready_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
