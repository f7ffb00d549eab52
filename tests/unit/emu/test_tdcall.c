/* What a running TD's TDCALLs come to, and the exits that its VMM gets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tdx/mrtd.h"
#include "tests/unit/emu/td.h"

#define FREE_PAGE 0x400000u /* private, never added; so are the 2 MiB that it begins */
#define GP_VECTOR 13
#define UD_VECTOR 6

static int runs(void **state)
{
    int rc = td_set_up(state);
    go_to(TD_RUNS, true);
    struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_HYPERCALL, .args = {1u << KVM_HC_MAP_GPA_RANGE}};
    return rc ? rc : vm_ioctl(KVM_ENABLE_CAP, &cap);
}
#define IN_A_TD(test) cmocka_unit_test_setup_teardown(test, runs, td_tear_down)

static void assert_back(uint64_t status)
{
    assert_int_equal(plain.regs.rax, status);
    assert_int_equal(plain.regs.rip, TD_CODE + 4);
}

/* The leaf is not there (30 is TDG.MEM.PAGE.RELEASE, of later modules); its version, and what else RAX may not hold. */
static void an_unknown_leaf_is_an_invalid_operand(void **state)
{
    (void)state;
    static const uint64_t unknown[] = {9, 21, 30, 99, 0x10001, 1ull << 32 | 1, TDG_MEM_PAGE_ATTR_RD};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(leaf(unknown[i], 0, 0, 0), EINTR);
        assert_back(TDX_OPERAND_INVALID | TDX_OPERAND_RAX);
    }
}

static void only_64_bit_supervisor_code_may_call(void **state)
{
    (void)state;
    plain.sregs.ss.dpl = 3;
    assert_int_equal(leaf(TDG_VP_INFO, 0, 0, 0), EINTR);
    assert_int_equal(plain.events.exception.nr, GP_VECTOR);
    plain.sregs.ss.dpl = 0;
    plain.sregs.cs.l = 0;
    plain.events = (struct kvm_vcpu_events){0};
    assert_int_equal(leaf(TDG_VP_INFO, 0, 0, 0), EINTR);
    assert_int_equal(plain.events.exception.nr, GP_VECTOR);
    assert_int_equal(plain.regs.rip, TD_CODE);
}

static void another_undefined_opcode_stays_the_guests(void **state)
{
    (void)state;
    assert_int_equal(tdcall(), EINTR);
    plain.exits = 1;
    plain.regs.rip = TD_DATA;
    assert_int_equal(run(), EINTR);
    assert_int_equal(plain.events.exception.nr, UD_VECTOR);
}

static void vp_info_tells_what_the_td_is(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_VP_INFO, 0, 0, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(plain.regs.rcx, 48);
    assert_int_equal(plain.regs.rdx, TDX_ATTR_SEPT_VE_DISABLE);
    assert_int_equal(plain.regs.r8 & UINT32_MAX, 1);
    assert_int_equal(plain.regs.r9, 0);
}

/* The report, from where the guest asked for it: a shared page here, so that the test sees it. */
static struct tdx_report take_report(void)
{
    struct tdx_report report;
    assert_int_equal(set_private(0x10000, 4096, false), 0);
    assert_int_equal(leaf(TDG_MR_REPORT, TDX_SHARED_BIT | 0x10000, TD_DATA, 0), EINTR);
    assert_back(TDX_SUCCESS);
    memcpy(&report, td.ram + 0x10000, sizeof(report));
    return report;
}

static void a_report_has_the_measurement_of_what_was_added(void **state)
{
    (void)state;
    static uint8_t code[4096] = {0x66, 0x0f, 0x01, 0xcc};
    uint8_t want[48];
    struct tdx_mrtd *mrtd;
    struct cofre_err err;
    assert_int_equal(tdx_mrtd_new(&mrtd, &err), 0);
    assert_int_equal(tdx_mrtd_pages(mrtd, TD_CODE, code, sizeof(code), true, &err), 0);
    assert_int_equal(tdx_mrtd_pages(mrtd, TD_DATA, NULL, 4096, false, &err), 0);
    assert_int_equal(tdx_mrtd_value(mrtd, want, &err), 0);
    tdx_mrtd_free(mrtd);
    struct tdx_report report = take_report();
    assert_memory_equal(report.td.mrtd, want, 48);
}

