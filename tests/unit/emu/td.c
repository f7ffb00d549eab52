#include "tests/unit/emu/td.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"

const struct kvm_backend *const kvm = &kvm_backend_emulated;
struct plain plain;
struct td td;

static const struct kvm_cpuid_entry2 supported[] = {
    {.function = 0, .eax = 0x10},
    {.function = 1, .eax = TD_HOST_FMS, .ecx = 1u << 21, .edx = 0x178bfbff},
    {.function = 0xd,
     .index = 0,
     .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
     .eax = 7,
     .ebx = 0x340,
     .ecx = 0x340},
    {.function = 0xd, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .eax = 1},
    {.function = 0x80000000, .eax = 0x8000001f},
    {.function = 0x80000008, .eax = 0x3030},
};
#define SUPPORTED (sizeof(supported) / sizeof(supported[0]))

static int fake_open(const char *path, int flags)
{
    (void)path, (void)flags;
    return memfd_create("fake", MFD_CLOEXEC);
}

static int fail_with(int error)
{
    errno = error;
    return -1;
}

static int fake_run(void)
{
    plain.runs++;
    int error = plain.run_error;
    plain.run_error = 0;
    if (error)
        memcpy((uint8_t *)plain.run + COFRE_UD_FAULT_OFFSET, &plain.fault, sizeof plain.fault);
    if (error)
        return fail_with(error);
    if (plain.exits == 0)
        return fail_with(EINTR);
    plain.exits--;
    plain.run->exit_reason = plain.exit_reason;
    return 0;
}

/* Registers, read and written as they are. */
static const struct {
    unsigned long get, set;
    void *value;
    size_t size;
} registers[] = {
    {KVM_GET_REGS, KVM_SET_REGS, &plain.regs, sizeof(plain.regs)},
    {KVM_GET_SREGS, KVM_SET_SREGS, &plain.sregs, sizeof(plain.sregs)},
    {KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, &plain.events, sizeof(plain.events)},
    {KVM_GET_MP_STATE, KVM_SET_MP_STATE, &plain.mp, sizeof(plain.mp)},
    {0, KVM_SET_GUEST_DEBUG, &plain.debug, sizeof(plain.debug)},
};

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        if (request == registers[i].get)
            memcpy(argument, registers[i].value, registers[i].size);
        if (request == registers[i].set)
            memcpy(registers[i].value, argument, registers[i].size);
    }
    switch (request) {
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return memfd_create("fake", MFD_CLOEXEC);
    case KVM_GET_VCPU_MMAP_SIZE:
        return 3 * 4096;
    case KVM_GET_TSC_KHZ:
        return 2000000;
    case KVM_GET_SUPPORTED_CPUID: {
        struct kvm_cpuid2 *table = argument;
        table->nent = SUPPORTED;
        memcpy(table->entries, supported, sizeof(supported));
        return 0;
    }
    case KVM_SET_CPUID2: {
        const struct kvm_cpuid2 *table = argument;
        plain.cpuid_count = table->nent;
        memcpy(plain.cpuid, table->entries, table->nent * sizeof(table->entries[0]));
        return 0;
    }
    case KVM_TRANSLATE: {
        struct kvm_translation *t = argument;
        t->physical_address = t->linear_address;
        t->valid = 1;
        return 0;
    }
    case KVM_GET_MSRS:
        ((struct kvm_msrs *)argument)->entries[0].data = plain.msr;
        return 1;
    case KVM_SET_MSRS:
        plain.msr = ((struct kvm_msrs *)argument)->entries[0].data;
        return 1;
    case KVM_RUN:
        return fake_run();
    default:
        return 0;
    }
}

static void *fake_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    (void)flags, (void)fd, (void)offset;
    plain.run = mmap(address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return plain.run;
}

static const struct kvm_backend fake = {"fake", false, fake_open, fake_ioctl, fake_mmap, munmap, close, NULL};

static int outcome(int rc)
{
    return rc < 0 ? errno : 0;
}

int vm_ioctl(unsigned long request, void *argument)
{
    return outcome(kvm->ioctl(td.vm, request, argument));
}

int vcpu_ioctl(unsigned long request, void *argument)
{
    return outcome(kvm->ioctl(td.vcpu, request, argument));
}

int vm_command(uint32_t id, uint32_t flags, const void *data)
{
    struct uapi_tdx_cmd cmd = {.id = id, .flags = flags, .data = (uintptr_t)data};
    int rc = vm_ioctl(KVM_MEMORY_ENCRYPT_OP, &cmd);
    td.hw_error = cmd.hw_error;
    return rc;
}

int vcpu_command(uint32_t id, uint32_t flags, uint64_t data)
{
    struct uapi_tdx_cmd cmd = {.id = id, .flags = flags, .data = data};
    int rc = vcpu_ioctl(KVM_MEMORY_ENCRYPT_OP, &cmd);
    td.hw_error = cmd.hw_error;
    return rc;
}

int init_vm_with(const struct kvm_cpuid_entry2 *entry, uint32_t n, uint64_t attributes, uint64_t xfam)
{
    static union {
        struct uapi_tdx_init_vm in;
        uint8_t room[sizeof(struct uapi_tdx_init_vm) + 300 * sizeof(struct kvm_cpuid_entry2)];
    } u;
    memset(&u, 0, sizeof(u));
    u.in.attributes = attributes;
    u.in.xfam = xfam;
    u.in.cpuid.nent = n;
    for (uint32_t i = 0; entry && i < n; i++)
        u.in.cpuid.entries[i] = entry[i];
    return vm_command(UAPI_TDX_INIT_VM, 0, &u);
}

