/* The guest executed an instruction that its processor does not know: KVM_RUN left with COFRE_UD_EXIT. */
#define LOG_ROOM "emu"
#include <errno.h>

#include "vmm/base/log.h"
#include "vmm/emu/host.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/snp/snp.h"

#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14

#define RFLAGS_CF          (1ull << 0)
#define RFLAGS_ZF          (1ull << 6)
#define RFLAGS_OF_SF_AF_PF (1ull << 11 | 1ull << 7 | 1ull << 4 | 1ull << 2)

/* The result in EAX and the flags; RIP after the instruction. */
static int finish(struct snp_vcpu *vcpu, struct kvm_regs *regs, enum rmp_status status, bool carry)
{
    regs->rax = (uint32_t)status;
    regs->rflags &= ~(RFLAGS_CF | RFLAGS_ZF | RFLAGS_OF_SF_AF_PF);
    if (carry)
        regs->rflags |= RFLAGS_CF;
    if (status == RMP_SUCCESS)
        regs->rflags |= RFLAGS_ZF;
    regs->rip += INSN_LENGTH_MAX;
    int rc = host_ioctl(vcpu->emu.fd, KVM_SET_REGS, regs);
    return rc ? rc : EMU_RESUME;
}

static enum rmp_status execute(struct snp_vcpu *vcpu, enum insn insn, const struct kvm_regs *regs,
                               uint64_t gfn, bool *carry)
{
    struct snp_vm *vm = snp_vm_of(vcpu);
    bool large = regs->rcx & 1;
    if (insn == INSN_RMPADJUST)
        return snp_rmpadjust(vm, vcpu->vmpl, gfn, large, regs->rdx);
    bool validate = regs->rdx & 1;
    if (validate && lie_is(LIE_STALE_PAGE_STATE)) {
        bool ignored;
        snp_pvalidate(vm, vcpu->vmpl, gfn, large, true, &ignored);
    }
    return snp_pvalidate(vm, vcpu->vmpl, gfn, large, validate, carry);
}

/* Linux maps memory when it faults on it, and validates what it has not touched before. */
static int page_fault(struct snp_vcpu *vcpu, struct kvm_sregs *sregs, uint64_t linear)
{
    sregs->cr2 = linear;
    int rc = host_ioctl(vcpu->emu.fd, KVM_SET_SREGS, sregs);
    return rc ? rc : emu_vcpu_inject(&vcpu->emu, VECTOR_PF, true, 0);
}

static int on_rmp_instruction(struct snp_vcpu *vcpu, enum insn insn, struct kvm_regs *regs,
                              struct kvm_sregs *sregs)
{
    uint64_t linear = emu_is_long_mode(sregs) ? regs->rax : (uint32_t)regs->rax;
    uint64_t gpa;
    bool carry = false;
    if (sregs->ss.dpl != 0)
        return emu_vcpu_inject(&vcpu->emu, VECTOR_GP, true, 0);
    linear &= ~(EMU_PAGE_SIZE - 1);
    if (emu_vcpu_translate(&vcpu->emu, linear, &gpa) != 0)
        return page_fault(vcpu, sregs, linear);
    gpa &= ~SNP_C_MASK;
    enum rmp_status status = execute(vcpu, insn, regs, gpa / EMU_PAGE_SIZE, &carry);
    if (log_wanted(LOG_ROOM, LOG_DEBUG))
        log_debug("vCPU %u: %s %#llx%s, %#llx: %d%s", vcpu->emu.id,
                  insn == INSN_PVALIDATE ? "PVALIDATE" : "RMPADJUST", (unsigned long long)gpa,
                  regs->rcx & 1 ? " (2 MiB)" : "", (unsigned long long)regs->rdx, (int)status,
                  carry ? ", unchanged" : "");
    if (status == RMP_NOT_ASSIGNED)
        return emu_vcpu_memory_fault(&vcpu->emu, gpa, true);
    if (status == RMP_NOT_VALIDATED)
        return snp_untouchable_page(vcpu);
    if (status == RMP_NO_MEMORY)
        return -ENOMEM;
    return finish(vcpu, regs, status, carry);
}

int snp_undefined_opcode(struct snp_vcpu *vcpu)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &regs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &sregs);
    if (rc)
        return rc;
    enum insn insn = emu_vcpu_instruction(&vcpu->emu, &regs, &sregs);
    if (insn == INSN_PVALIDATE || insn == INSN_RMPADJUST)
        return on_rmp_instruction(vcpu, insn, &regs, &sregs);
    return emu_vcpu_inject(&vcpu->emu, VECTOR_UD, false, 0);
}