static void a_run_time_register_is_extended(void **state)
{
    (void)state;
    uint8_t want[48] = {0};
    static const uint8_t zeros[48];
    assert_int_equal(leaf(TDG_MR_RTMR_EXTEND, TD_DATA, 2, 0), EINTR);
    assert_back(TDX_SUCCESS);
    tdx_rtmr_extend(want, zeros);
    struct tdx_report report = take_report();
    assert_memory_equal(report.td.rtmr[2], want, 48);
    assert_memory_equal(report.td.rtmr[1], zeros, 48);
}

static void operands_are_checked(void **state)
{
    (void)state;
    static const struct {
        uint64_t leaf, rcx, rdx, r8;
        enum tdx_operand operand;
    } table[] = {
        {TDG_MR_RTMR_EXTEND, TD_DATA + 8, 0, 0, TDX_OPERAND_RCX},
        {TDG_MR_RTMR_EXTEND, TDX_SHARED_BIT | 0x10000, 0, 0, TDX_OPERAND_RCX},
        {TDG_MR_RTMR_EXTEND, TD_DATA, 4, 0, TDX_OPERAND_RDX},
        {TDG_MR_REPORT, TD_DATA + 512, TD_DATA, 0, TDX_OPERAND_RCX},
        {TDG_MR_REPORT, TD_DATA, TD_DATA + 32, 0, TDX_OPERAND_RDX},
        {TDG_MR_REPORT, TD_DATA, TD_DATA, 1, TDX_OPERAND_R8},
        {TDG_MR_VERIFYREPORT, TD_DATA + 128, 0, 0, TDX_OPERAND_RCX},
        {TDG_VP_CPUIDVE_SET, 4, 0, 0, TDX_OPERAND_RCX},
        {TDG_MEM_PAGE_ACCEPT, FREE_PAGE | 8, 0, 0, TDX_OPERAND_RCX},
        {TDG_MEM_PAGE_ACCEPT, FREE_PAGE | 2, 0, 0, TDX_OPERAND_RCX}, /* 1 GiB */
        {TDG_MEM_PAGE_ACCEPT, (FREE_PAGE + 0x1000) | 1, 0, 0, TDX_OPERAND_RCX},
        {TDG_MEM_PAGE_ACCEPT, TDX_SHARED_BIT | FREE_PAGE, 0, 0, TDX_OPERAND_RCX},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(leaf(table[i].leaf, table[i].rcx, table[i].rdx, table[i].r8), EINTR);
        assert_back(TDX_OPERAND_INVALID | table[i].operand);
    }
}

static void the_module_knows_its_own_reports(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_MR_REPORT, TD_DATA, TD_DATA, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(leaf(TDG_MR_VERIFYREPORT, TD_DATA, 0, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(leaf(TDG_MR_VERIFYREPORT, TD_DATA + 256, 0, 0), EINTR);
    assert_back(TDX_INVALID_REPORTMACSTRUCT);
}

static void fields_of_the_td_are_read(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_VM_RD, 0, 0x1110000300000016, 0), EINTR); /* CONFIG_FLAGS */
    assert_back(TDX_SUCCESS);
    assert_int_equal(leaf(TDG_VM_RD, 0, 0x4711, 0), EINTR);
    assert_int_equal(TDX_STATUS_CODE(plain.regs.rax), TDX_METADATA_FIELD_ID_INCORRECT);
    assert_int_equal(plain.regs.r8, 0);
}

static void there_is_no_exception_to_explain(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_VP_VEINFO_GET, 1, 1, 1), EINTR);
    assert_int_equal(plain.regs.rax, 0xc000070400000000ull);
    assert_int_equal(plain.regs.rcx | plain.regs.rdx | plain.regs.r8, 0);
}

