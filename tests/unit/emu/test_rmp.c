#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/emu/snp/rmp.h"

static int set_up(void **state)
{
    static struct rmp rmp;
    rmp = (struct rmp){0};
    *state = &rmp;
    return rmp_set_private(&rmp, 0, 4096, true);
}

static int tear_down(void **state)
{
    rmp_free(*state);
    return 0;
}

static void validates_a_private_page_once(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_pvalidate(rmp, 0, 7, false, true, &unchanged), RMP_SUCCESS);
    assert_false(unchanged);
    assert_int_equal(rmp_pvalidate(rmp, 0, 7, false, true, &unchanged), RMP_SUCCESS);
    assert_true(unchanged);
    assert_int_equal(rmp_pvalidate(rmp, 0, 7, false, false, &unchanged), RMP_SUCCESS);
    assert_false(unchanged);
    assert_int_equal(rmp_pvalidate(rmp, 0, 7, false, false, &unchanged), RMP_SUCCESS);
    assert_true(unchanged);
}

static void faults_on_a_page_that_is_not_private(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_pvalidate(rmp, 0, 4096, false, true, &unchanged), RMP_NOT_ASSIGNED);
    assert_int_equal(rmp_pvalidate(rmp, 0, 4096, false, false, &unchanged), RMP_NOT_ASSIGNED);
    assert_int_equal(rmp_set_private(rmp, 600, 601, false), 0);
    assert_int_equal(rmp_pvalidate(rmp, 0, 512, true, true, &unchanged), RMP_NOT_ASSIGNED);
}

static void a_page_that_was_shared_must_be_validated_again(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_pvalidate(rmp, 0, 9, false, true, &unchanged), RMP_SUCCESS);
    assert_int_equal(rmp_set_private(rmp, 9, 10, false), 0);
    assert_int_equal(rmp_set_private(rmp, 9, 10, true), 0);
    assert_false(gfn_set_has(&rmp->validated, 9));
    assert_int_equal(rmp_pvalidate(rmp, 0, 9, false, true, &unchanged), RMP_SUCCESS);
    assert_false(unchanged);
}

static void large_pages_need_alignment_and_one_state(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_pvalidate(rmp, 0, 511, true, true, &unchanged), RMP_FAIL_INPUT);
    assert_int_equal(rmp_pvalidate(rmp, 0, 512, true, true, &unchanged), RMP_SUCCESS);
    assert_true(gfn_set_has_all(&rmp->validated, 512, 1024));
    assert_false(gfn_set_has(&rmp->validated, 1024));
    assert_int_equal(rmp_pvalidate(rmp, 0, 700, false, false, &unchanged), RMP_SUCCESS);
    assert_int_equal(rmp_pvalidate(rmp, 0, 512, true, true, &unchanged), RMP_FAIL_SIZEMISMATCH);
}

static void launched_pages_are_validated(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_launch(rmp, 3), 0);
    assert_true(gfn_set_has(&rmp->launched, 3));
    assert_int_equal(rmp_pvalidate(rmp, 0, 3, false, true, &unchanged), RMP_SUCCESS);
    assert_true(unchanged);
}

static void rmpadjust_checks_level_page_and_size(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 0), RMP_FAIL_PERMISSION);
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 4), RMP_FAIL_INPUT);
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 1), RMP_NOT_VALIDATED);
    assert_int_equal(rmp_adjust(rmp, 0, 5000, false, 1), RMP_NOT_ASSIGNED);
    assert_int_equal(rmp_pvalidate(rmp, 0, 5, false, true, &unchanged), RMP_SUCCESS);
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 1), RMP_SUCCESS);
    assert_int_equal(rmp_adjust(rmp, 0, 512, true, 1 | RMPADJUST_VMSA), RMP_FAIL_INPUT);
}

static void rmpadjust_makes_and_unmakes_a_vmsa(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    rmp_pvalidate(rmp, 0, 5, false, true, &unchanged);
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 1 | RMPADJUST_VMSA), RMP_SUCCESS);
    assert_true(gfn_set_has(&rmp->vmsa, 5));
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 1), RMP_SUCCESS);
    assert_false(gfn_set_has(&rmp->vmsa, 5));
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 1 | RMPADJUST_VMSA), RMP_SUCCESS);
    assert_int_equal(rmp_set_private(rmp, 5, 6, false), 0);
    assert_false(gfn_set_has(&rmp->vmsa, 5));
}

