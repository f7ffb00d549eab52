/* The order of a TD's launch commands, and what each refuses, as Linux 7.3 has it. Errors are errno values. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/emu/td.h"

static uint8_t page[2 * 4096] __attribute__((aligned(4096)));
static uint64_t next_gpa;

static int capabilities(void)
{
    static union {
        struct uapi_tdx_capabilities caps;
        uint8_t room[sizeof(struct uapi_tdx_capabilities) + 64 * sizeof(struct kvm_cpuid_entry2)];
    } u;
    u.caps.cpuid.nent = 64;
    return vm_command(UAPI_TDX_CAPABILITIES, 0, &u);
}

static int add_page(void)
{
    next_gpa += 4096;
    return add_pages(0x100000 + next_gpa, page, 1, true);
}

static int get_cpuid(void)
{
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[64];
    } table;
    table.head.nent = 64;
    return vcpu_command(UAPI_TDX_GET_CPUID, 0, (uintptr_t)&table);
}

static int unknown_vm_command(void)
{
    return vm_command(4711, 0, NULL);
}

static int unknown_vcpu_command(void)
{
    return vcpu_command(4711, 0, 0);
}

static int second_vcpu(void)
{
    int first = td.vcpu;
    int rc = add_vcpu();
    if (rc == 0)
        kvm->close(td.vcpu);
    td.vcpu = first;
    return rc;
}

static void every_command_in_every_phase(void **state)
{
    static const struct {
        const char *name;
        int (*call)(void);
        bool on_vcpu;
        int want[3];
    } table[] = {
        {"CAPABILITIES", capabilities, false, {0, 0, 0}},
        {"INIT_VM", init_vm, false, {0, EINVAL, EINVAL}},
        {"FINALIZE_VM", finalize, false, {EINVAL, 0, EINVAL}},
        {"an unknown command", unknown_vm_command, false, {EINVAL, EINVAL, EINVAL}},
        {"CREATE_VCPU", second_vcpu, false, {EIO, 0, EIO}},
        {"INIT_VCPU again", init_vcpu, true, {0, EINVAL, EINVAL}},
        {"INIT_MEM_REGION", add_page, true, {0, 0, EINVAL}},
        {"GET_CPUID", get_cpuid, true, {0, 0, EINVAL}},
        {"an unknown command on a vCPU", unknown_vcpu_command, true, {0, EINVAL, EINVAL}},
        {"KVM_RUN", run, true, {0, EINVAL, EINTR}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (enum td_phase phase = table[i].on_vcpu ? TD_INITIALISED : TD_CREATED; phase <= TD_RUNS;
             phase++) {
            go_to(phase, true);
            int got = table[i].call();
            if (got != table[i].want[phase])
                fail_msg("%s in phase %d: %s", table[i].name, phase, strerror(got));
            td_tear_down(state);
            td_set_up(state);
        }
}

static void capabilities_need_room_for_every_leaf(void **state)
{
    (void)state;
    struct uapi_tdx_capabilities small = {.cpuid.nent = 0};
    assert_int_equal(vm_command(UAPI_TDX_CAPABILITIES, 0, &small), E2BIG);
    assert_int_equal(small.cpuid.nent, 0);
    assert_int_equal(vm_command(UAPI_TDX_CAPABILITIES, 1, &small), EINVAL);
}

static void capabilities_are_what_kvm_allows(void **state)
{
    (void)state;
    static union {
        struct uapi_tdx_capabilities caps;
        uint8_t room[sizeof(struct uapi_tdx_capabilities) + 64 * sizeof(struct kvm_cpuid_entry2)];
    } u;
    u.caps.cpuid.nent = 64;
    assert_int_equal(vm_command(UAPI_TDX_CAPABILITIES, 0, &u), 0);
    assert_int_equal(u.caps.supported_attrs, TDX_ATTR_SEPT_VE_DISABLE);
    assert_int_equal(u.caps.supported_xfam, 7);
    assert_int_equal(u.caps.user_tdvmcallinfo_1_r11, 2);
    bool width = false;
    for (uint32_t i = 0; i < u.caps.cpuid.nent; i++) {
        const struct kvm_cpuid_entry2 *e = &u.caps.cpuid.entries[i];
        if (e->function == 7 && e->index == 0)
            assert_int_equal(e->ebx & (1u << 4 | 1u << 11), 0); /* TSX */
        width |= e->function == 0x80000008 && (e->eax >> 16 & 0xff) == 0xff;
    }
    assert_true(width);
}