static void pages_are_accepted_once(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, FREE_PAGE, 0, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, FREE_PAGE, 0, 0), EINTR);
    assert_back(TDX_PAGE_ALREADY_ACCEPTED);
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, FREE_PAGE | 1, 0, 0), EINTR);
    assert_back(TDX_PAGE_SIZE_MISMATCH | 1);
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, (FREE_PAGE + 0x200000) | 1, 0, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, FREE_PAGE + 0x201000, 0, 0), EINTR);
    assert_back(TDX_PAGE_ALREADY_ACCEPTED | 1);
}

static void accepting_a_shared_page_is_a_memory_fault(void **state)
{
    (void)state;
    assert_int_equal(set_private(FREE_PAGE, 4096, false), 0);
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, FREE_PAGE, 0, 0), EFAULT);
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
    assert_int_equal(uapi_exit_memory_fault(plain.run)->gpa, FREE_PAGE);
    assert_int_equal(uapi_exit_memory_fault(plain.run)->flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
    assert_int_equal(plain.regs.rip, TD_CODE);
}

/* What a page held before it was shared is gone when it is private again. */
static void an_accepted_page_is_zero(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_MR_REPORT, TD_DATA, TD_DATA, 0), EINTR);
    assert_int_equal(set_private(TD_DATA, 4096, false), 0);
    assert_int_equal(set_private(TD_DATA, 4096, true), 0);
    assert_int_equal(leaf(TDG_MEM_PAGE_ACCEPT, TD_DATA, 0, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(leaf(TDG_MR_VERIFYREPORT, TD_DATA, 0, 0), EINTR);
    assert_back(TDX_INVALID_REPORTMACSTRUCT);
}

static void touch(uint64_t address)
{
    plain.fault = (struct cofre_ud_fault){.error_code = 4, .gpa = address};
    plain.run_error = EFAULT;
}

static void touching_an_unaccepted_page_ends_the_td(void **state)
{
    (void)state;
    touch(FREE_PAGE);
    assert_int_equal(run(), EIO);
    assert_int_equal(run(), EIO);
    assert_int_equal(set_private(0, 4096, true), EIO);
}

static void touching_a_page_the_wrong_way_is_a_memory_fault(void **state)
{
    (void)state;
    assert_int_equal(set_private(FREE_PAGE, 4096, false), 0);
    touch(FREE_PAGE);
    assert_int_equal(run(), EFAULT);
    assert_int_equal(uapi_exit_memory_fault(plain.run)->flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
    touch(TDX_SHARED_BIT | TD_DATA);
    assert_int_equal(run(), EFAULT);
    assert_int_equal(uapi_exit_memory_fault(plain.run)->flags, 0);
    assert_int_equal(uapi_exit_memory_fault(plain.run)->gpa, TD_DATA);
}

static void a_leaf_on_an_unaccepted_page_ends_the_td(void **state)
{
    (void)state;
    assert_int_equal(leaf(TDG_MR_RTMR_EXTEND, FREE_PAGE, 0, 0), EIO);
    assert_int_equal(run(), EIO);
}

/* The VMM sees no register that the guest does not show, and changes none. */
static void hidden_registers_stay_hidden(void **state)
{
    (void)state;
    plain.regs = (struct kvm_regs){.rax = TDG_VP_VMCALL,
                                   .rcx = 1u << 10 | 1u << 11 | 1u << 12,
                                   .r11 = TDVMCALL_REPORT_FATAL_ERROR,
                                   .r12 = 7,
                                   .r14 = 0x5ec7e7,
                                   .rbx = 0x5ec7e7,
                                   .rbp = 0x5ec7e7,
                                   .rsp = 0x5ec7e7};
    assert_int_equal(tdcall(), 0);
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_SYSTEM_EVENT);
    assert_int_equal(plain.run->system_event.type, KVM_SYSTEM_EVENT_TDX_FATAL);
    assert_int_equal(plain.run->system_event.ndata, 16);
    assert_int_equal(plain.run->system_event.data[12], 7);
    for (unsigned i = 2; i < 16; i++)
        if (i < 11 || i > 12)
            assert_int_equal(plain.run->system_event.data[i], 0);
    assert_int_equal(run(), EINTR);
    assert_back(0);
    assert_int_equal(plain.regs.r14, 0x5ec7e7);
    assert_int_equal(plain.regs.rbx, 0x5ec7e7);
}

static void an_answer_in_a_hidden_register_is_lost(void **state)
{
    (void)state;
    plain.regs = (struct kvm_regs){.rax = TDG_VP_VMCALL,
                                   .rcx = 1u << 10 | 1u << 11 | 1u << 12,
                                   .r11 = TDVMCALL_CPUID,
                                   .r12 = 1,
                                   .r14 = 99};
    assert_int_equal(tdcall(), EINTR);
    assert_int_equal(plain.regs.r14, 99); /* leaf 1 ECX, but R14 is not exposed */
}

static void some_registers_cannot_be_exposed(void **state)
{
    (void)state;
    static const uint64_t bad[] = {1u << 0, 1u << 1, 1u << 4, 1u << 5, 1ull << 32, 1ull << 63};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(leaf(TDG_VP_VMCALL, ALL_EXPOSED | bad[i], 0, 0), EINTR);
        assert_back(TDX_OPERAND_INVALID | TDX_OPERAND_RCX);
    }
}

