/*
 * HLT by TDG.VP.VMCALL. The guest calls it with its interrupts off in RFLAGS and says in R12 whether that is meant; if
 * not, it wants to wake on one, and to take it only after it has set IF itself. The plain KVM wakes a halted vCPU for
 * interrupts only where IF is set, and would deliver them then.
 *
 * So the vCPU halts at the TDCALL, with IF set and KVM told not to inject (KVM_GUESTDBG_BLOCKIRQ). When an interrupt
 * waits, KVM enters the guest without it, the TDCALL raises #UD again before anything else happens, and the flags come
 * back as they were.
 */
#include "vmm/emu/host.h"
#include "vmm/emu/tdx/tdx.h"

#define RFLAGS_IF (1ull << 9)

static int hold_interrupts(struct tdx_vcpu *vcpu, bool hold)
{
    struct kvm_guest_debug debug = {.control = hold ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ : 0};
    return host_ioctl(vcpu->emu.fd, KVM_SET_GUEST_DEBUG, &debug);
}

/* IF as the guest says that it means it; the flags as they were are kept for the end. */
static int set_flags(struct tdx_vcpu *vcpu, bool interrupts)
{
    struct kvm_regs regs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (rc)
        return rc;
    vcpu->rflags = regs.rflags;
    regs.rflags = interrupts ? regs.rflags | RFLAGS_IF : regs.rflags & ~RFLAGS_IF;
    return host_ioctl(vcpu->emu.fd, KVM_SET_REGS, &regs);
}

static int restore_flags(struct tdx_vcpu *vcpu)
{
    struct kvm_regs regs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    regs.rflags = vcpu->rflags;
    return rc ? rc : host_ioctl(vcpu->emu.fd, KVM_SET_REGS, &regs);
}

int tdx_vmcall_halt(struct tdx_vcpu *vcpu)
{
    struct kvm_mp_state halted = {KVM_MP_STATE_HALTED};
    int rc = hold_interrupts(vcpu, true);
    if (!rc)
        rc = set_flags(vcpu, !(vcpu->call.gpr[R12] & 1));
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_SET_MP_STATE, &halted);
    if (rc)
        return rc;
    vcpu->halted = true;
    return EMU_RESUME;
}

int tdx_halt_end(struct tdx_vcpu *vcpu)
{
    int rc = restore_flags(vcpu);
    if (!rc)
        rc = hold_interrupts(vcpu, false);
    if (rc)
        return rc;
    vcpu->halted = false;
    return tdx_vmcall_return(&vcpu->emu);
}
