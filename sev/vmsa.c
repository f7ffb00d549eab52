/* The page's integers are little-endian, and so is every machine that this runs on: fields are assigned as they are. */
#include "sev/vmsa.h"

#include <string.h>

static const struct snp_segment flat_code = {SNP_ENTRY_CS, SNP_ENTRY_CODE, SNP_ENTRY_LIMIT, 0};
static const struct snp_segment flat_data = {SNP_ENTRY_DATA, SNP_ENTRY_DATA_RW, SNP_ENTRY_LIMIT, 0};

/* What our own entry state and the reset state have in common: the values of a new vCPU. */
static void fill_common(struct snp_vmsa *out, uint64_t sev_features)
{
    memset(out, 0, sizeof *out);
    out->efer = SNP_EFER_SVME;
    out->cr4 = SNP_ENTRY_CR4;
    out->dr6 = SNP_ENTRY_DR6;
    out->dr7 = SNP_ENTRY_DR7;
    out->rflags = SNP_ENTRY_RFLAGS;
    out->g_pat = SNP_ENTRY_PAT;
    out->xcr0 = SNP_ENTRY_XCR0;
    out->mxcsr = SNP_ENTRY_MXCSR;
    out->x87_fcw = SNP_ENTRY_FCW;
    out->sev_features = sev_features;
}

void snp_vmsa_of_entry(struct snp_vmsa *out, uint32_t entry, uint64_t sev_features)
{
    fill_common(out, sev_features);
    out->cs = flat_code;
    out->es = out->ss = out->ds = out->fs = out->gs = flat_data;
    out->ldtr = (struct snp_segment){0, SNP_ENTRY_LDTR, SNP_ENTRY_SYSLIMIT, 0};
    out->tr = (struct snp_segment){0, SNP_ENTRY_TR, SNP_ENTRY_SYSLIMIT, 0};
    out->efer |= SNP_ENTRY_EFER;
    out->cr0 = SNP_ENTRY_CR0;
    out->rip = entry;
}

#define CR0_CD_NW (3ull << 29) /* which KVM takes away (KVM_X86_QUIRK_CD_NW_CLEARED) */

static struct snp_segment segment_of(const struct snp_segment *wanted)
{
    return (struct snp_segment){wanted->selector, wanted->attrib & 0xfff, wanted->limit, wanted->base};
}

static struct snp_segment table_of(const struct snp_segment *wanted)
{
    return (struct snp_segment){0, 0, wanted->limit & 0xffff, wanted->base};
}

void snp_vmsa_of_registers(struct snp_vmsa *out, const struct snp_vmsa *wanted, uint64_t sev_features)
{
    fill_common(out, sev_features);
    out->es = segment_of(&wanted->es);
    out->cs = segment_of(&wanted->cs);
    out->ss = segment_of(&wanted->ss);
    out->ds = segment_of(&wanted->ds);
    out->fs = segment_of(&wanted->fs);
    out->gs = segment_of(&wanted->gs);
    out->ldtr = segment_of(&wanted->ldtr);
    out->tr = segment_of(&wanted->tr);
    out->gdtr = table_of(&wanted->gdtr);
    out->idtr = table_of(&wanted->idtr);
    out->cpl = (uint8_t)snp_segment_dpl(wanted->ss.attrib);
    out->efer |= wanted->efer;
    out->cr0 = wanted->cr0 & ~CR0_CD_NW;
    out->cr3 = wanted->cr3;
    out->cr4 |= wanted->cr4;
    out->rflags |= wanted->rflags;
    out->rip = wanted->rip;
    out->rax = wanted->rax, out->rbx = wanted->rbx, out->rcx = wanted->rcx, out->rdx = wanted->rdx;
    out->rsp = wanted->rsp, out->rbp = wanted->rbp, out->rsi = wanted->rsi, out->rdi = wanted->rdi;
    out->r8 = wanted->r8, out->r9 = wanted->r9, out->r10 = wanted->r10, out->r11 = wanted->r11;
    out->r12 = wanted->r12, out->r13 = wanted->r13, out->r14 = wanted->r14, out->r15 = wanted->r15;
}

