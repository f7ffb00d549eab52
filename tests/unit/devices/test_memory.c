#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/devices/memory.h"

static uint8_t low[0x1000], high[0x2000];

static struct guest_memory two_regions(void)
{
    struct guest_memory mem = {0};
    assert_int_equal(guest_memory_add(&mem, 0x1000, sizeof low, low, NULL), 0);
    assert_int_equal(guest_memory_add(&mem, 0x100000000, sizeof high, high, NULL), 0);
    return mem;
}

static void each_region_gives_its_own_bytes(void **state)
{
    (void)state;
    struct guest_memory mem = two_regions();
    assert_ptr_equal(guest_memory_at(&mem, 0x1000, 0x1000), low);
    assert_ptr_equal(guest_memory_at(&mem, 0x1fff, 1), low + 0xfff);
    assert_ptr_equal(guest_memory_at(&mem, 0x100001ff0, 0x10), high + 0x1ff0);
    assert_true(guest_memory_write(&mem, 0x1ffc, "cof", 4));
    char out[4];
    assert_true(guest_memory_read(&mem, 0x1ffc, out, 4));
    assert_string_equal(out, "cof");
    assert_string_equal((char *)low + 0xffc, "cof");
}

static void what_is_not_wholly_in_a_region_is_refused(void **state)
{
    (void)state;
    struct guest_memory mem = two_regions();
    const uint64_t bad[][2] = {
        {0xfff, 1},
        {0xfff, 2},
        {0x1fff, 2},
        {0x2000, 1},
        {0x1000, 0x1001},
        {0x1000, 0},
        {0x1000, UINT64_MAX},
        {0x1001, UINT64_MAX},
        {UINT64_MAX, 1},
        {UINT64_MAX, 2},
        {0x100002000, 1},
        {0xffffffff, 2},
        {0x1800, 0xfffff800},
        {0x100000000, 0x2001},
        {UINT64_MAX - 1, 0x1003},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(guest_memory_at(&mem, bad[i][0], bad[i][1]));
    char out[2] = "x";
    assert_false(guest_memory_read(&mem, 0x1fff, out, 2));
    assert_string_equal(out, "x");
    low[0xfff] = 0;
    assert_false(guest_memory_write(&mem, 0x1fff, "y", 2));
    assert_int_equal(low[0xfff], 0);
}

static void regions_that_overlap_or_wrap_are_refused(void **state)
{
    (void)state;
    struct guest_memory mem = two_regions();
    const uint64_t bad[][2] = {{0x1fff, 1}, {0xfff, 2},      {0, 0x10000},
                               {0x3000, 0}, {UINT64_MAX, 2}, {0x1000, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(guest_memory_add(&mem, bad[i][0], bad[i][1], low, NULL), -COFRE_FAILED);
    assert_int_equal(mem.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_region_gives_its_own_bytes),
        cmocka_unit_test(what_is_not_wholly_in_a_region_is_refused),
        cmocka_unit_test(regions_that_overlap_or_wrap_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