static void a_command_must_not_bring_a_module_error(void **state)
{
    (void)state;
    struct uapi_tdx_cmd cmd = {.id = UAPI_TDX_INIT_VM, .hw_error = 1};
    assert_int_equal(vm_ioctl(KVM_MEMORY_ENCRYPT_OP, &cmd), EINVAL);
    go_to(TD_INITIALISED, true);
    cmd.id = UAPI_TDX_GET_CPUID;
    assert_int_equal(vcpu_ioctl(KVM_MEMORY_ENCRYPT_OP, &cmd), EINVAL);
}

#define WIDTH(bits)                                                                                          \
    {                                                                                                        \
        .function = 0x80000008, .eax = (uint32_t)(bits) << 16                                                \
    }

static void init_vm_refuses_what_kvm_does(void **state)
{
    (void)state;
    static const struct kvm_cpuid_entry2 none[1];
    static const struct kvm_cpuid_entry2 good[] = {WIDTH(48)}, wide[] = {WIDTH(52)}, other[] = {WIDTH(47)};
    static const struct kvm_cpuid_entry2 fixed_leaf[] = {WIDTH(48), {.function = 0x15, .eax = 1}};
    static const struct kvm_cpuid_entry2 twice[] = {WIDTH(48), {.function = 1}, {.function = 1}};
    static const struct kvm_cpuid_entry2 tsx[] = {WIDTH(48), {.function = 7, .ebx = 1u << 4 | 1u << 11}};
    static const struct kvm_cpuid_entry2 waitpkg[] = {WIDTH(48), {.function = 7, .ecx = 1u << 5}};
    const uint64_t attributes = TDX_ATTR_SEPT_VE_DISABLE;
    assert_int_equal(init_vm_with(good, 1, attributes | TDX_ATTR_DEBUG, 3), EINVAL);
    assert_int_equal(init_vm_with(good, 1, attributes, 3 | 1u << 9), EINVAL);
    assert_int_equal(init_vm_with(none, 0, attributes, 3), EINVAL);
    assert_int_equal(init_vm_with(wide, 1, attributes, 3), EINVAL);
    assert_int_equal(init_vm_with(other, 1, attributes, 3), EINVAL);
    assert_int_equal(init_vm_with(fixed_leaf, 2, attributes, 3), EINVAL);
    assert_int_equal(init_vm_with(twice, 3, attributes, 3), EINVAL);
    assert_int_equal(init_vm_with(tsx, 2, attributes, 3), EINVAL);
    assert_int_equal(init_vm_with(waitpkg, 2, attributes, 3), EINVAL);
    assert_int_equal(td.hw_error, 0);
    assert_int_equal(init_vm_with(NULL, 257, attributes, 3), E2BIG);
    struct uapi_tdx_init_vm in = {.attributes = attributes, .xfam = 3};
    assert_int_equal(vm_command(UAPI_TDX_INIT_VM, 1, &in), EINVAL);
    in.reserved[11] = 1;
    assert_int_equal(vm_command(UAPI_TDX_INIT_VM, 0, &in), EINVAL);
    assert_int_equal(init_vm_with(good, 1, attributes, 3), 0); /* none of these spoilt it */
}

static void a_bit_that_the_module_refuses_is_told_with_its_status(void **state)
{
    (void)state;
    static const struct kvm_cpuid_entry2 bad[] = {WIDTH(48), {.function = 1, .ecx = 1u << 6}};
    assert_int_equal(init_vm_with(bad, 2, TDX_ATTR_SEPT_VE_DISABLE, 3), EINVAL);
    assert_int_equal(td.hw_error, TDX_OPERAND_INVALID | TDX_OPERAND_CPUID_CONFIG);
    assert_int_equal(init_vm(), 0);
}

