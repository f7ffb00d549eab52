#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/emu/tdx/sept.h"

static int set_up(void **state)
{
    static struct sept sept;
    sept = (struct sept){0};
    *state = &sept;
    return sept_set_private(&sept, 0, 4096, true);
}

static int tear_down(void **state)
{
    sept_free(*state);
    return 0;
}

static enum sept_result accept(struct sept *sept, uint64_t gfn, unsigned level, unsigned *found)
{
    *found = level;
    return sept_accept(sept, gfn, found);
}

static void a_page_is_accepted_once(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(accept(sept, 7, SEPT_LEVEL_4K, &found), SEPT_ACCEPTED);
    assert_true(gfn_set_has(&sept->present, 7));
    assert_int_equal(accept(sept, 7, SEPT_LEVEL_4K, &found), SEPT_ALREADY_ACCEPTED);
    assert_int_equal(found, SEPT_LEVEL_4K);
}

static void a_touched_page_is_pending_until_it_is_accepted(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(sept_touch(sept, 7), 0);
    assert_false(gfn_set_has(&sept->present, 7));
    assert_int_equal(accept(sept, 0, SEPT_LEVEL_2M, &found), SEPT_SIZE_MISMATCH);
    assert_int_equal(found, SEPT_LEVEL_2M);
    assert_int_equal(accept(sept, 7, SEPT_LEVEL_4K, &found), SEPT_ACCEPTED);
    assert_false(gfn_set_has(&sept->pending, 7));
}

static void two_mebibytes_are_accepted_at_once(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(accept(sept, 512, SEPT_LEVEL_2M, &found), SEPT_ACCEPTED);
    assert_true(gfn_set_has_all(&sept->present, 512, 1024));
    assert_int_equal(accept(sept, 512, SEPT_LEVEL_2M, &found), SEPT_ALREADY_ACCEPTED);
    assert_int_equal(accept(sept, 1000, SEPT_LEVEL_4K, &found), SEPT_ALREADY_ACCEPTED);
    assert_int_equal(found, SEPT_LEVEL_2M);
}

static void a_page_that_was_added_prevents_the_large_size(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(sept_add(sept, 600), 0);
    assert_int_equal(sept_add(sept, 600), -EEXIST);
    assert_int_equal(accept(sept, 512, SEPT_LEVEL_2M, &found), SEPT_SIZE_MISMATCH);
    assert_int_equal(accept(sept, 600, SEPT_LEVEL_4K, &found), SEPT_ALREADY_ACCEPTED);
}

static void a_shared_page_cannot_be_accepted(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(sept_set_private(sept, 600, 601, false), 0);
    assert_int_equal(accept(sept, 600, SEPT_LEVEL_4K, &found), SEPT_VIOLATION);
    assert_int_equal(accept(sept, 512, SEPT_LEVEL_2M, &found), SEPT_VIOLATION);
}

static void a_page_that_was_shared_must_be_accepted_again(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(accept(sept, 512, SEPT_LEVEL_2M, &found), SEPT_ACCEPTED);
    assert_int_equal(sept_set_private(sept, 700, 701, false), 0);
    assert_int_equal(sept_set_private(sept, 700, 701, true), 0);
    assert_false(gfn_set_has(&sept->present, 700));
    assert_true(gfn_set_has(&sept->present, 699));
    assert_int_equal(accept(sept, 699, SEPT_LEVEL_4K, &found), SEPT_ALREADY_ACCEPTED);
    assert_int_equal(found, SEPT_LEVEL_4K); /* the large mapping is gone */
    assert_int_equal(accept(sept, 512, SEPT_LEVEL_2M, &found), SEPT_SIZE_MISMATCH);
    assert_int_equal(accept(sept, 700, SEPT_LEVEL_4K, &found), SEPT_ACCEPTED);
}

static void a_replaced_page_is_pending(void **state)
{
    struct sept *sept = *state;
    unsigned found;
    assert_int_equal(accept(sept, 7, SEPT_LEVEL_4K, &found), SEPT_ACCEPTED);
    assert_int_equal(sept_replace(sept, 7), 0);
    assert_false(gfn_set_has(&sept->present, 7));
    assert_int_equal(accept(sept, 7, SEPT_LEVEL_4K, &found), SEPT_ACCEPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_page_is_accepted_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_touched_page_is_pending_until_it_is_accepted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_mebibytes_are_accepted_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_that_was_added_prevents_the_large_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_shared_page_cannot_be_accepted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_that_was_shared_must_be_accepted_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_replaced_page_is_pending, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
