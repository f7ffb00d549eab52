/*
 * An SNP guest at several VMPLs: who may be created and run, what of the registers goes where, and what memory the one that runs may
 * touch. Each test is a list of what the guest does, an exit of the stand-in for the plain KVM each.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sev/abi.h"
#include "tests/unit/emu/snp_guest.h"
#include "vmm/emu/snp/ghcb.h"
#include "vmm/kvm/backend.h"

#define MSR_GHCB 0xc0010130u
#define GHCB     SHARED
#define OPEN     (1u << 9 | 1u << 8) /* RMPADJUST: read and write */
#define IS_VMSA  (1u << 16)
#define AT_2     0x4000ull /* where VMPL 2 begins, and its RAX */
#define AT_2_RAX 0x2222ull
#define SVME     (1ull << 12)

static struct snp_vmsa vmsa;

static void make_vmsa(void)
{
    vmsa = (struct snp_vmsa){
        .vmpl = 2, .sev_features = 1, .efer = SVME, .rip = AT_2, .rax = AT_2_RAX, .rflags = 2, .xcr0 = 7};
    memset(vmsa.fpreg_ymm, 0x5a, sizeof vmsa.fpreg_ymm);
}

static int launch(const char *wanted, unsigned vcpus)
{
    if (wanted)
        setenv("COFRE_EMULATED_VMPLS", wanted, 1);
    else
        unsetenv("COFRE_EMULATED_VMPLS");
    snp_guest_first_page = &vmsa;
    snp_guest_launch(vcpus);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    make_vmsa();
    return launch("1", 1);
}

static int set_up_upstream(void **state)
{
    (void)state;
    make_vmsa();
    return launch(NULL, 1);
}

static int set_up_two(void **state)
{
    (void)state;
    make_vmsa();
    return launch("1", 2);
}

static int tear_down(void **state)
{
    (void)state;
    snp_guest_free();
    return 0;
}

/* What the guest does: each sets the registers that it needs, and makes the exit. */
static const struct act {
    enum { END, WRITE_GHCB_MSR, READ_GHCB_MSR, EXIT, ADJUST } what;
    uint64_t value;   /* of the MSR; RMPADJUST's address */
    uint64_t options; /* RMPADJUST's */
} * act;
static uint64_t read_value;

static void perform(void)
{
    switch (act->what) {
    case WRITE_GHCB_MSR:
        run->exit_reason = KVM_EXIT_X86_WRMSR;
        run->msr.index = MSR_GHCB;
        run->msr.data = act->value;
        break;
    case READ_GHCB_MSR:
        run->exit_reason = KVM_EXIT_X86_RDMSR;
        run->msr.index = MSR_GHCB;
        break;
    case EXIT:
        run->exit_reason = KVM_EXIT_XEN;
        memset(&run->xen, 0, sizeof run->xen);
        plain.regs.rip = VMGEXIT;
        break;
    case ADJUST:
        run->exit_reason = COFRE_UD_EXIT;
        plain.regs.rip = RMPADJUST;
        plain.regs.rax = act->value;
        plain.regs.rcx = 0;
        plain.regs.rdx = act->options;
        break;
    case END:
        break;
    }
    act++;
}

static void keep_value(void)
{
    read_value = run->msr.data;
    run->exit_reason = KVM_EXIT_INTR;
}

/* Until the end of the list, or an exit that only the caller can answer: KVM_RUN's result. */
static int does(const struct act *acts)
{
    struct plain_run plan[16] = {0};
    size_t n = 0;
    for (; acts[n].what; n++)
        plan[n] = (struct plain_run){.exit = perform, .mp_state = KVM_MP_STATE_RUNNABLE};
    plan[n] = n && acts[n - 1].what == READ_GHCB_MSR
                  ? (struct plain_run){.exit = keep_value, .mp_state = KVM_MP_STATE_RUNNABLE}
                  : (struct plain_run){.error = EINTR, .mp_state = KVM_MP_STATE_RUNNABLE};
    act = acts;
    plain.plan = plan;
    plain.runs = 0;
    return kvm->ioctl(vcpu, KVM_RUN, NULL) < 0 ? errno : 0;
}
#define DOES(...) does((const struct act[]){__VA_ARGS__, {END, 0, 0}})

/* By the MSR protocol: the value that the guest reads in answer. */
static uint64_t asked(uint64_t request)
{
    read_value = 0;
    assert_int_equal(DOES({WRITE_GHCB_MSR, request, 0}, {EXIT, 0, 0}, {READ_GHCB_MSR, 0, 0}), 0);
    return read_value;
}
#define RUN(vmpl) ((uint64_t)(vmpl) << 32 | GHCB_MSR_RUN_VMPL_REQ)