int init_vm(void)
{
    const struct kvm_cpuid_entry2 entry[] = {
        {.function = 1, .eax = TD_HOST_FMS & 0x0fff3fff},
        {.function = 0x80000008, .eax = TDX_GPAW << 16},
    };
    return init_vm_with(entry, 2, TDX_ATTR_SEPT_VE_DISABLE, 3);
}

int split_irqchip(void)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
    return vm_ioctl(KVM_ENABLE_CAP, &split);
}

int add_vcpu(void)
{
    int fd = kvm->ioctl(td.vm, KVM_CREATE_VCPU, 0);
    if (fd < 0)
        return errno;
    td.vcpu = fd;
    return 0;
}

int set_cpuid(uint32_t leaf_1_ecx)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entry[2];
    } table = {.head.nent = 2,
               .entry = {{.function = 1, .ecx = leaf_1_ecx}, {.function = 0x40000001, .eax = UINT32_MAX}}};
    return vcpu_ioctl(KVM_SET_CPUID2, &table);
}

int init_vcpu(void)
{
    return vcpu_command(UAPI_TDX_INIT_VCPU, 0, 0x1234);
}

int set_private(uint64_t gpa, uint64_t size, bool is_private)
{
    struct uapi_memory_attributes in = {
        .address = gpa, .size = size, .attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};
    return vm_ioctl(KVM_SET_MEMORY_ATTRIBUTES, &in);
}

int add_pages(uint64_t gpa, const void *source, uint64_t pages, bool measure)
{
    struct uapi_tdx_init_mem_region in = {.source_addr = (uintptr_t)source, .gpa = gpa, .nr_pages = pages};
    return vcpu_command(UAPI_TDX_INIT_MEM_REGION, measure ? UAPI_TDX_MEASURE_MEMORY_REGION : 0,
                        (uintptr_t)&in);
}

int finalize(void)
{
    return vm_command(UAPI_TDX_FINALIZE_VM, 0, NULL);
}

int run(void)
{
    return vcpu_ioctl(KVM_RUN, NULL);
}

void go_to(enum td_phase phase, bool with_vcpu)
{
    static uint8_t code[4096] __attribute__((aligned(4096))) = {0x66, 0x0f, 0x01, 0xcc};
    static const uint8_t zeros[4096] __attribute__((aligned(4096)));
    if (phase >= TD_INITIALISED)
        assert_int_equal(init_vm(), 0);
    if (phase >= TD_INITIALISED && with_vcpu) {
        assert_int_equal(split_irqchip(), 0);
        assert_int_equal(add_vcpu(), 0);
        assert_int_equal(set_cpuid(1u << 21), 0);
        assert_int_equal(init_vcpu(), 0);
    }
    if (phase < TD_RUNS)
        return;
    assert_int_equal(add_pages(TD_CODE, code, 1, true), 0);
    assert_int_equal(add_pages(TD_DATA, zeros, 1, false), 0);
    assert_int_equal(finalize(), 0);
    plain.regs = (struct kvm_regs){.rip = TD_CODE, .rflags = 2};
    plain.sregs.efer = 1u << 10;
    plain.sregs.cs.l = 1;
}

int td_set_up(void **state)
{
    (void)state;
    emu_host = &fake;
    plain = (struct plain){0};
    td = (struct td){.vcpu = -1};
    td.kvm = kvm->open("/dev/kvm", O_RDWR);
    td.vm = kvm->ioctl(td.kvm, KVM_CREATE_VM, (void *)KVM_X86_TDX_VM);
    assert_true(td.vm >= 0);
    td.ram = mmap(NULL, TD_RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct uapi_create_guest_memfd create = {.size = TD_RAM};
    td.gmem = kvm->ioctl(td.vm, KVM_CREATE_GUEST_MEMFD, &create);
    struct uapi_memory_region2 region = {.flags = KVM_MEM_GUEST_MEMFD,
                                         .memory_size = TD_RAM,
                                         .userspace_addr = (uintptr_t)td.ram,
                                         .guest_memfd = (uint32_t)td.gmem};
    assert_int_equal(vm_ioctl(KVM_SET_USER_MEMORY_REGION2, &region), 0);
    return set_private(0, TD_RAM, true);
}

int td_tear_down(void **state)
{
    (void)state;
    if (td.vcpu >= 0)
        kvm->close(td.vcpu);
    kvm->close(td.gmem);
    kvm->close(td.vm);
    kvm->close(td.kvm);
    munmap(td.ram, TD_RAM);
    return 0;
}

int tdcall(void)
{
    plain.regs.rip = TD_CODE;
    plain.exits = 1;
    plain.exit_reason = COFRE_UD_EXIT;
    return run();
}

int leaf(uint64_t number, uint64_t rcx, uint64_t rdx, uint64_t r8)
{
    plain.regs.rax = number;
    plain.regs.rcx = rcx;
    plain.regs.rdx = rdx;
    plain.regs.r8 = r8;
    return tdcall();
}

int vmcall(uint64_t function, uint64_t r12, uint64_t r13, uint64_t r14, uint64_t r15)
{
    plain.regs.rax = TDG_VP_VMCALL;
    plain.regs.rcx = ALL_EXPOSED;
    plain.regs.r10 = 0;
    plain.regs.r11 = function;
    plain.regs.r12 = r12;
    plain.regs.r13 = r13;
    plain.regs.r14 = r14;
    plain.regs.r15 = r15;
    return tdcall();
}
