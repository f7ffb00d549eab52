/* One SNP virtual machine: a plain one that leaves to us what SNP adds. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/log.h"
#include "vmm/emu/caller.h"
#include "vmm/emu/host.h"
#include "vmm/emu/snp/snp.h"
#include "vmm/emu/types.h"

#define XEN_HYPERCALL_MSR 0x40000200

/* The two MSRs that SNP adds leave the guest; the caller's own ranges stay before ours. */
static int filter_msrs(int vm_fd, struct kvm_msr_filter *filter)
{
    static uint8_t none[1]; /* no bit set: denied, so the guest leaves */
    for (size_t i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
        if (filter->ranges[i].nmsrs)
            continue;
        filter->ranges[i] = (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                                                          .nmsrs = 2,
                                                          .base = SNP_MSR_GHCB,
                                                          .bitmap = none};
        return host_ioctl(vm_fd, KVM_X86_SET_MSR_FILTER, filter);
    }
    return -EINVAL;
}

static int leave_on_msrs(struct emu_vm *vm)
{
    struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
    int rc = emu_vm_enable_cap(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
    return rc ? rc : filter_msrs(vm->fd, &filter);
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

static int read_supported(struct snp_vm *vm)
{
    vm->supported = calloc(EMU_CPUID_MAX, sizeof(*vm->supported));
    return vm->supported ? snp_cpuid_supported(vm->emu.kvm_fd, vm->supported, &vm->supported_count) : -ENOMEM;
}

static int vm_init(struct emu_vm *vm)
{
    snp_vm(vm)->sev_fd = -1;
    snp_vm(vm)->has_vmpls = snp_vmpl_wanted();
    snp_memory_init(snp_vm(vm));
    int rc = leave_on_msrs(vm);
    if (!rc)
        rc = leave_on_vmmcall(vm->fd);
    if (!rc)
        rc = read_supported(snp_vm(vm));
    return rc ? rc : emu_vm_leave_on_ud(vm);
}

static void vm_free(struct emu_vm *vm)
{
    struct snp_vm *snp = snp_vm(vm);
    if (snp->guest)
        psp_guest_free(snp->guest);
    rmp_free(&snp->rmp);
    free(snp->supported);
}

/* The caller's reasons for exits on MSRs, and ours. */
static int exit_on_msrs(struct emu_vm *vm, const struct kvm_enable_cap *cap)
{
    const uint64_t reasons =
        KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
    if (cap->flags || cap->args[0] & ~reasons)
        return -EINVAL;
    snp_vm(vm)->msr_exits = cap->args[0];
    return emu_vm_enable_cap(vm, cap->cap, cap->args[0] | KVM_MSR_EXIT_REASON_FILTER);
}

static int vm_ioctl(struct emu_vm *vm, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_MEMORY_ENCRYPT_OP:
        return argument ? snp_launch_command(snp_vm(vm), argument) : 0;
    case KVM_ENABLE_CAP:
        if (((const struct kvm_enable_cap *)argument)->cap == KVM_CAP_X86_USER_SPACE_MSR)
            return exit_on_msrs(vm, argument);
        return EMU_COMMON;
    case KVM_X86_SET_MSR_FILTER: {
        struct kvm_msr_filter filter = *(const struct kvm_msr_filter *)argument;
        return filter_msrs(vm->fd, &filter);
    }
    default:
        return EMU_COMMON;
    }
}

static int get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *table)
{
    CLEAN_FREE struct kvm_cpuid_entry2 *entry = calloc(EMU_CPUID_MAX, sizeof(*entry));
    struct kvm_cpuid2 head;
    unsigned n;
    if (!entry)
        return -ENOMEM;
    int rc = caller_read(&head, table, sizeof(head));
    if (!rc)
        rc = snp_cpuid_supported(kvm_fd, entry, &n);
    if (rc)
        return rc;
    if (head.nent < n)
        return -E2BIG;
    head.nent = n;
    rc = caller_write(table, &head, sizeof(head));
    return rc ? rc : caller_write(CALLER_AT(table, entries), entry, n * sizeof(*entry));
}

/* Group 1 of /dev/kvm's attributes: SEV. */
static int device_attribute(unsigned long request, const struct kvm_device_attr *attr)
{
    static const uint64_t values[] = {
        [UAPI_X86_SEV_VMSA_FEATURES] = SNP_VMSA_FEATURES,
        [UAPI_X86_SEV_POLICY_BITS] = SNP_HOST_POLICY_BITS,
        [UAPI_X86_SEV_REQ_CERTS] = 1,
    };
    if (attr->group != UAPI_X86_GRP_SEV)
        return EMU_COMMON;
    if (attr->attr >= sizeof(values) / sizeof(values[0]))
        return -ENXIO;
    if (request == KVM_HAS_DEVICE_ATTR)
        return 0;
    return caller_write(caller_at(attr->addr, 0), &values[attr->attr], sizeof(values[0]));
}

static int system_ioctl(int kvm_fd, unsigned long request, void *argument)
{
    switch (request) {
    case KVM_GET_SUPPORTED_CPUID:
        return get_supported_cpuid(kvm_fd, argument);
    case KVM_GET_DEVICE_ATTR:
    case KVM_HAS_DEVICE_ATTR:
        return device_attribute(request, argument);
    default:
        return EMU_COMMON;
    }
}

bool snp_is_sev_fd(int fd)
{
    return emu_is_device(fd, &snp_type);
}

const struct emu_type snp_type = {
    .vm_type = KVM_X86_SNP_VM,
    .title = "SEV-SNP",
    .device = "/dev/sev",
    .vm_size = sizeof(struct snp_vm),
    .vcpu_size = sizeof(struct snp_vcpu),
    .device_ioctl = snp_device_ioctl,
    .system_ioctl = system_ioctl,
    .vm_init = vm_init,
    .vm_free = vm_free,
    .vm_ioctl = vm_ioctl,
    .vcpu_init = snp_vcpu_init,
    .vcpu_free = snp_vcpu_free,
    .vcpu_ioctl = snp_vcpu_ioctl,
    .enter = snp_vcpu_enter,
};
