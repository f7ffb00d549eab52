/*
 * An SNP guest touched a page that it may not: which pages the caller is asked to convert, and for which the guest gets its
 * exception. On a stand-in for the plain KVM, whose runs end with EFAULT as over memory that is not there, and the module's word of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/emu/snp_guest.h"
#include "vmm/kvm/backend.h"

#define PAGING (1ull << 31 | 1)
#define PAE    (1ull << 5)
#define DATA   (1ull << 32 | 1ull << 2) /* error codes of accesses */
#define FETCH  (DATA | COFRE_UD_FAULT_FETCH)
#define WALK   (COFRE_UD_FAULT_TABLES | 1ull << 2)

static int set_up(void **state)
{
    (void)state;
    snp_guest_launch(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snp_guest_free();
    return 0;
}

/* One KVM_RUN of a guest in this state. */
static int touch(uint64_t gpa, uint64_t code, uint64_t cr0, uint64_t cr4)
{
    plain.sregs.cr0 = cr0;
    plain.sregs.cr3 = TABLES;
    plain.sregs.cr4 = cr4;
    plain.seen = (struct cofre_ud_fault){.error_code = code, .gpa = gpa};
    run->exit_reason = 0;
    plain.runs = 0;
    return kvm->ioctl(vcpu, KVM_RUN, NULL) < 0 ? errno : 0;
}

static void assert_fault(int rc, uint64_t gpa, uint64_t flags)
{
    const struct uapi_exit_memory_fault *fault = uapi_exit_memory_fault(run);
    assert_int_equal(rc, EFAULT);
    assert_int_equal(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
    assert_int_equal(fault->gpa, gpa);
    assert_int_equal(fault->size, 4096);
    assert_int_equal(fault->flags, flags);
}

static void a_private_page_touched_as_shared_is_to_become_that(void **state)
{
    (void)state;
    assert_fault(touch(UNUSABLE + 8, DATA, PAGING, PAE), UNUSABLE, 0);
}

static void a_shared_page_touched_as_private_is_to_become_that(void **state)
{
    (void)state;
    assert_fault(touch((SHARED + 8) | C, DATA, PAGING, PAE), SHARED, KVM_MEMORY_EXIT_FLAG_PRIVATE);
    assert_fault(touch(SHARED | C, FETCH, 1, 0), SHARED, KVM_MEMORY_EXIT_FLAG_PRIVATE);
}

static void memory_that_is_gone_is_the_callers_affair(void **state)
{
    (void)state;
    assert_fault(touch(2 * RAM, DATA, PAGING, PAE), 2 * RAM, 0);
    assert_fault(touch(2 * RAM | C, DATA, PAGING, PAE), 2 * RAM, KVM_MEMORY_EXIT_FLAG_PRIVATE);
}

/* Without a way to take #VC, as here, a guest that gets it is shut down. */
static void what_was_touched_as_private_is_the_guests_to_validate(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t gpa, code, cr0, cr4;
    } touches[] = {
        {"data with the C-bit", UNUSABLE | C, DATA, PAGING, PAE},
        {"data without paging", UNUSABLE, DATA, 1, PAE},
        {"data by page tables that have no place for a C-bit", UNUSABLE, DATA, PAGING, 0},
        {"an instruction", UNUSABLE + 16, FETCH, PAGING, PAE},
        {"page tables", UNUSABLE, WALK, PAGING, PAE},
    };
    for (size_t i = 0; i < sizeof touches / sizeof touches[0]; i++) {
        int rc = touch(touches[i].gpa, touches[i].code, touches[i].cr0, touches[i].cr4);
        if (rc || run->exit_reason != KVM_EXIT_SHUTDOWN)
            fail_msg("%s: %d, exit %u", touches[i].what, rc, run->exit_reason);
    }
}

/* Another vCPU may have changed the page meanwhile; but not for ever. */
static void an_access_that_nothing_stands_against_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(touch(USABLE | C, DATA, PAGING, PAE), EFAULT);
    assert_int_not_equal(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
    assert_true(plain.runs > 1);
    set_private(UNUSABLE, 4096, false);
    assert_int_equal(touch(UNUSABLE, DATA, PAGING, PAE), EFAULT);
    assert_true(plain.runs == 1); /* they were in a row */
}

static void an_error_without_an_access_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(touch(UNUSABLE, 0, PAGING, PAE), EFAULT);
    assert_int_not_equal(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
    assert_true(plain.runs == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_private_page_touched_as_shared_is_to_become_that, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_shared_page_touched_as_private_is_to_become_that, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(memory_that_is_gone_is_the_callers_affair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_access_that_nothing_stands_against_is_tried_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_error_without_an_access_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_touched_as_private_is_the_guests_to_validate, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