/* Each field from its beginning to that of the next; what has no name is reserved. */
static const struct {
    uint16_t begin;
    const char *name;
} fields[] = {
#define FIELD(field, name)                                                                                   \
    {                                                                                                        \
        offsetof(struct snp_vmsa, field), name                                                               \
    }
#define RESERVED "reserved field"
    FIELD(es, "ES"),
    FIELD(cs, "CS"),
    FIELD(ss, "SS"),
    FIELD(ds, "DS"),
    FIELD(fs, "FS"),
    FIELD(gs, "GS"),
    FIELD(gdtr, "GDTR"),
    FIELD(ldtr, "LDTR"),
    FIELD(idtr, "IDTR"),
    FIELD(tr, "TR"),
    FIELD(pl0_ssp, "shadow stack pointer"),
    FIELD(u_cet, "U_CET"),
    FIELD(reserved_0c8, RESERVED),
    FIELD(vmpl, "VMPL"),
    FIELD(cpl, "CPL"),
    FIELD(reserved_0cc, RESERVED),
    FIELD(efer, "EFER"),
    FIELD(reserved_0d8, RESERVED),
    FIELD(xss, "XSS"),
    FIELD(cr4, "CR4"),
    FIELD(cr3, "CR3"),
    FIELD(cr0, "CR0"),
    FIELD(dr7, "DR7"),
    FIELD(dr6, "DR6"),
    FIELD(rflags, "RFLAGS"),
    FIELD(rip, "RIP"),
    FIELD(dr0, "debug register"),
    FIELD(reserved_1c0, RESERVED),
    FIELD(rsp, "RSP"),
    FIELD(s_cet, "S_CET"),
    FIELD(ssp, "shadow stack pointer"),
    FIELD(isst_addr, "shadow stack table"),
    FIELD(rax, "RAX"),
    FIELD(star, "STAR, LSTAR, CSTAR or SFMASK"),
    FIELD(kernel_gs_base, "KERNEL_GS_BASE"),
    FIELD(sysenter_cs, "SYSENTER register"),
    FIELD(cr2, "CR2"),
    FIELD(reserved_248, RESERVED),
    FIELD(g_pat, "PAT"),
    FIELD(dbgctl, "debug control or branch record"),
    FIELD(reserved_298, RESERVED),
    FIELD(pkru, "PKRU"),
    FIELD(tsc_aux, "TSC_AUX"),
    FIELD(guest_tsc_scale, "TSC scale or offset"),
    FIELD(reg_prot_nonce, "register protection nonce"),
    FIELD(rcx, "RCX"),
    FIELD(rdx, "RDX"),
    FIELD(rbx, "RBX"),
    FIELD(reserved_320, RESERVED),
    FIELD(rbp, "general register"),
    FIELD(reserved_380, RESERVED),
    FIELD(guest_exit_info_1, "exit information"),
    FIELD(sev_features, "SEV_FEATURES"),
    FIELD(vintr_ctrl, "virtual interrupt control"),
    FIELD(guest_exit_code, "exit code"),
    FIELD(virtual_tom, "virtual top of memory"),
    FIELD(tlb_id, "TLB id"),
    FIELD(pcpu_id, "processor id"),
    FIELD(event_inj, "event injection"),
    FIELD(xcr0, "XCR0"),
    FIELD(reserved_3f0, RESERVED),
    FIELD(x87_dp, "x87 state"),
    FIELD(mxcsr, "MXCSR"),
    FIELD(x87_ftw, "x87 state"),
    FIELD(fpreg_xmm, "XMM or YMM register"),
    FIELD(reserved_670, RESERVED),
};

const char *snp_vmsa_difference(const struct snp_vmsa *a, const struct snp_vmsa *b)
{
    const uint8_t *const left = (const uint8_t *)a, *const right = (const uint8_t *)b;
    const size_t count = sizeof fields / sizeof fields[0];
    for (size_t i = 0; i < count; i++) {
        const size_t end = i + 1 < count ? fields[i + 1].begin : sizeof *a;
        if (memcmp(left + fields[i].begin, right + fields[i].begin, end - fields[i].begin) != 0)
            return fields[i].name;
    }
    return NULL;
}

/*
 * How other VMMs leave a vCPU before its first instruction. QEMU sets every register by SREGS with the accessed and
 * busy bits; the others start from what KVM's own reset leaves (svm.c, init_vmcb) and overwrite a part. The figures
 * are those that virtee/sev-snp-measure 0.0.13 found to give the digests of their reports.
 */
static const struct {
    uint16_t boot_cs, cs, ss, tr; /* attributes; DS, ES, FS, GS are 0x93 and LDTR is 0x82 everywhere */
    uint32_t mxcsr;
    uint16_t fcw;
    uint64_t pat;
    uint32_t rdx; /* 0: the CPU's signature */
} reset_state[] = {
    [SNP_VMM_QEMU] = {0x9b, 0x9b, 0x93, 0x8b, 0x1f80, 0x37f, 0x0007040600070406, 0},
    [SNP_VMM_EC2] = {0x9a, 0x9b, 0x92, 0x83, 0, 0, 0x0007040600070406, 0x600},
    [SNP_VMM_GCE] = {0x9b, 0x9b, 0x93, 0x8b, 0, 0, 0x00070106, 0x600},
};

#define RESET_SELECTOR 0xf000
#define RESET_LIMIT    0xffff
#define RESET_DATA     0x93
#define RESET_CR0      0x10 /* ET */

void snp_vmsa_of_reset(struct snp_vmsa *out, enum snp_vmm vmm, unsigned index, uint32_t reset_eip,
                       uint32_t signature, uint64_t sev_features)
{
    uint32_t eip = index == 0 ? SNP_RESET_VECTOR : reset_eip;
    uint16_t cs = eip == SNP_RESET_VECTOR ? reset_state[vmm].boot_cs : reset_state[vmm].cs;
    const struct snp_segment data = {0, RESET_DATA, RESET_LIMIT, 0};
    fill_common(out, sev_features);
    out->cs = (struct snp_segment){RESET_SELECTOR, cs, RESET_LIMIT, eip & 0xffff0000};
    out->es = out->ds = out->fs = out->gs = data;
    out->ss = (struct snp_segment){0, reset_state[vmm].ss, RESET_LIMIT, 0};
    out->gdtr = out->idtr = (struct snp_segment){0, 0, RESET_LIMIT, 0};
    out->ldtr = (struct snp_segment){0, SNP_ENTRY_LDTR, RESET_LIMIT, 0};
    out->tr = (struct snp_segment){0, reset_state[vmm].tr, RESET_LIMIT, 0};
    out->cr0 = RESET_CR0;
    out->rip = eip & 0xffff;
    out->g_pat = reset_state[vmm].pat;
    out->rdx = reset_state[vmm].rdx ? reset_state[vmm].rdx : signature;
    out->mxcsr = reset_state[vmm].mxcsr;
    out->x87_fcw = reset_state[vmm].fcw;
}
