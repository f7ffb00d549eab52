/*
 * The order of the launch commands, as Linux 7.3 has it: every cell of "commands by phase", on a stand-in for the plain
 * KVM and the real model of the firmware. Errors are errno values; codes are the firmware's.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sev/abi.h"
#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/kvm/uapi.h"

#define RAM (64u << 12)

/* The stand-in: every descriptor is an empty file, every ioctl succeeds, registers are in their reset state. */

static uint64_t dr7 = 0x400;
static unsigned plain_runs;

static bool old_module;

static int fake_open(const char *path, int flags)
{
    (void)path, (void)flags;
    return memfd_create("fake", MFD_CLOEXEC);
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    switch (request) {
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return memfd_create("fake", MFD_CLOEXEC);
    case KVM_GET_VCPU_MMAP_SIZE:
        return 3 * 4096;
    case KVM_GET_SUPPORTED_CPUID: {
        struct kvm_cpuid2 *table = argument;
        table->nent = 1;
        table->entries[0] = (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0x3030};
        return 0;
    }
    case KVM_GET_MSRS:
        return 1;
    case KVM_GET_SREGS:
        memset(argument, 0, sizeof(struct kvm_sregs));
        return 0;
    case KVM_GET_REGS:
        memset(argument, 0, sizeof(struct kvm_regs));
        return 0;
    case KVM_GET_FPU:
        memset(argument, 0, sizeof(struct kvm_fpu));
        return 0;
    case KVM_GET_XSAVE:
        memset(argument, 0, sizeof(struct kvm_xsave));
        return 0;
    case KVM_GET_XCRS:
        memset(argument, 0, sizeof(struct kvm_xcrs));
        return 0;
    case KVM_GET_LAPIC:
        memset(argument, 0, sizeof(struct kvm_lapic_state));
        return 0;
    case KVM_GET_DEBUGREGS:
        memset(argument, 0, sizeof(struct kvm_debugregs));
        ((struct kvm_debugregs *)argument)->dr7 = dr7;
        return 0;
    case KVM_RUN:
        plain_runs++;
        return 0;
    case COFRE_UD_CATCH:
        errno = ENOTTY;
        return old_module ? -1 : 0;
    default:
        return 0;
    }
}

static void *fake_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    (void)flags, (void)fd, (void)offset;
    return mmap(address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static const struct kvm_backend fake = {"fake", false, fake_open, fake_ioctl, fake_mmap, munmap, close, NULL};

/* One virtual machine, and the calls on it */

static const struct kvm_backend *kvm = &kvm_backend_emulated;
static int kvm_fd, sev_fd, vm, vcpu, gmem;
static uint8_t *ram;
static uint8_t page[4096] __attribute__((aligned(4096)));
static uint32_t code;

static int sev_with(int fd, uint32_t id, void *data)
{
    struct uapi_sev_cmd cmd = {.id = id, .data = (uintptr_t)data, .sev_fd = (uint32_t)fd};
    int rc = kvm->ioctl(vm, KVM_MEMORY_ENCRYPT_OP, &cmd) < 0 ? errno : 0;
    code = cmd.error;
    return rc;
}

static int sev(uint32_t id, void *data)
{
    return sev_with(sev_fd, id, data);
}

static int init2(void)
{
    struct uapi_sev_init2 in = {0};
    return sev(UAPI_SEV_INIT2, &in);
}

static int enable_certificates(void)
{
    return sev(UAPI_SEV_SNP_ENABLE_REQ_CERTS, NULL);
}

static int start(void)
{
    struct uapi_snp_launch_start in = {.policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT};
    return sev(UAPI_SEV_SNP_LAUNCH_START, &in);
}

static uint64_t next_gfn;

static int update(void)
{
    struct uapi_snp_launch_update in = {
        .gfn_start = next_gfn++, .uaddr = (uintptr_t)page, .len = 4096, .type = SNP_PAGE_NORMAL};
    return sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in);
}

static int finish(void)
{
    struct uapi_snp_launch_finish in = {0};
    return sev(UAPI_SEV_SNP_LAUNCH_FINISH, &in);
}

