/* One SNP vCPU: its ioctls, and what the plain KVM's exits mean. */
#define LOG_ROOM "emu"
#include <errno.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/module/cofre_ud.h"
#include "vmm/emu/snp/snp.h"

#ifndef KVM_EXIT_XEN
#error "linux/kvm.h is older than Linux 5.12"
#endif

int snp_vcpu_init(struct emu_vcpu *vcpu)
{
    snp_vcpu(vcpu)->ghcb.registered = UINT64_MAX;
    snp_ap_init(snp_vcpu(vcpu));
    return 0;
}

void snp_vcpu_free(struct emu_vcpu *vcpu)
{
    snp_ap_free(snp_vcpu(vcpu));
}

static int on_msr(struct snp_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->emu.run;
    bool write = run->exit_reason == KVM_EXIT_X86_WRMSR;
    run->msr.error = 0;
    if (run->msr.index == SNP_MSR_GHCB && write)
        vcpu->ghcb.value = run->msr.data;
    else if (run->msr.index == SNP_MSR_GHCB)
        run->msr.data = vcpu->ghcb.value;
    else if (run->msr.index == SNP_MSR_SEV_STATUS && !write)
        run->msr.data = 3 | snp_vm_of(vcpu)->sev_features << 2; /* SEV, SEV-ES; SNP_ACTIVE becomes bit 2 */
    else if (run->msr.index == SNP_MSR_SEV_STATUS ||
             !(snp_vm_of(vcpu)->msr_exits & KVM_MSR_EXIT_REASON_FILTER))
        run->msr.error = 1; /* #GP */
    else
        return EMU_EXIT; /* the caller's own filter */
    return EMU_RESUME;
}

/* VMMCALL left the plain guest: VMGEXIT if it has the repeat prefix. */
static int on_vmmcall(struct snp_vcpu *vcpu)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    vcpu->in_vmgexit = true;
    vcpu->rax = vcpu->emu.run->xen.u.hcall.input;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    if (rc)
        return rc;
    if (vcpu->emu.run->xen.u.hcall.cpl == 0 &&
        emu_vcpu_instruction(&vcpu->emu, &regs, &sregs) == INSN_VMGEXIT)
        return snp_vmgexit(vcpu);
    vcpu->rax = (uint64_t)-1000; /* -KVM_ENOSYS: on hardware the guest's own #VC handler would answer */
    return EMU_RESUME;
}

static int on_failure(struct snp_vcpu *vcpu, int rc)
{
    if (rc == -EFAULT)
        return snp_untouchable_page(vcpu);
    return rc == -EAGAIN ? snp_ap_on_event(vcpu) : rc;
}

static int on_exit_reason(struct snp_vcpu *vcpu)
{
    switch (vcpu->emu.run->exit_reason) {
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        return on_msr(vcpu);
    case KVM_EXIT_XEN:
        return on_vmmcall(vcpu);
    case COFRE_UD_EXIT:
        return snp_undefined_opcode(vcpu);
    default:
        return EMU_EXIT;
    }
}

int snp_vcpu_enter(struct emu_vcpu *emu)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    int rc = snp_ap_ready(vcpu);
    if (rc != EMU_RESUME)
        return rc;
    if (vcpu->in_vmgexit)
        emu->run->xen.u.hcall.result = vcpu->rax;
    vcpu->in_vmgexit = false;
    rc = emu_vcpu_enter(emu);
    snp_ap_left(vcpu);
    return rc < 0 ? on_failure(vcpu, rc) : on_exit_reason(vcpu);
}

static int run(struct snp_vcpu *vcpu)
{
    if (snp_vm_of(vcpu)->phase != PHASE_FINISHED || !vcpu->protected)
        return -EINVAL;
    return emu_vcpu_run(&vcpu->emu);
}

static int adapt_cpuid(struct emu_vcpu *vcpu, struct kvm_cpuid_entry2 *own, unsigned *n)
{
    (void)vcpu;
    snp_cpuid_for_plain(own, *n);
    return 0;
}

static int set_sregs(struct snp_vcpu *vcpu, unsigned long request, void *argument)
{
    int rc = host_ioctl(vcpu->emu.fd, request, argument);
    if (!rc) {
        /* struct kvm_sregs2 begins as kvm_sregs does, up to the interrupt bitmap */
        memcpy(&vcpu->sregs, argument, offsetof(struct kvm_sregs, interrupt_bitmap));
        vcpu->sregs_set = true;
    }
    return rc;
}

int snp_vcpu_ioctl(struct emu_vcpu *emu, unsigned long request, void *argument)
{
    struct snp_vcpu *vcpu = snp_vcpu(emu);
    if (vcpu->protected && emu_is_register_ioctl(request))
        return -EINVAL;
    switch (request) {
    case KVM_RUN:
        return run(vcpu);
    case KVM_SET_CPUID2:
        return emu_vcpu_set_cpuid(emu, argument, adapt_cpuid);
    case KVM_SET_SREGS:
    case KVM_SET_SREGS2:
        return set_sregs(vcpu, request, argument);
    default:
        return host_ioctl(emu->fd, request, argument);
    }
}