static void unknown_calls_are_unsupported(void **state)
{
    (void)state;
    static const uint64_t unknown[] = {TDVMCALL_WBINVD, TDVMCALL_SERVICE, TDVMCALL_PCONFIG, 4711};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(vmcall(unknown[i], 0, 0, 0, 0), EINTR);
        assert_back(0);
        assert_int_equal(plain.regs.r10, TDVMCALL_SUBFUNC_UNSUPPORTED);
    }
    plain.regs.rcx = ALL_EXPOSED;
    plain.regs.rax = TDG_VP_VMCALL;
    plain.regs.r10 = 11; /* KVM_HC_SCHED_YIELD */
    assert_int_equal(tdcall(), EINTR);
    assert_int_equal(plain.regs.r10, (uint64_t)-1000);
}

static void ports_are_written_and_read(void **state)
{
    (void)state;
    assert_int_equal(vmcall(TDVMCALL_IO, 2, 1, 0xcf8, 0x12345678), 0);
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_IO);
    assert_int_equal(plain.run->io.direction, KVM_EXIT_IO_OUT);
    assert_int_equal(plain.run->io.port, 0xcf8);
    assert_int_equal(plain.run->io.size, 2);
    assert_memory_equal((uint8_t *)plain.run + plain.run->io.data_offset, "\x78\x56", 2);
    assert_int_equal(run(), EINTR);
    assert_back(0);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_int_equal(vmcall(TDVMCALL_IO, 1, 0, 0x60, 0), 0);
    assert_int_equal(plain.run->io.direction, KVM_EXIT_IO_IN);
    memcpy((uint8_t *)plain.run + plain.run->io.data_offset, "\x5a\xff\xff", 3);
    assert_int_equal(run(), EINTR);
    assert_int_equal(plain.regs.r11, 0x5a);
    static const uint64_t bad[][2] = {{3, 0}, {8, 0}, {0, 0}, {1, 2}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(vmcall(TDVMCALL_IO, bad[i][0], bad[i][1], 0x60, 0), EINTR);
        assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
    }
}