static int old_command(void)
{
    return sev(2, NULL); /* KVM_SEV_LAUNCH_START of SEV without SNP */
}

static int unknown_command(void)
{
    return sev(4711, NULL);
}

static int set_private(uint64_t gpa, uint64_t size, uint64_t attributes)
{
    struct uapi_memory_attributes in = {.address = gpa, .size = size, .attributes = attributes};
    return kvm->ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &in) < 0 ? errno : 0;
}

static int add_vcpu(unsigned id)
{
    vcpu = kvm->ioctl(vm, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
    return vcpu < 0 ? errno : 0;
}

static int run(void)
{
    return kvm->ioctl(vcpu, KVM_RUN, NULL) < 0 ? errno : 0;
}

static int region(uint32_t slot, uint64_t gpa, uint64_t size, uint32_t flags, uint64_t offset, int fd)
{
    struct uapi_memory_region2 in = {
        .slot = slot,
        .flags = flags,
        .guest_phys_addr = gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)ram,
        .guest_memfd = (uint32_t)fd,
        .guest_memfd_offset = offset,
    };
    return kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &in) < 0 ? errno : 0;
}

static int set_up(void **state)
{
    (void)state;
    emu_host = &fake;
    dr7 = 0x400;
    plain_runs = 0;
    next_gfn = 0;
    vcpu = -1;
    kvm_fd = kvm->open("/dev/kvm", O_RDWR);
    sev_fd = kvm->open("/dev/sev", O_RDWR);
    vm = kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SNP_VM);
    assert_true(vm >= 0);
    ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct uapi_create_guest_memfd create = {.size = RAM};
    gmem = kvm->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
    assert_true(gmem >= 0);
    assert_int_equal(region(0, 0, RAM, KVM_MEM_GUEST_MEMFD, 0, gmem), 0);
    return set_private(0, RAM, KVM_MEMORY_ATTRIBUTE_PRIVATE);
}

static int tear_down(void **state)
{
    (void)state;
    if (vcpu >= 0)
        kvm->close(vcpu);
    kvm->close(gmem);
    kvm->close(vm);
    kvm->close(sev_fd);
    kvm->close(kvm_fd);
    munmap(ram, RAM);
    return 0;
}

/* The table. The phases are reached by the commands before them; each cell on a machine of its own. */

enum phase { CREATED, INITIALISED, STARTED, FINISHED, PHASES };

static void go_to(enum phase phase, bool with_vcpu)
{
    if (phase >= INITIALISED)
        assert_int_equal(init2(), 0);
    if (with_vcpu)
        assert_int_equal(add_vcpu(0), 0);
    if (phase >= STARTED)
        assert_int_equal(start(), 0);
    if (phase >= FINISHED)
        assert_int_equal(finish(), 0);
}

