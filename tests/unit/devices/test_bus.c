#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/devices/bus.h"

struct echo {
    uint64_t offset, value;
    unsigned len, calls;
};

static uint64_t echo_read(void *device, uint64_t offset, unsigned len)
{
    *(struct echo *)device = (struct echo){.offset = offset, .len = len, .calls = 1};
    return 0x1122334455667788;
}

static void echo_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    *(struct echo *)device = (struct echo){.offset = offset, .value = value, .len = len, .calls = 1};
}

static const struct bus_ops echo_ops = {echo_read, echo_write};

static void an_access_reaches_its_device_with_offset_and_width(void **state)
{
    (void)state;
    struct echo low = {0}, high = {0};
    struct bus bus = {0};
    assert_int_equal(bus_add(&bus, &(struct bus_range){"low", 0x100, 8, &echo_ops, &low}, NULL), 0);
    assert_int_equal(bus_add(&bus, &(struct bus_range){"high", 0x108, 8, &echo_ops, &high}, NULL), 0);
    uint64_t value;
    assert_true(bus_read(&bus, 0x10a, 2, &value));
    assert_int_equal(value, 0x7788);
    assert_int_equal(high.offset, 2);
    assert_int_equal(low.calls, 0);
    assert_true(bus_write(&bus, 0x100, 1, 0xffff));
    assert_int_equal(low.value, 0xff);
    assert_true(bus_read(&bus, 0x100, 8, &value));
    assert_int_equal(value, 0x1122334455667788);
}

static void what_nobody_answers_reads_as_ones(void **state)
{
    (void)state;
    struct echo echo = {0};
    struct bus bus = {0};
    assert_int_equal(bus_add(&bus, &(struct bus_range){"echo", 0x100, 8, &echo_ops, &echo}, NULL), 0);
    const struct {
        uint64_t address;
        unsigned len;
    } wild[] = {{0xff, 1},  {0x108, 1}, {0xff, 2},  {0x107, 2},      {0x105, 4},     {0x101, 8},
                {0x100, 0}, {0x100, 3}, {0x100, 9}, {UINT64_MAX, 1}, {UINT64_MAX, 8}};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        uint64_t value = 0;
        assert_false(bus_read(&bus, wild[i].address, wild[i].len, &value));
        assert_int_equal(value, UINT64_MAX);
        assert_false(bus_write(&bus, wild[i].address, wild[i].len, 0));
    }
    assert_int_equal(echo.calls, 0);
}

static void ranges_that_overlap_or_wrap_are_refused(void **state)
{
    (void)state;
    struct bus bus = {0};
    struct cofre_err err;
    assert_int_equal(bus_add(&bus, &(struct bus_range){"first", 0x100, 0x10, &echo_ops, NULL}, &err), 0);
    const uint64_t bad[][2] = {{0xff, 2}, {0x10f, 1}, {0x104, 4}, {0x80, 0x200}, {0x200, 0}, {UINT64_MAX, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            bus_add(&bus, &(struct bus_range){"second", bad[i][0], bad[i][1], &echo_ops, NULL}, &err),
            -COFRE_FAILED);
    assert_int_equal(bus_add(&bus, &(struct bus_range){"second", 0x100, 1, &echo_ops, NULL}, &err),
                     -COFRE_FAILED);
    assert_string_equal(err.text, "second at 0x100 overlaps first at 0x100");
    assert_int_equal(bus.count, 1);
}

static void a_full_bus_says_so(void **state)
{
    (void)state;
    struct bus bus = {0};
    for (uint64_t i = 0; i < BUS_RANGES_MAX; i++)
        assert_int_equal(bus_add(&bus, &(struct bus_range){"port", i, 1, &echo_ops, NULL}, NULL), 0);
    assert_int_equal(bus_add(&bus, &(struct bus_range){"port", 0x1000, 1, &echo_ops, NULL}, NULL),
                     -COFRE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_access_reaches_its_device_with_offset_and_width),
        cmocka_unit_test(what_nobody_answers_reads_as_ones),
        cmocka_unit_test(ranges_that_overlap_or_wrap_are_refused),
        cmocka_unit_test(a_full_bus_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