/* VMPLs */

#define OPEN (RMPADJUST_READ | RMPADJUST_WRITE)

static void a_lower_vmpl_has_what_was_opened_to_it(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_pvalidate(rmp, 0, 512, true, true, &unchanged), RMP_SUCCESS);
    assert_true(gfn_set_has(rmp_usable(rmp, 0), 600));
    assert_false(gfn_set_has(rmp_usable(rmp, 2), 600));
    assert_int_equal(rmp_adjust(rmp, 0, 512, true, 2 | OPEN), RMP_SUCCESS);
    assert_true(gfn_set_has_all(rmp_usable(rmp, 2), 512, 1024));
    assert_false(gfn_set_has(rmp_usable(rmp, 1), 600));
    assert_false(gfn_set_has(rmp_usable(rmp, 3), 600));
    assert_int_equal(rmp_adjust(rmp, 0, 600, false, 2 | RMPADJUST_READ), RMP_SUCCESS);
    assert_false(gfn_set_has(rmp_usable(rmp, 2), 600));
    assert_true(gfn_set_has(rmp_usable(rmp, 2), 601));
}

static void a_lower_vmpl_gives_what_it_has_to_one_below(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    assert_int_equal(rmp_pvalidate(rmp, 0, 5, false, true, &unchanged), RMP_SUCCESS);
    assert_int_equal(rmp_adjust(rmp, 1, 5, false, 2 | OPEN), RMP_FAIL_PERMISSION);
    assert_int_equal(rmp_adjust(rmp, 0, 5, false, 1 | OPEN), RMP_SUCCESS);
    assert_int_equal(rmp_adjust(rmp, 1, 5, false, 2 | OPEN), RMP_SUCCESS);
    assert_int_equal(rmp_adjust(rmp, 1, 5, false, 1 | OPEN), RMP_FAIL_PERMISSION);
    assert_int_equal(rmp_adjust(rmp, 2, 5, false, 1), RMP_FAIL_PERMISSION);
    assert_int_equal(rmp_adjust(rmp, 3, 5, false, 3), RMP_FAIL_PERMISSION);
    assert_true(gfn_set_has(rmp_usable(rmp, 2), 5));
}

static void only_vmpl_0_validates(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    for (unsigned vmpl = 1; vmpl < RMP_VMPLS; vmpl++)
        assert_int_equal(rmp_pvalidate(rmp, vmpl, 5, false, true, &unchanged), RMP_FAIL_PERMISSION);
    assert_false(gfn_set_has(&rmp->validated, 5));
}

static void permissions_end_with_the_validation(void **state)
{
    struct rmp *rmp = *state;
    bool unchanged;
    for (unsigned vmpl = 1; vmpl < RMP_VMPLS; vmpl++) {
        assert_int_equal(rmp_pvalidate(rmp, 0, 5, false, true, &unchanged), RMP_SUCCESS);
        assert_int_equal(rmp_adjust(rmp, 0, 5, false, vmpl | OPEN), RMP_SUCCESS);
        assert_int_equal(rmp_pvalidate(rmp, 0, 5, false, false, &unchanged), RMP_SUCCESS);
        assert_false(gfn_set_has(rmp_usable(rmp, vmpl), 5));
        assert_int_equal(rmp_pvalidate(rmp, 0, 5, false, true, &unchanged), RMP_SUCCESS);
        assert_false(gfn_set_has(rmp_usable(rmp, vmpl), 5));
        assert_int_equal(rmp_adjust(rmp, 0, 5, false, vmpl | OPEN), RMP_SUCCESS);
        assert_int_equal(rmp_set_private(rmp, 5, 6, false), 0);
        assert_false(gfn_set_has(rmp_usable(rmp, vmpl), 5));
        assert_int_equal(rmp_set_private(rmp, 5, 6, true), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(validates_a_private_page_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_on_a_page_that_is_not_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_that_was_shared_must_be_validated_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_pages_need_alignment_and_one_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(launched_pages_are_validated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rmpadjust_checks_level_page_and_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rmpadjust_makes_and_unmakes_a_vmsa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lower_vmpl_has_what_was_opened_to_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lower_vmpl_gives_what_it_has_to_one_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_vmpl_0_validates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(permissions_end_with_the_validation, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("emu rmp", tests, NULL, NULL);
}
