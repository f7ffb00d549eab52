#include "sev/launch/entry.h"

#include "sev/vmsa.h"

static struct kvm_segment segment(uint16_t selector, uint16_t attrib, uint32_t limit)
{
    return (struct kvm_segment){
        .selector = selector,
        .limit = limit,
        .type = snp_segment_type(attrib),
        .s = snp_segment_s(attrib),
        .dpl = snp_segment_dpl(attrib),
        .present = snp_segment_present(attrib),
        .avl = snp_segment_avl(attrib),
        .l = snp_segment_l(attrib),
        .db = snp_segment_db(attrib),
        .g = snp_segment_g(attrib),
    };
}

int snp_entry_set(struct kvm_vcpu *vcpu, uint32_t entry, struct cofre_err *err)
{
    struct kvm_sregs sregs;
    int rc = kvm_vcpu_get_sregs(vcpu, &sregs, err); /* for the local APIC's base */
    if (rc < 0)
        return rc;
    const struct kvm_segment data = segment(SNP_ENTRY_DATA, SNP_ENTRY_DATA_RW, SNP_ENTRY_LIMIT);
    sregs.cs = segment(SNP_ENTRY_CS, SNP_ENTRY_CODE, SNP_ENTRY_LIMIT);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = segment(0, SNP_ENTRY_TR, SNP_ENTRY_SYSLIMIT);
    sregs.ldt = segment(0, SNP_ENTRY_LDTR, SNP_ENTRY_SYSLIMIT);
    sregs.gdt = sregs.idt = (struct kvm_dtable){0};
    sregs.cr0 = SNP_ENTRY_CR0;
    sregs.cr2 = sregs.cr3 = sregs.cr8 = 0;
    sregs.cr4 = SNP_ENTRY_CR4;
    sregs.efer = SNP_ENTRY_EFER;
    const struct kvm_regs regs = {.rip = entry, .rflags = SNP_ENTRY_RFLAGS};
    rc = kvm_vcpu_set_sregs(vcpu, &sregs, err);
    return rc < 0 ? rc : kvm_vcpu_set_regs(vcpu, &regs, err);
}
