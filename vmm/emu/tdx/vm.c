/* One TD: a plain virtual machine that leaves to us what TDX adds. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <stdlib.h>

#include "vmm/base/bytes.h"
#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/tdx/tdx.h"
#include "vmm/emu/types.h"

static int vm_init(struct emu_vm *vm)
{
    tdx_memory_init(tdx_vm(vm));
    int khz = host_ioctl_value(vm->fd, KVM_GET_TSC_KHZ, 0);
    tdx_vm(vm)->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
    return emu_vm_leave_on_ud(vm);
}

void tdx_say(const char *name, const uint8_t value[TDX_DIGEST_SIZE])
{
    char hex[2 * TDX_DIGEST_SIZE + 1];
    hex_encode(hex, value, TDX_DIGEST_SIZE);
    log_info("TDX module: %s %s", name, hex);
}

/* What the registers are at the end; a TD that its caller never closes does not come here. */
static void say_registers(struct tdx_td *td)
{
    static const char *const names[TDX_RTMRS] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    static const uint8_t no_data[TDX_REPORT_DATA_SIZE];
    struct tdx_report report;
    if (!td || tdg_mr_report(td, no_data, &report) != TDX_SUCCESS)
        return;
    for (unsigned i = 0; i < TDX_RTMRS; i++)
        tdx_say(names[i], report.td.rtmr[i]);
}

static void vm_free(struct emu_vm *vm)
{
    if (log_wanted(LOG_ROOM, LOG_INFO))
        say_registers(tdx_vm(vm)->td);
    tdx_td_free(tdx_vm(vm)->td);
    sept_free(&tdx_vm(vm)->sept);
}

static int check_extension(unsigned long capability)
{
    switch (capability) {
    case KVM_CAP_MAX_VCPUS:
        return TDX_HOST_CPUS; /* tdx_vm_init */
    case KVM_CAP_READONLY_MEM:
        return 0;
    default:
        return EMU_COMMON;
    }
}

static int enable_cap(struct tdx_vm *vm, struct kvm_enable_cap *cap)
{
    if (cap->cap != KVM_CAP_SPLIT_IRQCHIP)
        return EMU_COMMON;
    int rc = host_ioctl(vm->emu.fd, KVM_ENABLE_CAP, cap);
    vm->split_irqchip |= rc == 0;
    return rc;
}

/* tdx_vcpu_create; EMU_COMMON creates it */
static int may_create_vcpu(const struct tdx_vm *vm)
{
    if (vm->emu.vcpu_count >= TDX_HOST_CPUS)
        return -EINVAL;
    if (vm->state != TD_INITIALISED)
        return -EIO;
    return vm->split_irqchip ? EMU_COMMON : -EINVAL;
}

/* The plain one scales its clock, or cannot; the module counts in what the plain one then has. */
static int set_tsc_khz(struct tdx_vm *vm, unsigned long khz)
{
    int rc = host_ioctl_value(vm->emu.fd, KVM_SET_TSC_KHZ, khz);
    if (rc)
        return rc;
    int now = host_ioctl_value(vm->emu.fd, KVM_GET_TSC_KHZ, 0);
    vm->tsc_khz = now > 0 ? (uint32_t)now : vm->tsc_khz;
    return 0;
}

static int vm_ioctl(struct emu_vm *emu, unsigned long request, void *argument)
{
    struct tdx_vm *vm = tdx_vm(emu);
    if (vm->dead)
        return -EIO;
    switch (request) {
    case KVM_CHECK_EXTENSION:
        return check_extension((uintptr_t)argument);
    case KVM_MEMORY_ENCRYPT_OP:
        return argument ? tdx_vm_command(vm, argument) : -EFAULT;
    case KVM_ENABLE_CAP:
        return enable_cap(vm, argument);
    case KVM_CREATE_IRQCHIP: /* 6.18 and later */
        return -ENOTTY;
    case KVM_CREATE_VCPU:
        return may_create_vcpu(vm);
    case KVM_SET_TSC_KHZ:
        return set_tsc_khz(vm, (uintptr_t)argument);
    case KVM_SET_USER_MEMORY_REGION:
    case KVM_SET_USER_MEMORY_REGION2: /* both begin with the slot and its flags */
        return ((const struct kvm_userspace_memory_region *)argument)->flags & KVM_MEM_READONLY ? -EINVAL
                                                                                                : EMU_COMMON;
    default:
        return EMU_COMMON;
    }
}

static int system_ioctl(int kvm_fd, unsigned long request, void *argument)
{
    (void)kvm_fd, (void)request, (void)argument;
    return EMU_COMMON;
}

const struct emu_type tdx_type = {
    .vm_type = KVM_X86_TDX_VM,
    .title = "TDX",
    .vm_size = sizeof(struct tdx_vm),
    .vcpu_size = sizeof(struct tdx_vcpu),
    .system_ioctl = system_ioctl,
    .vm_init = vm_init,
    .vm_free = vm_free,
    .vm_ioctl = vm_ioctl,
    .vcpu_init = tdx_vcpu_init,
    .vcpu_free = tdx_vcpu_free,
    .vcpu_ioctl = tdx_vcpu_ioctl,
    .enter = tdx_vcpu_enter,
};