static void every_command_in_every_phase(void **state)
{
    static const struct {
        const char *name;
        int (*call)(void);
        int want[PHASES];
    } table[] = {
        {"INIT2", init2, {0, EPERM, EPERM, EPERM}},
        {"a command below 100", old_command, {EINVAL, EPERM, EPERM, EPERM}},
        {"an unknown command", unknown_command, {EINVAL, EINVAL, EINVAL, EINVAL}},
        {"ENABLE_REQ_CERTS", enable_certificates, {EINVAL, 0, 0, 0}},
        {"LAUNCH_START", start, {ENOTTY, 0, EINVAL, EINVAL}},
        {"LAUNCH_UPDATE", update, {EINVAL, EINVAL, 0, EIO}},
        {"LAUNCH_FINISH", finish, {ENOTTY, EINVAL, 0, EIO}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (enum phase phase = CREATED; phase < PHASES; phase++) {
            go_to(phase, false);
            int got = table[i].call();
            if (got != table[i].want[phase])
                fail_msg("%s in phase %d: %s", table[i].name, phase, strerror(got));
            tear_down(state);
            set_up(state);
        }
}

static void every_command_with_a_vcpu(void **state)
{
    static const struct {
        const char *name;
        int (*call)(void);
        int want[PHASES];
    } table[] = {
        {"INIT2", init2, {EINVAL, EPERM, EPERM, EPERM}},
        {"ENABLE_REQ_CERTS", enable_certificates, {EINVAL, EINVAL, EINVAL, EINVAL}},
        {"LAUNCH_FINISH", finish, {ENOTTY, EINVAL, 0, EINVAL}},
        {"KVM_RUN", run, {EINVAL, EINVAL, EINVAL, 0}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (enum phase phase = CREATED; phase < PHASES; phase++) {
            go_to(phase, true);
            int got = table[i].call();
            if (got != table[i].want[phase])
                fail_msg("%s in phase %d: %s", table[i].name, phase, strerror(got));
            tear_down(state);
            set_up(state);
        }
}

static void no_plain_vcpu_runs_before_the_launch_is_finished(void **state)
{
    (void)state;
    go_to(STARTED, true);
    assert_int_equal(run(), EINVAL);
    assert_int_equal(plain_runs, 0);
    assert_int_equal(finish(), 0);
    assert_int_equal(run(), 0);
    assert_int_equal(plain_runs, 1);
}

/* INIT2 */

static void init2_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    struct uapi_sev_init2 bad[] = {{.flags = 1},
                                   {.vmsa_features = 1},
                                   {.vmsa_features = 1ull << 9},
                                   {.ghcb_version = 1},
                                   {.ghcb_version = 3}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sev(UAPI_SEV_INIT2, &bad[i]), EINVAL);
    struct uapi_sev_init2 good = {.vmsa_features = 1u << 5, .ghcb_version = 2};
    assert_int_equal(sev(UAPI_SEV_INIT2, &good), 0);
}

/* START */

static void start_checks_policy_and_flags(void **state)
{
    (void)state;
    go_to(INITIALISED, false);
    struct uapi_snp_launch_start bad[] = {
        {.policy = SNP_POLICY_RESERVED_ONE, .flags = 1},
        {.policy = SNP_POLICY_SMT},
        {.policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_MIGRATE_MA},
        {.policy = SNP_POLICY_RESERVED_ONE | 1ull << 26},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_START, &bad[i]), EINVAL);
    assert_int_equal(start(), 0);
}

static void a_bad_firmware_descriptor_is_enotty_at_start_and_can_be_retried(void **state)
{
    (void)state;
    go_to(INITIALISED, false);
    struct uapi_snp_launch_start in = {.policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT};
    assert_int_equal(sev_with(kvm_fd, UAPI_SEV_SNP_LAUNCH_START, &in), ENOTTY);
    assert_int_equal(sev_with(-1, UAPI_SEV_SNP_LAUNCH_START, &in), ENOTTY);
    assert_int_equal(start(), 0);
}

static void a_policy_that_the_firmware_refuses_is_eio_with_its_code(void **state)
{
    (void)state;
    go_to(INITIALISED, false);
    struct uapi_snp_launch_start in = {.policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT | 0xffff};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_START, &in), EIO);
    assert_int_equal(code, 7);
    assert_int_equal(start(), 0);
}

/* UPDATE */

static int update_with(struct uapi_snp_launch_update in)
{
    return sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in);
}

static void update_checks_its_parameters(void **state)
{
    (void)state;
    go_to(STARTED, false);
    uint64_t at = (uintptr_t)page;
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, at, 4096, 1, 0, 1, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, at, 4096, 2, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, at, 4096, 7, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, at, 0, 1, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, at, 4095, 1, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, 0, 4096, 1, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, at + 8, 4096, 1, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){1000, at, 4096, 1, 0, 0, 0, {0}}), EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){UINT64_MAX, at, 4096, 1, 0, 0, 0, {0}}),
                     EINVAL);
    assert_int_equal(update_with((struct uapi_snp_launch_update){0, 0, 4096, 3, 0, 0, 0, {0}}), 0);
    assert_int_equal(update_with((struct uapi_snp_launch_update){1, at, 4096, 5, 0, 0, 0, {0}}), 0);
}

