/*
 * How the second vCPU of an SNP guest starts: by INIT and SIPI, from the registers that were launched. The stand-in for the plain KVM
 * tells of either as KVM does, by EAGAIN.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/emu/snp_guest.h"
#include "vmm/kvm/backend.h"

#define VECTOR 0x9f000 /* where the plain KVM would start it */

static int set_up(void **state)
{
    (void)state;
    snp_guest_launch(2);
    plain.regs.rip = VECTOR;
    plain.mp_state = KVM_MP_STATE_UNINITIALIZED;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    snp_guest_free();
    return 0;
}

/* Runs it until it is interrupted, when it either was started or still waits for what is to come. */
static void assert_after(const struct plain_run *plan, bool started)
{
    plain.plan = plan;
    assert_int_equal(kvm->ioctl(vcpu, KVM_RUN, NULL), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(plain.loaded, started);
    assert_int_equal(plain.regs.rip, started ? USABLE : VECTOR);
    assert_int_equal(plain.entered, started ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED);
}

static const struct plain_run init = {.error = EAGAIN, .mp_state = KVM_MP_STATE_INIT_RECEIVED},
                              sipi = {.error = EAGAIN, .mp_state = KVM_MP_STATE_UNINITIALIZED},
                              both = {.error = EAGAIN, .mp_state = KVM_MP_STATE_RUNNABLE},
                              still = {.error = EINTR, .mp_state = KVM_MP_STATE_UNINITIALIZED},
                              end = {.error = 0};

static void init_and_sipi_start_it_as_it_was_launched(void **state)
{
    (void)state;
    assert_after((struct plain_run[]){init, sipi, still, end}, true);
}

static void they_may_come_at_once(void **state)
{
    (void)state;
    assert_after((struct plain_run[]){both, still, end}, true);
}

static void init_alone_starts_nothing(void **state)
{
    (void)state;
    assert_after((struct plain_run[]){init, init, still, end}, false);
    assert_after((struct plain_run[]){sipi, still, end}, true); /* and is not forgotten */
}

static void a_sipi_without_init_is_lost(void **state)
{
    (void)state;
    assert_after((struct plain_run[]){sipi, sipi, still, end}, false);
    assert_after((struct plain_run[]){init, sipi, still, end}, true);
}

static void it_waits_until_something_comes(void **state)
{
    (void)state;
    assert_after((struct plain_run[]){still, end}, false);
}

int main(void)
{
#define ON_TWO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_TWO(init_and_sipi_start_it_as_it_was_launched),
        ON_TWO(they_may_come_at_once),
        ON_TWO(init_alone_starts_nothing),
        ON_TWO(a_sipi_without_init_is_lost),
        ON_TWO(it_waits_until_something_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
