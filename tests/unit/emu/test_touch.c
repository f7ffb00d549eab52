/*
 * An SNP guest touched a page that it may not: which pages the caller is asked to convert, and for which the guest gets its
 * exception. On a stand-in for the plain KVM, whose runs end with EFAULT as over memory that is not there, and the module's word of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sev/abi.h"
#include "vmm/emu/host.h"
#include "vmm/emu/memory.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/kvm/uapi.h"

#define RAM      (16u << 12)
#define USABLE   0x1000ull /* launched, as all below UNUSABLE is */
#define TABLES   0x2000ull
#define UNUSABLE 0x3000ull
#define SHARED   0x8000ull
#define C        EMU_HIGH_MASK
#define PAGING   (1ull << 31 | 1)
#define PAE      (1ull << 5)
#define LAUNCHED 3
#define DATA     (1ull << 32 | 1ull << 2) /* error codes of accesses */
#define FETCH    (DATA | COFRE_UD_FAULT_FETCH)
#define WALK     (COFRE_UD_FAULT_TABLES | 1ull << 2)

/* The stand-in: page tables map every address to itself, with the C-bit where the address has it. */

static struct kvm_regs regs;
static struct kvm_sregs sregs;
static struct cofre_ud_fault seen; /* by the module, in each run */
static unsigned runs;
static struct kvm_run *run;

static int fake_open(const char *path, int flags)
{
    (void)path, (void)flags;
    return memfd_create("fake", MFD_CLOEXEC);
}

static int zeros(void *out, size_t len)
{
    memset(out, 0, len);
    return 0;
}

static int translate(struct kvm_translation *t)
{
    t->physical_address = t->linear_address;
    t->valid = 1;
    return 0;
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
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)argument)->nent = 1;
        ((struct kvm_cpuid2 *)argument)->entries[0] =
            (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0x3030};
        return 0;
    case KVM_GET_MSRS:
        return 1;
    case KVM_TRANSLATE:
        return translate(argument);
    case KVM_GET_SREGS:
        *(struct kvm_sregs *)argument = sregs;
        return 0;
    case KVM_GET_REGS:
        *(struct kvm_regs *)argument = regs;
        return 0;
    case KVM_GET_FPU:
        return zeros(argument, sizeof(struct kvm_fpu));
    case KVM_GET_XSAVE:
        return zeros(argument, sizeof(struct kvm_xsave));
    case KVM_GET_XCRS:
        return zeros(argument, sizeof(struct kvm_xcrs));
    case KVM_GET_LAPIC:
        return zeros(argument, sizeof(struct kvm_lapic_state));
    case KVM_GET_VCPU_EVENTS:
        return zeros(argument, sizeof(struct kvm_vcpu_events));
    case KVM_GET_DEBUGREGS:
        zeros(argument, sizeof(struct kvm_debugregs));
        ((struct kvm_debugregs *)argument)->dr7 = 0x400;
        return 0;
    case KVM_RUN:
        runs++;
        memcpy((uint8_t *)run + COFRE_UD_FAULT_OFFSET, &seen, sizeof seen);
        errno = EFAULT;
        return -1;
    default:
        return 0;
    }
}

/* A vCPU's run area is the same for whoever maps it. */
static void *fake_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (ftruncate(fd, (off_t)length) != 0)
        return MAP_FAILED;
    return mmap(address, length, protection, flags, fd, offset);
}

static const struct kvm_backend fake = {"fake", false, fake_open, fake_ioctl, fake_mmap, munmap, close, NULL};

static const struct kvm_backend *kvm = &kvm_backend_emulated;
static int kvm_fd, sev_fd, vm, vcpu, gmem;
static uint8_t *ram;

static void sev(uint32_t id, void *data)
{
    struct uapi_sev_cmd cmd = {.id = id, .data = (uintptr_t)data, .sev_fd = (uint32_t)sev_fd};
    assert_int_equal(kvm->ioctl(vm, KVM_MEMORY_ENCRYPT_OP, &cmd), 0);
}

static void set_private(uint64_t gpa, uint64_t size, bool private)
{
    struct uapi_memory_attributes in = {
        .address = gpa, .size = size, .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0};
    assert_int_equal(kvm->ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &in), 0);
}

static void add_memory(void)
{
    struct uapi_create_guest_memfd create = {.size = RAM};
    gmem = kvm->ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
    ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct uapi_memory_region2 region = {.flags = KVM_MEM_GUEST_MEMFD,
                                         .memory_size = RAM,
                                         .userspace_addr = (uintptr_t)ram,
                                         .guest_memfd = (uint32_t)gmem};
    assert_int_equal(kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region), 0);
}

static void launch(void)
{
    struct uapi_sev_init2 init = {0};
    struct uapi_snp_launch_start start = {.policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT};
    struct uapi_snp_launch_update update = {
        .uaddr = (uintptr_t)ram, .len = LAUNCHED << 12, .type = SNP_PAGE_NORMAL};
    struct uapi_snp_launch_finish finish = {0};
    sev(UAPI_SEV_INIT2, &init);
    sev(UAPI_SEV_SNP_LAUNCH_START, &start);
    vcpu = kvm->ioctl(vm, KVM_CREATE_VCPU, NULL);
    run = kvm->mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    assert_true(vcpu >= 0 && run != MAP_FAILED);
    set_private(0, SHARED, true);
    while (update.len)
        sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &update);
    sev(UAPI_SEV_SNP_LAUNCH_FINISH, &finish);
}

static int set_up(void **state)
{
    (void)state;
    emu_host = &fake;
    regs = (struct kvm_regs){0};
    sregs = (struct kvm_sregs){0};
    kvm_fd = kvm->open("/dev/kvm", O_RDWR);
    sev_fd = kvm->open("/dev/sev", O_RDWR);
    vm = kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SNP_VM);
    add_memory();
    launch();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kvm->munmap(run, 3 * 4096);
    kvm->close(vcpu);
    kvm->close(gmem);
    kvm->close(vm);
    kvm->close(sev_fd);
    kvm->close(kvm_fd);
    munmap(ram, RAM);
    return 0;
}

/* One KVM_RUN of a guest in this state. */
static int touch(uint64_t gpa, uint64_t code, uint64_t cr0, uint64_t cr4)
{
    regs.rip = USABLE;
    sregs.cr0 = cr0;
    sregs.cr3 = TABLES;
    sregs.cr4 = cr4;
    seen = (struct cofre_ud_fault){.error_code = code, .gpa = gpa};
    run->exit_reason = 0;
    runs = 0;
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
    assert_true(runs > 1);
    set_private(UNUSABLE, 4096, false);
    assert_int_equal(touch(UNUSABLE, DATA, PAGING, PAE), EFAULT);
    assert_true(runs == 1); /* they were in a row */
}

static void an_error_without_an_access_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(touch(UNUSABLE, 0, PAGING, PAE), EFAULT);
    assert_int_not_equal(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
    assert_true(runs == 1);
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