static void update_is_eio_without_code_where_kvm_refuses_the_page(void **state)
{
    (void)state;
    go_to(STARTED, false);
    assert_int_equal(update(), 0);
    next_gfn = 0;
    assert_int_equal(update(), EIO); /* assigned already */
    assert_int_equal(code, 0);
    assert_int_equal(set_private(4096, 4096, 0), 0);
    assert_int_equal(update(), EIO); /* not private */
    assert_int_equal(code, 0);
}

static void update_says_how_far_it_came(void **state)
{
    (void)state;
    static uint8_t three[3 * 4096] __attribute__((aligned(4096)));
    go_to(STARTED, false);
    assert_int_equal(set_private(2 * 4096, 4096, 0), 0);
    struct uapi_snp_launch_update in = {0, (uintptr_t)three, sizeof(three), SNP_PAGE_NORMAL, 0, 0, 0, {0}};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), 0);
    assert_int_equal(in.gfn_start, 2);
    assert_int_equal(in.len, 4096);
    assert_true(in.uaddr == (uintptr_t)three + 2 * 4096);
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), EIO); /* the failure comes now */
    assert_int_equal(set_private(2 * 4096, 4096, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), 0);
    assert_int_equal(in.len, 0);
}

static void update_stops_at_the_slots_end(void **state)
{
    (void)state;
    static uint8_t two[2 * 4096] __attribute__((aligned(4096)));
    go_to(STARTED, false);
    struct uapi_snp_launch_update in = {63, (uintptr_t)two, sizeof(two), SNP_PAGE_NORMAL, 0, 0, 0, {0}};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), 0);
    assert_int_equal(in.gfn_start, 64);
    assert_int_equal(in.len, 4096);
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), EINVAL);
}

static void a_refused_cpuid_page_comes_back_corrected(void **state)
{
    (void)state;
    static struct snp_cpuid_page cpuid __attribute__((aligned(4096)));
    go_to(STARTED, false);
    memset(&cpuid, 0, sizeof(cpuid));
    cpuid.count = 1;
    cpuid.fn[0] = (struct snp_cpuid_function){.eax_in = 0x80000008, .eax = 0x3030, .ebx = 0xffffffff};
    struct snp_cpuid_page given = cpuid;
    struct uapi_snp_launch_update in = {0, (uintptr_t)&cpuid, 4096, SNP_PAGE_CPUID, 0, 0, 0, {0}};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), EIO);
    assert_int_equal(code, 0x16);
    assert_memory_not_equal(&given, &cpuid, sizeof(cpuid));
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &in), 0);
}

/* FINISH */

static void finish_wants_the_blobs_that_it_is_told_of(void **state)
{
    (void)state;
    go_to(STARTED, false);
    struct uapi_snp_launch_finish in = {.id_block_en = 1};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_FINISH, &in), EINVAL);
    in = (struct uapi_snp_launch_finish){.flags = 1};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_FINISH, &in), EINVAL);
    assert_int_equal(finish(), 0);
}

static void a_failure_after_the_vmsas_is_final(void **state)
{
    (void)state;
    static struct snp_id_block block; /* of no launch at all */
    static struct snp_id_auth auth;
    go_to(STARTED, true);
    struct uapi_snp_launch_finish in = {
        .id_block_en = 1, .id_block_uaddr = (uintptr_t)&block, .id_auth_uaddr = (uintptr_t)&auth};
    assert_int_equal(sev(UAPI_SEV_SNP_LAUNCH_FINISH, &in), EIO);
    assert_int_not_equal(code, 0);
    assert_int_equal(finish(), EINVAL);
    assert_int_equal(run(), EINVAL);
}

static void a_debugged_vcpu_cannot_be_launched(void **state)
{
    (void)state;
    go_to(STARTED, true);
    dr7 = 0x401;
    assert_int_equal(finish(), EINVAL);
    dr7 = 0x400;
    assert_int_equal(finish(), 0);
}

