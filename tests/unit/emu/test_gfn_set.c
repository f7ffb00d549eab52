#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/emu/gfn_set.h"

#define FRAMES 64

static void an_empty_set_has_nothing(void **state)
{
    (void)state;
    struct gfn_set set = {0};
    assert_false(gfn_set_has(&set, 0));
    assert_true(gfn_set_has_none(&set, 0, UINT64_MAX));
    assert_int_equal(gfn_set_run_end(&set, 5, 100), 100);
    assert_int_equal(gfn_set_remove(&set, 0, 10), 0);
    gfn_set_free(&set);
}

static void adjacent_ranges_become_one(void **state)
{
    (void)state;
    struct gfn_set set = {0};
    assert_int_equal(gfn_set_add(&set, 10, 20), 0);
    assert_int_equal(gfn_set_add(&set, 30, 40), 0);
    assert_int_equal(set.count, 2);
    assert_int_equal(gfn_set_add(&set, 20, 30), 0);
    assert_int_equal(set.count, 1);
    assert_true(gfn_set_has_all(&set, 10, 40));
    assert_false(gfn_set_has_all(&set, 9, 40));
    assert_false(gfn_set_has_all(&set, 10, 41));
    gfn_set_free(&set);
}

static void a_hole_splits_a_range(void **state)
{
    (void)state;
    struct gfn_set set = {0};
    assert_int_equal(gfn_set_add(&set, 0, 100), 0);
    assert_int_equal(gfn_set_remove(&set, 40, 50), 0);
    assert_int_equal(set.count, 2);
    assert_true(gfn_set_has(&set, 39));
    assert_false(gfn_set_has(&set, 40));
    assert_true(gfn_set_has(&set, 50));
    assert_int_equal(gfn_set_run_end(&set, 0, 1000), 40);
    assert_int_equal(gfn_set_run_end(&set, 40, 1000), 50);
    assert_int_equal(gfn_set_run_end(&set, 60, 1000), 100);
    assert_int_equal(gfn_set_run_end(&set, 60, 70), 70);
    gfn_set_free(&set);
}

/* Ranges are sorted, disjoint and apart; and the set equals one bit a frame. */
static void compare(const struct gfn_set *set, const uint8_t *bit)
{
    for (size_t i = 0; i < set->count; i++) {
        assert_true(set->range[i].start < set->range[i].end);
        assert_true(i == 0 || set->range[i - 1].end < set->range[i].start);
    }
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++) {
        uint64_t end = gfn;
        while (end < FRAMES && bit[end] == bit[gfn])
            end++;
        assert_int_equal(gfn_set_has(set, gfn), bit[gfn]);
        assert_int_equal(gfn_set_run_end(set, gfn, FRAMES), end);
    }
}

static void agrees_with_one_bit_a_frame(void **state)
{
    (void)state;
    struct gfn_set set = {0};
    uint8_t bit[FRAMES] = {0};
    uint32_t random = 1;
    for (int step = 0; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        uint64_t start = random >> 8 & (FRAMES - 1);
        uint64_t end = start + 1 + (random >> 16) % (FRAMES - start);
        bool add = random >> 30 & 1;
        assert_int_equal(add ? gfn_set_add(&set, start, end) : gfn_set_remove(&set, start, end), 0);
        for (uint64_t gfn = start; gfn < end; gfn++)
            bit[gfn] = add;
        compare(&set, bit);
    }
    gfn_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_set_has_nothing),
        cmocka_unit_test(adjacent_ranges_become_one),
        cmocka_unit_test(a_hole_splits_a_range),
        cmocka_unit_test(agrees_with_one_bit_a_frame),
    };
    return cmocka_run_group_tests_name("emu gfn_set", tests, NULL, NULL);
}