static void a_td_without_vcpus_cannot_be_finalised_and_is_dead_then(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, false);
    assert_int_equal(finalize(), EIO);
    assert_int_equal(td.hw_error, TDX_NO_VCPUS);
    assert_int_equal(capabilities(), EIO);
    assert_int_equal(set_private(0, 4096, true), EIO);
}

static void a_td_has_only_the_split_interrupt_controller(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, false);
    assert_int_equal(vm_ioctl(KVM_CREATE_IRQCHIP, NULL), ENOTTY);
    assert_int_equal(add_vcpu(), EINVAL);
    assert_int_equal(split_irqchip(), 0);
    assert_int_equal(add_vcpu(), 0);
}

static void a_vcpu_needs_the_x2apic_in_its_cpuid(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, false);
    assert_int_equal(split_irqchip(), 0);
    assert_int_equal(add_vcpu(), 0);
    assert_int_equal(init_vcpu(), EINVAL);
    assert_int_equal(set_cpuid(0), 0);
    assert_int_equal(init_vcpu(), EINVAL);
    assert_int_equal(set_cpuid(1u << 21), 0);
    assert_int_equal(vcpu_command(UAPI_TDX_INIT_VCPU, 1, 0), EINVAL);
    assert_int_equal(init_vcpu(), 0);
}

static void a_vcpu_starts_as_the_module_leaves_it(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, true);
    assert_int_equal(plain.regs.rip, 0xfffffff0);
    assert_int_equal(plain.regs.rcx, 0x1234);
    assert_int_equal(plain.regs.r8, 0x1234);
    assert_int_equal(plain.regs.rbx, 48);
    assert_int_equal(plain.regs.rdx, 0x806f8);
    assert_int_equal(plain.regs.rsi, 0);
    assert_int_equal(plain.sregs.cs.base, 0);
    assert_int_equal(plain.sregs.cs.limit, UINT32_MAX);
    assert_true(plain.sregs.cs.db && !plain.sregs.cs.l);
    assert_int_equal(plain.sregs.cr0, 0x21);
    assert_int_equal(plain.sregs.efer, 0x901);
    assert_int_equal(plain.sregs.apic_base, 0xfee00d00);
    assert_int_equal(plain.mp.mp_state, KVM_MP_STATE_RUNNABLE);
}

static const struct kvm_cpuid_entry2 *shown(uint32_t function)
{
    for (unsigned i = 0; i < plain.cpuid_count; i++)
        if (plain.cpuid[i].function == function)
            return &plain.cpuid[i];
    fail_msg("no leaf %#x", function);
    return NULL;
}

static void the_guest_sees_an_intel_processor_in_a_td(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, true);
    assert_int_equal(shown(0)->ebx, 0x756e6547);
    assert_int_equal(shown(1)->eax, 0x806f8);
    assert_true(shown(1)->ecx & 1u << 31);
    assert_true(shown(1)->ecx & 1u << 21);
    assert_int_equal(shown(0x21)->ebx, 0x65746e49);
    assert_true((shown(0x80000008)->eax & 0xff) >= 48);
    assert_int_equal(shown(0x40000001)->eax, 1u << 1 | 1u << 12 | 1u << 15);
    /* 80 times 25 MHz is what the clock below has */
    assert_int_equal(shown(0x15)->ebx, 80);
    assert_int_equal(shown(0x15)->ecx, 25000000);
}

static void get_cpuid_says_how_much_room_it_needs(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, true);
    struct kvm_cpuid2 small = {0};
    assert_int_equal(vcpu_command(UAPI_TDX_GET_CPUID, 0, (uintptr_t)&small), E2BIG);
    assert_true(small.nent > 20);
}