static void the_firmware_descriptor_must_stay_open(void **state)
{
    (void)state;
    go_to(STARTED, false);
    int kept = sev_fd;
    kvm->close(sev_fd);
    assert_int_equal(sev_with(kept, UAPI_SEV_SNP_LAUNCH_FINISH, &(struct uapi_snp_launch_finish){0}), EBADF);
    sev_fd = kvm->open("/dev/sev", O_RDWR);
}

static void registers_are_the_guests_after_finish(void **state)
{
    (void)state;
    struct kvm_regs regs = {0};
    struct kvm_sregs sregs = {0};
    struct kvm_fpu fpu = {0};
    go_to(STARTED, true);
    assert_int_equal(kvm->ioctl(vcpu, KVM_GET_REGS, &regs), 0);
    assert_int_equal(finish(), 0);
    assert_int_equal(kvm->ioctl(vcpu, KVM_GET_REGS, &regs), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(kvm->ioctl(vcpu, KVM_SET_SREGS, &sregs), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(kvm->ioctl(vcpu, KVM_GET_FPU, &fpu), 0); /* stays open on hardware too */
}

/* Memory and capabilities */

static void memory_attributes_are_checked(void **state)
{
    (void)state;
    assert_int_equal(set_private(0, 0, 8), EINVAL);
    assert_int_equal(set_private(1, 4096, 8), EINVAL);
    assert_int_equal(set_private(0, 4095, 8), EINVAL);
    assert_int_equal(set_private(0, 4096, 1), EINVAL);
    assert_int_equal(set_private(UINT64_MAX - 4095, 8192, 8), EINVAL);
    assert_int_equal(set_private(1ull << 40, 4096, 8), 0); /* no slot is needed */
}

static void memory_regions_are_checked(void **state)
{
    (void)state;
    const uint64_t gpa = 1ull << 30;
    assert_int_equal(region(1, gpa, RAM, KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY, 0, gmem), EINVAL);
    assert_int_equal(region(1, gpa, RAM, KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES, 0, gmem), EINVAL);
    assert_int_equal(region(1, gpa, RAM, KVM_MEM_GUEST_MEMFD, 4096, gmem), EINVAL); /* past its end */
    assert_int_equal(region(1, gpa, RAM, KVM_MEM_GUEST_MEMFD, 0, kvm_fd), EINVAL);  /* no guest_memfd */
    assert_int_equal(region(1, gpa, RAM, KVM_MEM_GUEST_MEMFD, 0, 9999), EBADF);
    assert_int_equal(region(1, 4096, 4096, 0, 0, -1), EEXIST);
    assert_int_equal(region(0, 0, RAM, KVM_MEM_GUEST_MEMFD, 0, gmem), EINVAL); /* cannot be modified */
    assert_int_equal(region(1 << 16, gpa, RAM, 0, 0, -1), EINVAL);             /* address space 1 */
    assert_int_equal(region(1, gpa, RAM, 0, 0, -1), 0);
    assert_int_equal(region(1, gpa, 0, 0, 0, -1), 0);
}

static void guest_memfds_are_checked(void **state)
{
    (void)state;
    struct uapi_create_guest_memfd bad[] = {{.size = 0},
                                            {.size = 4097},
                                            {.size = 4096, .flags = GUEST_MEMFD_FLAG_INIT_SHARED},
                                            {.size = 4096, .flags = 4}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(kvm->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &bad[i]), -1);
    assert_true(kvm->mmap(NULL, 4096, PROT_READ, MAP_SHARED, gmem, 0) == MAP_FAILED);
    assert_int_equal(errno, ENODEV);
}

static int extension(int fd, unsigned long capability)
{
    return kvm->ioctl(fd, KVM_CHECK_EXTENSION, (void *)capability);
}

static void shows_the_capabilities_of_an_snp_host(void **state)
{
    (void)state;
    assert_int_equal(extension(kvm_fd, KVM_CAP_VM_TYPES), 1 << 0 | 1 << 4 | 1 << 5);
    assert_int_equal(extension(vm, KVM_CAP_GUEST_MEMFD), 1);
    assert_int_equal(extension(vm, KVM_CAP_GUEST_MEMFD_FLAGS), GUEST_MEMFD_FLAG_MMAP);
    assert_int_equal(extension(kvm_fd, KVM_CAP_GUEST_MEMFD_FLAGS),
                     GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
    assert_int_equal(extension(vm, KVM_CAP_MEMORY_ATTRIBUTES), 8);
    assert_int_equal(extension(vm, KVM_CAP_EXIT_HYPERCALL), 1 << 12);
    struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_HYPERCALL, .args = {1 << 11}};
    assert_int_equal(kvm->ioctl(vm, KVM_ENABLE_CAP, &cap), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)3ul), -1); /* SEV-ES is not emulated */
    assert_int_equal(errno, EINVAL);
}

