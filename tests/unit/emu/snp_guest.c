#include "tests/unit/emu/snp_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "sev/abi.h"
#include "vmm/emu/host.h"

#define LAUNCHED  3
#define VCPUS_MAX 2
#define RUN_SIZE  (3 * 4096)

const struct kvm_backend *const kvm = &kvm_backend_emulated;
struct plain_vcpu plain;
struct kvm_run *run;
int vcpu;
const void *snp_guest_first_page;
uint8_t *snp_guest_shared;

static int kvm_fd, sev_fd, vm, gmem, made[VCPUS_MAX];
static unsigned count;
static uint8_t *ram;

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

static int run_plain(void)
{
    const struct plain_run *how = plain.plan;
    plain.runs++;
    plain.entered = plain.mp_state;
    plain.mp_state = how->mp_state;
    if (how[1].error || how[1].exit)
        plain.plan++;
    memcpy((uint8_t *)run + COFRE_UD_FAULT_OFFSET, &plain.seen, sizeof plain.seen);
    if (how->exit)
        how->exit();
    errno = how->error;
    return how->error ? -1 : 0;
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd;
    switch (request) {
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return memfd_create("fake", MFD_CLOEXEC);
    case KVM_GET_VCPU_MMAP_SIZE:
        return RUN_SIZE;
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)argument)->nent = 1;
        ((struct kvm_cpuid2 *)argument)->entries[0] =
            (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 0x3030};
        return 0;
    case KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return 1;
    case KVM_TRANSLATE:
        return translate(argument);
    case KVM_GET_SREGS:
        *(struct kvm_sregs *)argument = plain.sregs;
        return 0;
    case KVM_SET_SREGS:
        plain.sregs = *(struct kvm_sregs *)argument;
        return 0;
    case KVM_GET_REGS:
        *(struct kvm_regs *)argument = plain.regs;
        return 0;
    case KVM_SET_REGS:
        plain.regs = *(struct kvm_regs *)argument;
        plain.loaded = true;
        return 0;
    case KVM_GET_MP_STATE:
        ((struct kvm_mp_state *)argument)->mp_state = plain.mp_state;
        return 0;
    case KVM_SET_MP_STATE:
        plain.mp_state = ((struct kvm_mp_state *)argument)->mp_state;
        return 0;
    case KVM_GET_FPU:
        return zeros(argument, sizeof(struct kvm_fpu));
    case KVM_GET_XSAVE:
        *(struct kvm_xsave *)argument = plain.xsave;
        return 0;
    case KVM_SET_XSAVE:
        plain.xsave = *(struct kvm_xsave *)argument;
        return 0;
    case KVM_GET_XCRS:
        *(struct kvm_xcrs *)argument = plain.xcrs;
        return 0;
    case KVM_SET_XCRS:
        plain.xcrs = *(struct kvm_xcrs *)argument;
        return 0;
    case KVM_GET_LAPIC:
        return zeros(argument, sizeof(struct kvm_lapic_state));
    case KVM_GET_VCPU_EVENTS:
        return zeros(argument, sizeof(struct kvm_vcpu_events));
    case KVM_GET_DEBUGREGS:
        zeros(argument, sizeof(struct kvm_debugregs));
        ((struct kvm_debugregs *)argument)->dr7 = 0x400;
        return 0;
    case KVM_RUN:
        return run_plain();
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

static void sev(uint32_t id, void *data)
{
    struct uapi_sev_cmd cmd = {.id = id, .data = (uintptr_t)data, .sev_fd = (uint32_t)sev_fd};
    assert_int_equal(kvm->ioctl(vm, KVM_MEMORY_ENCRYPT_OP, &cmd), 0);
}

void set_private(uint64_t gpa, uint64_t size, bool private)
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
    snp_guest_shared = ram + SHARED;
    if (snp_guest_first_page)
        memcpy(ram + VMSA, snp_guest_first_page, 4096);
    memcpy(ram + VMGEXIT, "\xf3\x0f\x01\xd9", 4);
    memcpy(ram + RMPADJUST, "\xf3\x0f\x01\xfe", 4);
    struct uapi_memory_region2 region = {.flags = KVM_MEM_GUEST_MEMFD,
                                         .memory_size = RAM,
                                         .userspace_addr = (uintptr_t)ram,
                                         .guest_memfd = (uint32_t)gmem};
    assert_int_equal(kvm->ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region), 0);
}

void snp_guest_use(unsigned index)
{
    if (run)
        kvm->munmap(run, RUN_SIZE);
    vcpu = made[index];
    run = kvm->mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    assert_true(vcpu >= 0 && run != MAP_FAILED);
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
    for (unsigned i = 0; i < count; i++)
        made[i] = kvm->ioctl(vm, KVM_CREATE_VCPU, (void *)(uintptr_t)i);
    run = NULL;
    snp_guest_use(count - 1);
    set_private(0, SHARED, true);
    while (update.len)
        sev(UAPI_SEV_SNP_LAUNCH_UPDATE, &update);
    sev(UAPI_SEV_SNP_LAUNCH_FINISH, &finish);
    plain.loaded = false;
}

void snp_guest_launch(unsigned vcpus)
{
    static const struct plain_run touches[] = {{.error = EFAULT, .mp_state = KVM_MP_STATE_RUNNABLE},
                                               {.error = 0}};
    emu_host = &fake;
    count = vcpus;
    plain = (struct plain_vcpu){.plan = touches, .regs.rip = USABLE};
    kvm_fd = kvm->open("/dev/kvm", O_RDWR);
    sev_fd = kvm->open("/dev/sev", O_RDWR);
    vm = kvm->ioctl(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SNP_VM);
    add_memory();
    launch();
}

void snp_guest_free(void)
{
    kvm->munmap(run, RUN_SIZE);
    for (unsigned i = 0; i < count; i++)
        kvm->close(made[i]);
    kvm->close(gmem);
    kvm->close(vm);
    kvm->close(sev_fd);
    kvm->close(kvm_fd);
    munmap(ram, RAM);
}