static void init_mem_region_checks_its_range(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, true);
    struct uapi_tdx_init_mem_region bad[] = {
        {(uintptr_t)page, 0, 0},
        {0, 0, 1},
        {(uintptr_t)page + 1, 0, 1},
        {(uintptr_t)page, 1, 1},
        {(uintptr_t)page, TDX_SHARED_BIT, 1},
        {(uintptr_t)page, TDX_SHARED_BIT - 4096, 2},
        {(uintptr_t)page, 0, UINT64_MAX / 4096},
        {(uintptr_t)page, TD_RAM, 1}, /* no slot */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(vcpu_command(UAPI_TDX_INIT_MEM_REGION, 0, (uintptr_t)&bad[i]), EINVAL);
    struct uapi_tdx_init_mem_region good = {(uintptr_t)page, 0, 1};
    assert_int_equal(vcpu_command(UAPI_TDX_INIT_MEM_REGION, 2, (uintptr_t)&good), EINVAL);
    assert_int_equal(vcpu_command(UAPI_TDX_INIT_MEM_REGION, 0, (uintptr_t)&good), 0);
}

static void init_mem_region_advances_to_where_it_failed(void **state)
{
    (void)state;
    go_to(TD_INITIALISED, true);
    assert_int_equal(set_private(0x5000, 4096, false), 0);
    struct uapi_tdx_init_mem_region region = {(uintptr_t)page, 0x4000, 2};
    assert_int_equal(vcpu_command(UAPI_TDX_INIT_MEM_REGION, 0, (uintptr_t)&region), EINVAL);
    assert_int_equal(region.gpa, 0x5000);
    assert_int_equal(region.nr_pages, 1);
    assert_int_equal(region.source_addr, (uintptr_t)page + 4096);
    assert_int_equal(add_pages(0x4000, page, 1, false), EIO); /* a second time */
}

static void the_host_has_no_registers_of_a_td(void **state)
{
    (void)state;
    static const unsigned long gone[] = {KVM_GET_REGS,    KVM_SET_REGS,       KVM_GET_SREGS, KVM_SET_SREGS,
                                         KVM_GET_FPU,     KVM_SET_FPU,        KVM_GET_LAPIC, KVM_SET_LAPIC,
                                         KVM_GET_XSAVE,   KVM_TRANSLATE,      KVM_GET_XCRS,  KVM_SET_XCRS,
                                         KVM_SET_TSC_KHZ, KVM_SET_GUEST_DEBUG};
    static uint8_t room[8192];
    go_to(TD_INITIALISED, true);
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        assert_int_equal(vcpu_ioctl(gone[i], room), EINVAL);
}

static void a_td_has_as_many_vcpus_as_the_host_has_processors(void **state)
{
    (void)state;
    assert_int_equal(kvm->ioctl(td.vm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_MAX_VCPUS), 64);
    assert_int_equal(kvm->ioctl(td.vm, KVM_CHECK_EXTENSION, (void *)KVM_CAP_READONLY_MEM), 0);
    go_to(TD_INITIALISED, true);
    for (uintptr_t id = 1; id < 64; id++) {
        int fd = kvm->ioctl(td.vm, KVM_CREATE_VCPU, (void *)id);
        assert_true(fd >= 0);
        kvm->close(fd);
    }
    assert_int_equal(second_vcpu(), EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TD(every_command_in_every_phase),
        ON_A_TD(capabilities_need_room_for_every_leaf),
        ON_A_TD(capabilities_are_what_kvm_allows),
        ON_A_TD(a_command_must_not_bring_a_module_error),
        ON_A_TD(init_vm_refuses_what_kvm_does),
        ON_A_TD(a_bit_that_the_module_refuses_is_told_with_its_status),
        ON_A_TD(a_td_without_vcpus_cannot_be_finalised_and_is_dead_then),
        ON_A_TD(a_td_has_only_the_split_interrupt_controller),
        ON_A_TD(a_vcpu_needs_the_x2apic_in_its_cpuid),
        ON_A_TD(a_vcpu_starts_as_the_module_leaves_it),
        ON_A_TD(the_guest_sees_an_intel_processor_in_a_td),
        ON_A_TD(get_cpuid_says_how_much_room_it_needs),
        ON_A_TD(init_mem_region_checks_its_range),
        ON_A_TD(init_mem_region_advances_to_where_it_failed),
        ON_A_TD(the_host_has_no_registers_of_a_td),
        ON_A_TD(a_td_has_as_many_vcpus_as_the_host_has_processors),
    };
    return cmocka_run_group_tests_name("emu TDX launch", tests, NULL, NULL);
}