/* By the GHCB page: why it is refused, 0 where not. */
static uint64_t requested(uint64_t code, uint64_t info_1, uint64_t info_2, uint64_t rax)
{
    struct ghcb *page = (struct ghcb *)snp_guest_shared;
    assert_int_equal(asked(GHCB | GHCB_MSR_REGISTER_GPA_REQ), GHCB | GHCB_MSR_REGISTER_GPA);
    memset(page, 0, sizeof *page);
    memset(page->valid, 0xff, sizeof page->valid);
    page->exit_code = code, page->exit_info_1 = info_1, page->exit_info_2 = info_2, page->rax = rax;
    page->protocol = 2;
    assert_int_equal(DOES({WRITE_GHCB_MSR, GHCB, 0}, {EXIT, 0, 0}), EINTR);
    return (uint32_t)page->exit_info_1 == GHCB_REFUSED ? page->exit_info_2 : 0;
}
#define CREATE(vmpl) ((uint64_t)(vmpl) << 16 | 1)

static void make_vmpl_2(void)
{
    assert_int_equal(DOES({ADJUST, VMSA, 2 | IS_VMSA}), EINTR);
    assert_int_equal(plain.regs.rax, 0);
    assert_int_equal(DOES({ADJUST, USABLE, 2 | OPEN}), EINTR); /* the instructions' */
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(2), VMSA, 1), GHCB_OK);
}

static void upstream_has_vmpl_0_alone(void **state)
{
    (void)state;
    assert_int_equal(asked(GHCB_MSR_FEATURES_REQ), 3 << 12 | GHCB_MSR_FEATURES);
    assert_int_equal(asked(RUN(2)), RUN(2)); /* not answered */
    assert_int_equal(requested(GHCB_RUN_VMPL, 2, 0, 0), GHCB_INVALID_EVENT);
    assert_int_equal(DOES({ADJUST, VMSA, 2 | IS_VMSA}), EINTR);
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(2), VMSA, 1), GHCB_INVALID_INPUT);
}

static void a_test_that_wants_vmpls_is_told_of_them(void **state)
{
    (void)state;
    assert_int_equal(asked(GHCB_MSR_FEATURES_REQ), (uint64_t)(3 | 1 << 5) << 12 | GHCB_MSR_FEATURES);
}

static void a_vmpl_runs_from_its_vmsa_and_leaves_its_registers_there(void **state)
{
    (void)state;
    make_vmpl_2();
    plain.regs.rbx = 0x1000;
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}), EINTR);
    assert_int_equal(plain.regs.rip, AT_2);
    assert_int_equal(plain.regs.rax, AT_2_RAX);
    assert_int_equal(plain.regs.rbx, 0);

    plain.regs.rbx = 0x2000; /* VMPL 2 goes on, and asks for VMPL 0, which sees the answer to what it asked */
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(0), 0}, {EXIT, 0, 0}, {READ_GHCB_MSR, 0, 0}), 0);
    assert_int_equal(read_value, GHCB_MSR_RUN_VMPL);
    assert_int_equal(plain.regs.rip, VMGEXIT + 4);
    assert_int_equal(plain.regs.rbx, 0x1000);

    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}, {READ_GHCB_MSR, 0, 0}), 0);
    assert_int_equal(read_value, GHCB_MSR_RUN_VMPL); /* each has an MSR of its own */
    assert_int_equal(plain.regs.rip, VMGEXIT + 4);
    assert_int_equal(plain.regs.rbx, 0x2000);
}

/* The XSAVE area: at 512 which parts it has, AVX being 4, whose registers are zeros where it has it not; they are at 576. */
static void what_a_vmpl_cleared_stays_clear(void **state)
{
    (void)state;
    const uint8_t *ymm = (uint8_t *)plain.xsave.region + 576;
    make_vmpl_2();
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}), EINTR);
    assert_int_equal(*ymm, 0x5a);
    plain.xsave.region[512 / 4] = 3; /* VZEROUPPER */
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(0), 0}, {EXIT, 0, 0}), EINTR);
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}), EINTR);
    assert_int_equal(*ymm, 0);
}

static void a_vmpl_that_was_not_created_is_not_run(void **state)
{
    (void)state;
    for (unsigned vmpl = 0; vmpl < 5; vmpl++) /* 0 runs already */
        assert_int_equal(asked(RUN(vmpl)), GHCB_MSR_RUN_VMPL_ERROR);
    make_vmpl_2();
    assert_int_equal(asked(RUN(1)), GHCB_MSR_RUN_VMPL_ERROR);
    assert_int_equal(asked(RUN(0x102)), GHCB_MSR_RUN_VMPL_ERROR);
    assert_int_equal(requested(GHCB_RUN_VMPL, 3, 0, 0), GHCB_INVALID_INPUT);
    assert_int_equal(requested(GHCB_AP_CREATION, 2 << 16 | 2, 0, 0), GHCB_OK); /* destroyed */
    assert_int_equal(asked(RUN(2)), GHCB_MSR_RUN_VMPL_ERROR);
    assert_int_equal(plain.regs.rip, VMGEXIT);
}