static void device_memory_is_written_and_read_without_its_shared_bit(void **state)
{
    (void)state;
    const uint64_t gpa = 0xfec00000;
    assert_int_equal(vmcall(TDVMCALL_MMIO, 4, 1, TDX_SHARED_BIT | gpa, 0xabcd), 0);
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_MMIO);
    assert_true(plain.run->mmio.is_write);
    assert_int_equal(plain.run->mmio.phys_addr, gpa);
    assert_memory_equal(plain.run->mmio.data, "\xcd\xab\0\0", 4);
    assert_int_equal(run(), EINTR);
    assert_int_equal(vmcall(TDVMCALL_MMIO, 8, 0, TDX_SHARED_BIT | gpa, 0), 0);
    assert_false(plain.run->mmio.is_write);
    memset(plain.run->mmio.data, 0x11, 8);
    assert_int_equal(run(), EINTR);
    assert_int_equal(plain.regs.r11, 0x1111111111111111);
    assert_int_equal(vmcall(TDVMCALL_MMIO, 4, 0, gpa, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
    assert_int_equal(vmcall(TDVMCALL_MMIO, 4, 0, TDX_SHARED_BIT - 2, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
    assert_int_equal(vmcall(TDVMCALL_MMIO, 3, 0, TDX_SHARED_BIT | gpa, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
}

static void ordinary_device_accesses_lose_their_shared_bit_too(void **state)
{
    (void)state;
    plain.exits = 1;
    plain.exit_reason = KVM_EXIT_MMIO;
    plain.run->mmio.phys_addr = TDX_SHARED_BIT | 0xfec00000;
    assert_int_equal(run(), 0);
    assert_int_equal(plain.run->mmio.phys_addr, 0xfec00000);
    plain.exits = 1;
    plain.run->mmio.phys_addr = 0xfec00000;
    assert_int_equal(run(), EFAULT);
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
    assert_int_equal(uapi_exit_memory_fault(plain.run)->flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
}

static void the_vmm_never_hears_of_an_end_of_interrupt(void **state)
{
    (void)state;
    plain.exits = 1;
    plain.exit_reason = KVM_EXIT_IOAPIC_EOI;
    assert_int_equal(run(), EINTR);
}

static void expect_map(uint64_t gpa, uint64_t pages, uint64_t attributes)
{
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_HYPERCALL);
    assert_int_equal(plain.run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
    assert_int_equal(plain.run->hypercall.args[0], gpa);
    assert_int_equal(plain.run->hypercall.args[1], pages);
    assert_int_equal(plain.run->hypercall.args[2], attributes);
}

static void pages_are_converted_two_mebibytes_an_exit(void **state)
{
    (void)state;
    assert_int_equal(vmcall(TDVMCALL_MAP_GPA, TDX_SHARED_BIT | 0x101000, 0x401000, 0, 0), 0);
    expect_map(0x101000, 512, 0);
    plain.run->hypercall.ret = 0;
    assert_int_equal(run(), 0);
    expect_map(0x301000, 512, 0);
    assert_int_equal(run(), 0);
    expect_map(0x501000, 1, 0);
    assert_int_equal(run(), EINTR);
    assert_back(0);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_int_equal(vmcall(TDVMCALL_MAP_GPA, 0x101000, 0x1000, 0, 0), 0);
    expect_map(0x101000, 1, UAPI_MAP_GPA_PRIVATE);
}

static void a_conversion_stops_where_the_vmm_says_no(void **state)
{
    (void)state;
    static const struct {
        uint64_t ret, status;
    } answers[] = {{EINVAL, TDVMCALL_INVALID_OPERAND}, {EAGAIN, TDVMCALL_RETRY}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vmcall(TDVMCALL_MAP_GPA, TDX_SHARED_BIT, 0x400000, 0, 0), 0);
        assert_int_equal(run(), 0);
        plain.run->hypercall.ret = answers[i].ret;
        assert_int_equal(run(), EINTR);
        assert_int_equal(plain.regs.r10, answers[i].status);
        assert_int_equal(plain.regs.r11, TDX_SHARED_BIT | 0x200000);
    }
    assert_int_equal(vmcall(TDVMCALL_MAP_GPA, 0, 0x1000, 0, 0), 0);
    plain.run->hypercall.ret = ENOMEM;
    assert_int_equal(run(), EINVAL); /* no answer that KVM takes: the exit stays */
    plain.run->hypercall.ret = 0;
    assert_int_equal(run(), EINTR);
}

static void a_conversion_is_checked(void **state)
{
    (void)state;
    static const struct {
        uint64_t gpa, size, status;
    } bad[] = {
        {0x1000, 0, TDVMCALL_INVALID_OPERAND},
        {UINT64_MAX - 0xfff, 0x2000, TDVMCALL_INVALID_OPERAND},
        {1ull << 48, 0x1000, TDVMCALL_INVALID_OPERAND},
        {TDX_SHARED_BIT - 0x1000, 0x2000, TDVMCALL_INVALID_OPERAND},
        {0x1800, 0x1000, TDVMCALL_ALIGN_ERROR},
        {0x1000, 0x800, TDVMCALL_ALIGN_ERROR},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(vmcall(TDVMCALL_MAP_GPA, bad[i].gpa, bad[i].size, 0, 0), EINTR);
        assert_int_equal(plain.regs.r10, bad[i].status);
        assert_int_equal(plain.regs.r11, bad[i].gpa);
    }
    struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_HYPERCALL};
    assert_int_equal(vm_ioctl(KVM_ENABLE_CAP, &cap), 0);
    assert_int_equal(vmcall(TDVMCALL_MAP_GPA, 0x1000, 0x1000, 0, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUBFUNC_UNSUPPORTED);
}

static void a_quote_is_the_vmms_to_get(void **state)
{
    (void)state;
    assert_int_equal(vmcall(TDVMCALL_GET_QUOTE, TDX_SHARED_BIT | 0x5000, 0x4000, 0, 0), 0);
    struct uapi_exit_tdx *exit = uapi_exit_tdx(plain.run);
    assert_int_equal(plain.run->exit_reason, KVM_EXIT_TDX);
    assert_int_equal(exit->nr, TDVMCALL_GET_QUOTE);
    assert_int_equal(exit->get_quote.gpa, 0x5000);
    assert_int_equal(exit->get_quote.size, 0x4000);
    assert_int_equal(exit->get_quote.ret, TDVMCALL_SUBFUNC_UNSUPPORTED);
    exit->get_quote.ret = TDVMCALL_SUCCESS;
    assert_int_equal(run(), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_int_equal(vmcall(TDVMCALL_GET_QUOTE, 0x5000, 0x4000, 0, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
}

static void the_notify_interrupt_is_a_vector(void **state)
{
    (void)state;
    assert_int_equal(vmcall(TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT, 0x50, 0, 0, 0), 0);
    assert_int_equal(uapi_exit_tdx(plain.run)->setup_event_notify.vector, 0x50);
    assert_int_equal(run(), EINTR); /* the caller left it as it was */
    assert_int_equal(plain.regs.r10, TDVMCALL_SUBFUNC_UNSUPPORTED);
    for (uint64_t vector = 31; vector < 512; vector += 225) {
        assert_int_equal(vmcall(TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT, vector, 0, 0, 0), EINTR);
        assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
    }
}

static void the_vmm_says_which_calls_it_answers(void **state)
{
    (void)state;
    assert_int_equal(vmcall(TDVMCALL_GET_TD_VM_CALL_INFO, 0, 9, 9, 9), EINTR);
    assert_int_equal(plain.regs.r10 | plain.regs.r11 | plain.regs.r12 | plain.regs.r13 | plain.regs.r14, 0);
    assert_int_equal(vmcall(TDVMCALL_GET_TD_VM_CALL_INFO, 1, 0, 0, 0), 0);
    struct uapi_exit_tdx *exit = uapi_exit_tdx(plain.run);
    assert_int_equal(exit->get_tdvmcall_info.leaf, 1);
    exit->get_tdvmcall_info.r11 = 2;
    assert_int_equal(run(), EINTR);
    assert_int_equal(plain.regs.r10, 0);
    assert_int_equal(plain.regs.r11, 2);
    assert_int_equal(vmcall(TDVMCALL_GET_TD_VM_CALL_INFO, 2, 0, 0, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
}

static void msrs_are_those_that_kvm_emulates(void **state)
{
    (void)state;
    plain.msr = 0x123456789abcdef0;
    assert_int_equal(vmcall(TDVMCALL_RDMSR, 0x277, 0, 0, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_int_equal(plain.regs.r11, 0x123456789abcdef0);
    assert_int_equal(vmcall(TDVMCALL_WRMSR, 0x277, 0x0706, 0, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_int_equal(plain.msr, 0x0706);
    assert_int_equal(vmcall(TDVMCALL_WRMSR, 0xc0000080, 0, 0, 0), EINTR); /* EFER: to be read only */
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
    assert_int_equal(vmcall(TDVMCALL_RDMSR, 0xc0000080, 0, 0, 0), EINTR);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_int_equal(vmcall(TDVMCALL_RDMSR, 0x12, 0, 0, 0), EINTR); /* KVM's clock */
    assert_int_equal(plain.regs.r10, TDVMCALL_INVALID_OPERAND);
    assert_int_equal(plain.msr, 0x0706);
}

/* The guest's interrupts are off, and it must wake on one nevertheless, without its being delivered. */
static void a_halted_vcpu_waits_at_its_call_with_interrupts_held_back(void **state)
{
    (void)state;
    const uint64_t interrupts = 1u << 9;
    assert_int_equal(vmcall(TDVMCALL_HLT, 0, 0, 0, 0), EINTR);
    assert_int_equal(plain.mp.mp_state, KVM_MP_STATE_HALTED);
    assert_int_equal(plain.regs.rip, TD_CODE);
    assert_true(plain.regs.rflags & interrupts);
    assert_int_equal(plain.debug.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ);
    assert_int_equal(run(), EINTR); /* a signal does not end it */
    assert_int_equal(plain.regs.rip, TD_CODE);
    plain.exits = 1; /* the interrupt: the plain KVM enters the guest, which comes to its TDCALL again */
    assert_int_equal(run(), EINTR);
    assert_back(0);
    assert_int_equal(plain.regs.r10, TDVMCALL_SUCCESS);
    assert_false(plain.regs.rflags & interrupts);
    assert_int_equal(plain.debug.control, 0);
}

static void a_vcpu_that_means_to_stay_halted_has_interrupts_off(void **state)
{
    (void)state;
    const uint64_t interrupts = 1u << 9;
    plain.regs.rflags |= interrupts;
    assert_int_equal(vmcall(TDVMCALL_HLT, 1, 0, 0, 0), EINTR);
    assert_false(plain.regs.rflags & interrupts);
    plain.exits = 1;
    assert_int_equal(run(), EINTR);
    assert_true(plain.regs.rflags & interrupts);
}

static void cpuid_is_the_callers_table(void **state)
{
    (void)state;
    assert_int_equal(vmcall(TDVMCALL_CPUID, 0x40000001, 0, 0, 0), EINTR);
    assert_int_equal(plain.regs.r12, UINT32_MAX);
    assert_int_equal(plain.regs.r13 | plain.regs.r14 | plain.regs.r15, 0);
}

/* A TD without SEPT_VE_DISABLE gets an exception for its touch, and TDG.VP.VEINFO.GET says why. */
static void an_exception_tells_of_an_unaccepted_page_where_it_is_wanted(void **state)
{
    (void)state;
    static uint8_t idt[4096] __attribute__((aligned(4096)));
    const struct kvm_cpuid_entry2 entry[] = {{.function = 0x80000008, .eax = TDX_GPAW << 16}};
    memcpy(idt + 20 * 16, "\x00\x70\x10\x00\x00\x8e", 6); /* interrupt gate to 0x7000 */
    assert_int_equal(init_vm_with(entry, 1, 0, 3), 0);
    assert_int_equal(split_irqchip(), 0);
    assert_int_equal(add_vcpu(), 0);
    assert_int_equal(set_cpuid(1u << 21), 0);
    assert_int_equal(init_vcpu(), 0);
    assert_int_equal(add_pages(0x6000, idt, 1, false), 0);
    memset(idt, 0, sizeof(idt));
    memcpy(idt, "\x66\x0f\x01\xcc", 4);
    assert_int_equal(add_pages(TD_CODE, idt, 1, false), 0);
    assert_int_equal(add_pages(TD_DATA, idt, 1, false), 0);
    assert_int_equal(finalize(), 0);
    plain.sregs.efer = 1u << 10;
    plain.sregs.cs.l = 1;
    plain.sregs.idt = (struct kvm_dtable){.base = 0x6000, .limit = 0xfff};
    plain.regs = (struct kvm_regs){.rip = TD_CODE, .rsp = TD_DATA + 0x800};
    touch(FREE_PAGE);
    assert_int_equal(run(), EINTR);
    assert_int_equal(plain.regs.rip, 0x7000);
    assert_int_equal(plain.regs.rsp, TD_DATA + 0x800 - 40); /* no error code */
    assert_int_equal(leaf(TDG_VP_VEINFO_GET, 0, 0, 0), EINTR);
    assert_back(TDX_SUCCESS);
    assert_int_equal(plain.regs.rcx, 48);
    assert_int_equal(plain.regs.r9, FREE_PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_TD(an_unknown_leaf_is_an_invalid_operand),
        IN_A_TD(only_64_bit_supervisor_code_may_call),
        IN_A_TD(another_undefined_opcode_stays_the_guests),
        IN_A_TD(vp_info_tells_what_the_td_is),
        IN_A_TD(a_report_has_the_measurement_of_what_was_added),
        IN_A_TD(a_run_time_register_is_extended),
        IN_A_TD(operands_are_checked),
        IN_A_TD(the_module_knows_its_own_reports),
        IN_A_TD(fields_of_the_td_are_read),
        IN_A_TD(there_is_no_exception_to_explain),
        IN_A_TD(pages_are_accepted_once),
        IN_A_TD(accepting_a_shared_page_is_a_memory_fault),
        IN_A_TD(an_accepted_page_is_zero),
        IN_A_TD(touching_an_unaccepted_page_ends_the_td),
        IN_A_TD(touching_a_page_the_wrong_way_is_a_memory_fault),
        IN_A_TD(a_leaf_on_an_unaccepted_page_ends_the_td),
        IN_A_TD(hidden_registers_stay_hidden),
        IN_A_TD(an_answer_in_a_hidden_register_is_lost),
        IN_A_TD(some_registers_cannot_be_exposed),
        IN_A_TD(unknown_calls_are_unsupported),
        IN_A_TD(ports_are_written_and_read),
        IN_A_TD(device_memory_is_written_and_read_without_its_shared_bit),
        IN_A_TD(ordinary_device_accesses_lose_their_shared_bit_too),
        IN_A_TD(the_vmm_never_hears_of_an_end_of_interrupt),
        IN_A_TD(pages_are_converted_two_mebibytes_an_exit),
        IN_A_TD(a_conversion_stops_where_the_vmm_says_no),
        IN_A_TD(a_conversion_is_checked),
        IN_A_TD(a_quote_is_the_vmms_to_get),
        IN_A_TD(the_notify_interrupt_is_a_vector),
        IN_A_TD(the_vmm_says_which_calls_it_answers),
        IN_A_TD(msrs_are_those_that_kvm_emulates),
        IN_A_TD(a_halted_vcpu_waits_at_its_call_with_interrupts_held_back),
        IN_A_TD(a_vcpu_that_means_to_stay_halted_has_interrupts_off),
        IN_A_TD(cpuid_is_the_callers_table),
        ON_A_TD(an_exception_tells_of_an_unaccepted_page_where_it_is_wanted),
    };
    return cmocka_run_group_tests_name("emu TDCALL", tests, NULL, NULL);
}
