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

#define RESET_VECTOR   0xfffffff0u
#define RESET_SELECTOR 0xf000
#define RESET_LIMIT    0xffff
#define RESET_DATA     0x93
#define RESET_CR0      0x10 /* ET */

void snp_vmsa_of_reset(struct snp_vmsa *out, enum snp_vmm vmm, unsigned index, uint32_t reset_eip,
                       uint32_t signature, uint64_t sev_features)
{
    uint32_t eip = index == 0 ? RESET_VECTOR : reset_eip;
    uint16_t cs = eip == RESET_VECTOR ? reset_state[vmm].boot_cs : reset_state[vmm].cs;
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
