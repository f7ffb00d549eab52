#include "sev/launch/entry.h"

static struct kvm_segment segment(const struct snp_segment *from)
{
    return (struct kvm_segment){
        .base = from->base,
        .selector = from->selector,
        .limit = from->limit,
        .type = snp_segment_type(from->attrib),
        .s = snp_segment_s(from->attrib),
        .dpl = snp_segment_dpl(from->attrib),
        .present = snp_segment_present(from->attrib),
        .avl = snp_segment_avl(from->attrib),
        .l = snp_segment_l(from->attrib),
        .db = snp_segment_db(from->attrib),
        .g = snp_segment_g(from->attrib),
    };
}

static struct kvm_dtable table(const struct snp_segment *from)
{
    return (struct kvm_dtable){.base = from->base, .limit = (uint16_t)from->limit};
}

int snp_entry_set(struct kvm_vcpu *vcpu, const struct snp_vmsa *vmsa, struct cofre_err *err)
{
    struct kvm_sregs sregs;
    int rc = kvm_vcpu_get_sregs(vcpu, &sregs, err); /* for the local APIC's base */
    if (rc < 0)
        return rc;
    sregs.cs = segment(&vmsa->cs);
    sregs.ds = segment(&vmsa->ds);
    sregs.es = segment(&vmsa->es);
    sregs.fs = segment(&vmsa->fs);
    sregs.gs = segment(&vmsa->gs);
    sregs.ss = segment(&vmsa->ss);
    sregs.tr = segment(&vmsa->tr);
    sregs.ldt = segment(&vmsa->ldtr);
    sregs.gdt = table(&vmsa->gdtr);
    sregs.idt = table(&vmsa->idtr);
    sregs.cr0 = vmsa->cr0;
    sregs.cr2 = sregs.cr8 = 0;
    sregs.cr3 = vmsa->cr3;
    sregs.cr4 = vmsa->cr4;
    sregs.efer = vmsa->efer & ~SNP_EFER_SVME; /* which KVM adds */
    const struct kvm_regs regs = {
        .rax = vmsa->rax,
        .rbx = vmsa->rbx,
        .rcx = vmsa->rcx,
        .rdx = vmsa->rdx,
        .rsi = vmsa->rsi,
        .rdi = vmsa->rdi,
        .rsp = vmsa->rsp,
        .rbp = vmsa->rbp,
        .r8 = vmsa->r8,
        .r9 = vmsa->r9,
        .r10 = vmsa->r10,
        .r11 = vmsa->r11,
        .r12 = vmsa->r12,
        .r13 = vmsa->r13,
        .r14 = vmsa->r14,
        .r15 = vmsa->r15,
        .rip = vmsa->rip,
        .rflags = vmsa->rflags,
    };
    rc = kvm_vcpu_set_sregs(vcpu, &sregs, err);
    return rc < 0 ? rc : kvm_vcpu_set_regs(vcpu, &regs, err);
}