static void shows_the_attributes_of_an_snp_host(void **state)
{
    (void)state;
    uint64_t value = 0;
    struct kvm_device_attr attr = {.group = 1, .attr = 0, .addr = (uintptr_t)&value};
    assert_int_equal(kvm->ioctl(kvm_fd, KVM_GET_DEVICE_ATTR, &attr), 0);
    assert_int_equal(value & 1, 0); /* SNP_ACTIVE is KVM's to add */
    attr.attr = 1;
    assert_int_equal(kvm->ioctl(kvm_fd, KVM_GET_DEVICE_ATTR, &attr), 0);
    assert_int_equal(value >> 16 & 7, 3);
    attr.attr = 2;
    assert_int_equal(kvm->ioctl(kvm_fd, KVM_HAS_DEVICE_ATTR, &attr), 0);
    attr.attr = 3;
    assert_int_equal(kvm->ioctl(kvm_fd, KVM_GET_DEVICE_ATTR, &attr), -1);
    assert_int_equal(errno, ENXIO);
}

static void an_older_module_is_refused(void **state)
{
    (void)state;
    old_module = true;
    const int refused = kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SNP_VM), error = errno;
    old_module = false;
    assert_int_equal(refused, -1);
    assert_int_equal(error, ENOTTY);
}

int main(void)
{
#define ON_A_MACHINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_A_MACHINE(an_older_module_is_refused),
        ON_A_MACHINE(every_command_in_every_phase),
        ON_A_MACHINE(every_command_with_a_vcpu),
        ON_A_MACHINE(no_plain_vcpu_runs_before_the_launch_is_finished),
        ON_A_MACHINE(init2_refuses_what_it_does_not_know),
        ON_A_MACHINE(start_checks_policy_and_flags),
        ON_A_MACHINE(a_bad_firmware_descriptor_is_enotty_at_start_and_can_be_retried),
        ON_A_MACHINE(a_policy_that_the_firmware_refuses_is_eio_with_its_code),
        ON_A_MACHINE(update_checks_its_parameters),
        ON_A_MACHINE(update_is_eio_without_code_where_kvm_refuses_the_page),
        ON_A_MACHINE(update_says_how_far_it_came),
        ON_A_MACHINE(update_stops_at_the_slots_end),
        ON_A_MACHINE(a_refused_cpuid_page_comes_back_corrected),
        ON_A_MACHINE(finish_wants_the_blobs_that_it_is_told_of),
        ON_A_MACHINE(a_failure_after_the_vmsas_is_final),
        ON_A_MACHINE(a_debugged_vcpu_cannot_be_launched),
        ON_A_MACHINE(the_firmware_descriptor_must_stay_open),
        ON_A_MACHINE(registers_are_the_guests_after_finish),
        ON_A_MACHINE(memory_attributes_are_checked),
        ON_A_MACHINE(memory_regions_are_checked),
        ON_A_MACHINE(guest_memfds_are_checked),
        ON_A_MACHINE(shows_the_capabilities_of_an_snp_host),
        ON_A_MACHINE(shows_the_attributes_of_an_snp_host),
    };
    return cmocka_run_group_tests_name("emu launch", tests, NULL, NULL);
}
