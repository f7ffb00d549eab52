/* One SNP virtual machine: a plain one that leaves to us what SNP adds. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"

#define XEN_HYPERCALL_MSR 0x40000200
#define HYPERCALL_EXITS   (1ull << KVM_HC_MAP_GPA_RANGE)

static int enable_cap(int vm_fd, uint32_t cap, uint64_t argument)
{
    struct kvm_enable_cap enable = {.cap = cap, .args = {argument}};
    return host_ioctl(vm_fd, KVM_ENABLE_CAP, &enable);
}

/* The two MSRs that SNP adds leave the guest; the caller's own ranges stay before ours. */
static int filter_msrs(int vm_fd, struct kvm_msr_filter *filter)
{
    static uint8_t none[1]; /* no bit set: denied, so the guest leaves */
    for (size_t i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
        if (filter->ranges[i].nmsrs)
            continue;
        filter->ranges[i] = (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                                                          .nmsrs = 2,
                                                          .base = EMU_MSR_GHCB,
                                                          .bitmap = none};
        return host_ioctl(vm_fd, KVM_X86_SET_MSR_FILTER, filter);
    }
    return -EINVAL;
}

static int leave_on_msrs(int vm_fd)
{
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
    int rc = enable_cap(vm_fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
    return rc ? rc : filter_msrs(vm_fd, &filter);
}

static int leave_on_vmmcall(int vm_fd)
{
    /* Without an MSR for the hypercall page the kernel leaves its Xen support off; no guest of ours looks for it. */
    struct kvm_xen_hvm_config config = {.flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
                                        .msr = XEN_HYPERCALL_MSR};
    int rc = host_ioctl(vm_fd, KVM_XEN_HVM_CONFIG, &config);
    if (rc)
        log_error("this kernel cannot give a guest's VMMCALL to user space: it needs CONFIG_KVM_XEN (%s)",
                  strerror(-rc));
    return rc;
}

static int leave_on_ud(int vm_fd)
{
    CLEAN_FD ud = emu_host->open(COFRE_UD_DEVICE, O_RDWR | O_CLOEXEC);
    if (ud < 0) {
        log_error("the emulated platform needs %s (%s): build and load the module in vmm/emu/module",
                  COFRE_UD_DEVICE, strerror(errno));
        return -ENODEV;
    }
    int rc = host_ioctl_value(ud, COFRE_UD_CATCH, (unsigned long)vm_fd);
    return rc ? rc : TAKE_FD(ud);
}

static int read_supported(struct emu_vm *vm)
{
    vm->supported = calloc(EMU_CPUID_MAX, sizeof(*vm->supported));
    return vm->supported ? emu_cpuid_supported(vm->kvm_fd, vm->supported, &vm->supported_count) : -ENOMEM;
}

static int set_up(struct emu_vm *vm)
{
    int rc = leave_on_msrs(vm->fd);
    if (!rc)
        rc = leave_on_vmmcall(vm->fd);
    if (!rc)
        rc = read_supported(vm);
    if (rc)
        return rc;
    vm->ud_fd = leave_on_ud(vm->fd);
    return vm->ud_fd < 0 ? vm->ud_fd : 0;
}

int emu_vm_create(struct emu_vm **out, int kvm_fd, int *fd)
{
    struct emu_vm *vm = calloc(1, sizeof(*vm));
    if (!vm)
        return -ENOMEM;
    vm->refs = 1;
    vm->ud_fd = vm->sev_fd = -1;
    vm->kvm_fd = kvm_fd;
    vm->fd = host_ioctl_value(kvm_fd, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
    int rc = vm->fd < 0 ? vm->fd : 0;
    memory_init(&vm->memory, vm->fd);
    pthread_mutex_init(&vm->lock, NULL);
    if (!rc)
        rc = set_up(vm);
    if (rc) {
        if (vm->fd >= 0)
            emu_host->close(vm->fd);
        vm->kvm_fd = -1;
        emu_vm_put(vm);
        return rc;
    }
    *fd = vm->fd;
    *out = vm;
    return 0;
}

void emu_vm_get(struct emu_vm *vm)
{
    atomic_fetch_add(&vm->refs, 1);
}

void emu_vm_put(struct emu_vm *vm)
{
    if (atomic_fetch_sub(&vm->refs, 1) != 1)
        return;
    if (vm->ud_fd >= 0)
        emu_host->close(vm->ud_fd);
    if (vm->kvm_fd >= 0)
        emu_host->close(vm->kvm_fd);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        emu_vcpu_free(vm->vcpu[i]);
    emu_launch_free(vm);
    memory_free(&vm->memory);
    pthread_mutex_destroy(&vm->lock);
    free(vm->supported);
    free(vm);
}

int emu_vm_check_extension(struct emu_vm *vm, int kvm_fd, unsigned long capability)
{
    switch (capability) {
    case KVM_CAP_VM_TYPES:
        return 1 << KVM_X86_DEFAULT_VM | 1 << KVM_X86_SNP_VM;
    case KVM_CAP_GUEST_MEMFD:
    case KVM_CAP_USER_MEMORY2:
    case KVM_CAP_MEMORY_FAULT_INFO:
        return 1;
    case KVM_CAP_MEMORY_ATTRIBUTES:
        return (int)KVM_MEMORY_ATTRIBUTE_PRIVATE;
    case KVM_CAP_EXIT_HYPERCALL:
        return (int)HYPERCALL_EXITS;
    case KVM_CAP_NR_MEMSLOTS:
        return EMU_SLOTS_MAX;
    case KVM_CAP_SYNC_REGS:
    case KVM_CAP_XEN_HVM:
        return 0;
    default:
        return host_ioctl_value(vm ? vm->fd : kvm_fd, KVM_CHECK_EXTENSION, capability);
    }
}

static int vm_enable_cap(struct emu_vm *vm, const struct kvm_enable_cap *cap)
{
    const uint64_t msr_reasons =
        KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
    switch (cap->cap) {
    case KVM_CAP_EXIT_HYPERCALL:
        if (cap->flags || cap->args[0] & ~HYPERCALL_EXITS)
            return -EINVAL;
        vm->hypercall_exits = cap->args[0];
        return 0;
    case KVM_CAP_X86_USER_SPACE_MSR:
        if (cap->flags || cap->args[0] & ~msr_reasons)
            return -EINVAL;
        vm->msr_exits = cap->args[0];
        return enable_cap(vm->fd, cap->cap, cap->args[0] | KVM_MSR_EXIT_REASON_FILTER);
    default:
        return host_ioctl(vm->fd, KVM_ENABLE_CAP, (void *)(uintptr_t)cap);
    }
}

static int create_vcpu(struct emu_vm *vm, uint32_t id)
{
    struct emu_vcpu *vcpu;
    if (vm->vcpu_count >= EMU_VCPUS_MAX)
        return -EINVAL;
    int rc = emu_vcpu_create(vm, id, &vcpu);
    if (rc)
        return rc;
    rc = emu_register_vcpu(vcpu->fd, vcpu);
    if (rc)
        return rc;
    vm->vcpu[vm->vcpu_count++] = vcpu;
    return vcpu->fd;
}

static int create_gmem(struct emu_vm *vm, const struct uapi_create_guest_memfd *create)
{
    struct emu_gmem *gmem;
    int fd;
    if (create->flags)
        return -EINVAL;
    int rc = gmem_create(&gmem, create->size, &fd);
    if (rc)
        return rc;
    rc = emu_register_gmem(fd, gmem, vm);
    return rc ? rc : fd;
}

static int set_region2(struct emu_vm *vm, const struct uapi_memory_region2 *region)
{
    struct emu_gmem *gmem = NULL;
    if (region->flags & KVM_MEM_GUEST_MEMFD) {
        if (region->memory_size && fcntl((int)region->guest_memfd, F_GETFD) < 0)
            return -EBADF;
        gmem = emu_gmem_of((int)region->guest_memfd, vm);
        if (region->memory_size && !gmem)
            return -EINVAL;
    }
    return memory_set_region(&vm->memory, region, gmem);
}

static int set_region(struct emu_vm *vm, const struct kvm_userspace_memory_region *old)
{
    struct uapi_memory_region2 region = {
        .slot = old->slot,
        .flags = old->flags,
        .guest_phys_addr = old->guest_phys_addr,
        .memory_size = old->memory_size,
        .userspace_addr = old->userspace_addr,
    };
    return old->flags & KVM_MEM_GUEST_MEMFD ? -EINVAL : memory_set_region(&vm->memory, &region, NULL);
}

static int locked(struct emu_vm *vm, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_ENABLE_CAP:
        return vm_enable_cap(vm, argument);
    case KVM_CREATE_VCPU:
        return create_vcpu(vm, (uint32_t)(uintptr_t)argument);
    case KVM_CREATE_GUEST_MEMFD:
        return create_gmem(vm, argument);
    case KVM_MEMORY_ENCRYPT_OP:
        return argument ? emu_launch_command(vm, argument) : 0;
    case KVM_X86_SET_MSR_FILTER: {
        struct kvm_msr_filter filter = *(const struct kvm_msr_filter *)argument;
        return filter_msrs(vm->fd, &filter);
    }
    default:
        return -ENOTTY;
    }
}

int emu_vm_ioctl(struct emu_vm *vm, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return emu_vm_check_extension(vm, vm->kvm_fd, (uintptr_t)argument);
    case KVM_SET_USER_MEMORY_REGION:
        return set_region(vm, argument);
    case KVM_SET_USER_MEMORY_REGION2:
        return set_region2(vm, argument);
    case KVM_SET_MEMORY_ATTRIBUTES:
        return memory_set_attributes(&vm->memory, argument);
    case KVM_XEN_HVM_CONFIG:
        return -EINVAL; /* the emulation has it */
    case KVM_ENABLE_CAP:
    case KVM_CREATE_VCPU:
    case KVM_CREATE_GUEST_MEMFD:
    case KVM_MEMORY_ENCRYPT_OP:
    case KVM_X86_SET_MSR_FILTER: {
        pthread_mutex_lock(&vm->lock);
        int rc = locked(vm, request, argument);
        pthread_mutex_unlock(&vm->lock);
        return rc;
    }
    default:
        return host_ioctl(vm->fd, request, argument);
    }
}