static void what_is_no_lower_vmpl_of_this_vcpu_is_not_created(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        uint64_t info_1, vmsa, features;
    } wrong[] = {
        {"VMPL 4", CREATE(4), VMSA, 1},      {"another vCPU's", 1ull << 32 | CREATE(2), VMSA, 1},
        {"at INIT", 2 << 16 | 0, VMSA, 1},   {"other features", CREATE(2), VMSA, 3},
        {"no page", CREATE(2), VMSA + 8, 1},
    };
    assert_int_equal(DOES({ADJUST, VMSA, 2 | IS_VMSA}), EINTR);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (requested(GHCB_AP_CREATION, wrong[i].info_1, wrong[i].vmsa, wrong[i].features) !=
            GHCB_INVALID_INPUT)
            fail_msg("created: %s", wrong[i].what);
}

static void no_vmpl_creates_itself_or_one_above(void **state)
{
    (void)state;
    make_vmpl_2();
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}), EINTR);
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(2), VMSA, 1), GHCB_INVALID_INPUT);
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(1), VMSA, 1), GHCB_INVALID_INPUT);
    assert_int_equal(requested(GHCB_AP_CREATION, 2 << 16 | 2, 0, 0), GHCB_INVALID_INPUT);
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(3), VMSA, 1), GHCB_OK);
}

static void two_vcpus_stay_at_vmpl_0(void **state)
{
    (void)state;
    snp_guest_use(0);
    assert_int_equal(DOES({ADJUST, VMSA, 2 | IS_VMSA}), EINTR);
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(2), VMSA, 1), GHCB_INVALID_INPUT);
}

/* A VMSA that the processor would refuse ends the guest. */
static void assert_refused(const struct act *adjust)
{
    assert_int_equal(does(adjust), EINTR);
    assert_int_equal(requested(GHCB_AP_CREATION, CREATE(2), VMSA, 1), GHCB_OK);
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}), 0);
    assert_int_equal(run->exit_reason, KVM_EXIT_FAIL_ENTRY);
}

static void what_is_no_vmsa_of_that_vmpl_is_not_entered(void **state)
{
    (void)state;
    static const struct act made[] = {{ADJUST, VMSA, 2 | IS_VMSA}, {END, 0, 0}},
                            not_made[] = {{ADJUST, VMSA, 2}, {END, 0, 0}};
    assert_refused(not_made);
    for (unsigned i = 0; i < 3; i++) {
        snp_guest_free();
        make_vmsa();
        if (i == 0)
            vmsa.vmpl = 1;
        else if (i == 1)
            vmsa.efer = 0;
        else
            vmsa.sev_features = 3;
        launch("1", 1);
        assert_refused(made);
    }
}

/* One access of the guest's, as data with the C-bit. */
static int touches(uint64_t gpa)
{
    static const struct plain_run once[] = {{.error = EFAULT, .mp_state = KVM_MP_STATE_RUNNABLE},
                                            {.error = EINTR, .mp_state = KVM_MP_STATE_RUNNABLE},
                                            {.error = 0}};
    plain.sregs.cr0 = 1ull << 31 | 1;
    plain.sregs.cr3 = TABLES;
    plain.sregs.cr4 = 1 << 5;
    plain.seen = (struct cofre_ud_fault){.error_code = 1ull << 32 | 4, .gpa = gpa | C};
    plain.plan = once;
    plain.runs = 0;
    return kvm->ioctl(vcpu, KVM_RUN, NULL) < 0 ? errno : 0;
}

static void a_vmpl_touches_what_was_opened_to_it_alone(void **state)
{
    (void)state;
    make_vmpl_2();
    assert_int_equal(touches(TABLES), EINTR); /* VMPL 0's is all */
    assert_int_equal(DOES({WRITE_GHCB_MSR, RUN(2), 0}, {EXIT, 0, 0}), EINTR);
    assert_int_equal(touches(USABLE), EINTR);
    assert_int_equal(touches(TABLES), 0);
    assert_int_equal(run->exit_reason, KVM_EXIT_SHUTDOWN);
    assert_int_equal(touches(VMSA), 0); /* its own, too */
    assert_int_equal(run->exit_reason, KVM_EXIT_SHUTDOWN);
}

int main(void)
{
#define ON(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(upstream_has_vmpl_0_alone, set_up_upstream, tear_down),
        ON(a_test_that_wants_vmpls_is_told_of_them),
        ON(a_vmpl_runs_from_its_vmsa_and_leaves_its_registers_there),
        ON(what_a_vmpl_cleared_stays_clear),
        ON(a_vmpl_that_was_not_created_is_not_run),
        ON(what_is_no_lower_vmpl_of_this_vcpu_is_not_created),
        ON(no_vmpl_creates_itself_or_one_above),
        cmocka_unit_test_setup_teardown(two_vcpus_stay_at_vmpl_0, set_up_two, tear_down),
        ON(what_is_no_vmsa_of_that_vmpl_is_not_entered),
        ON(a_vmpl_touches_what_was_opened_to_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
