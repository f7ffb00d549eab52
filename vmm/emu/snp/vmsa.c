/*
 * A vCPU's registers and its VMSA. What KVM puts into the first VMSA is what its VMCB holds (Linux
 * arch/x86/kvm/svm/sev.c, sev_es_sync_vmsa); KVM_GET_SREGS shows some of that differently, so segments come from what
 * the caller set, or from the reset state where he set nothing.
 */
#include <errno.h>
#include <string.h>

#include "vmm/emu/host.h"
#include "vmm/emu/snp/snp.h"

#define EFER_SVME (1ull << 12)
#define CR0_CD_NW (3ull << 29)
#define CR4_MCE   (1ull << 6)

/* The XSAVE area's standard form (APM volume 2, 11.5): the FXSAVE image, the header, then AVX's upper halves.
 * KVM_GET_FPU and KVM_SET_FPU would leave out MXCSR. */
struct xsave_area {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved_05; /* one bit a register, 0 meaning empty */
    uint16_t fop;
    uint64_t rip, rdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[256];
    uint8_t reserved_1a0[96];
    uint64_t xstate_bv;
    uint8_t reserved_208[56];
    uint8_t ymm[256];
};
static_assert(offsetof(struct xsave_area, xstate_bv) == 512, "XSAVE header");
static_assert(offsetof(struct xsave_area, ymm) == 576, "XSAVE AVX state");
#define XSTATE_X87 1u
#define XSTATE_SSE 2u
#define XSTATE_AVX 4u

static const struct {
    uint32_t index;
    uint16_t offset; /* in the VMSA */
} msrs[] = {
    {0xc0000081, offsetof(struct snp_vmsa, star)},
    {0xc0000082, offsetof(struct snp_vmsa, lstar)},
    {0xc0000083, offsetof(struct snp_vmsa, cstar)},
    {0xc0000084, offsetof(struct snp_vmsa, sfmask)},
    {0xc0000102, offsetof(struct snp_vmsa, kernel_gs_base)},
    {0x174, offsetof(struct snp_vmsa, sysenter_cs)},
    {0x175, offsetof(struct snp_vmsa, sysenter_esp)},
    {0x176, offsetof(struct snp_vmsa, sysenter_eip)},
    {0x277, offsetof(struct snp_vmsa, g_pat)},
};

static struct snp_segment pack_segment(const struct kvm_segment *s)
{
    bool present = s->present && !s->unusable;
    unsigned attrib = (s->type & 15u) | (s->s & 1u) << 4 | (s->dpl & 3u) << 5 | (unsigned)present << 7 |
                      (s->avl & 1u) << 8 | (s->l & 1u) << 9 | (s->db & 1u) << 10 | (s->g & 1u) << 11;
    return (struct snp_segment){s->selector, (uint16_t)attrib, s->limit, s->base};
}

static struct kvm_segment unpack_segment(const struct snp_segment *s)
{
    unsigned a = s->attrib;
    return (struct kvm_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->selector,
        .type = a & 15,
        .s = a >> 4 & 1,
        .dpl = a >> 5 & 3,
        .present = a >> 7 & 1,
        .avl = a >> 8 & 1,
        .l = a >> 9 & 1,
        .db = a >> 10 & 1,
        .g = a >> 11 & 1,
        .unusable = !(a >> 7 & 1),
    };
}

static void save_reset_segments(struct snp_vmsa *vmsa)
{
    struct snp_segment data = {0, 0x92, 0xffff, 0};
    vmsa->cs = (struct snp_segment){0xf000, 0x9a, 0xffff, 0xffff0000};
    vmsa->ds = vmsa->es = vmsa->fs = vmsa->gs = vmsa->ss = data;
    vmsa->ldtr = (struct snp_segment){0, 0x82, 0xffff, 0};
    vmsa->tr = (struct snp_segment){0, 0x83, 0xffff, 0};
}

static void save_segments(struct snp_vmsa *vmsa, const struct kvm_sregs *s)
{
    vmsa->cs = pack_segment(&s->cs);
    vmsa->ds = pack_segment(&s->ds);
    vmsa->es = pack_segment(&s->es);
    vmsa->fs = pack_segment(&s->fs);
    vmsa->gs = pack_segment(&s->gs);
    vmsa->ss = pack_segment(&s->ss);
    vmsa->ldtr = pack_segment(&s->ldt);
    vmsa->tr = pack_segment(&s->tr);
    vmsa->cpl = s->ss.dpl & 3;
}

static int save_system(struct snp_vcpu *vcpu, struct snp_vmsa *vmsa, struct kvm_sregs *s)
{
    struct kvm_debugregs debug;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, s);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_DEBUGREGS, &debug);
    if (rc)
        return rc;
    vmsa->gdtr.limit = s->gdt.limit;
    vmsa->gdtr.base = s->gdt.base;
    vmsa->idtr.limit = s->idt.limit;
    vmsa->idtr.base = s->idt.base;
    vmsa->cr0 = s->cr0;
    vmsa->cr2 = s->cr2;
    vmsa->cr3 = s->cr3;
    vmsa->cr4 = s->cr4;
    vmsa->efer = s->efer | EFER_SVME;
    vmsa->dr6 = debug.dr6;
    vmsa->dr7 = debug.dr7;
    return 0;
}

static int save_general(struct snp_vcpu *vcpu, struct snp_vmsa *vmsa)
{
    struct kvm_regs r;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_REGS, &r);
    if (rc)
        return rc;
    vmsa->rax = r.rax, vmsa->rbx = r.rbx, vmsa->rcx = r.rcx, vmsa->rdx = r.rdx;
    vmsa->rsp = r.rsp, vmsa->rbp = r.rbp, vmsa->rsi = r.rsi, vmsa->rdi = r.rdi;
    vmsa->r8 = r.r8, vmsa->r9 = r.r9, vmsa->r10 = r.r10, vmsa->r11 = r.r11;
    vmsa->r12 = r.r12, vmsa->r13 = r.r13, vmsa->r14 = r.r14, vmsa->r15 = r.r15;
    vmsa->rip = r.rip;
    vmsa->rflags = r.rflags;
    return 0;
}

/* x87 registers: eight mantissas of 8 bytes, then eight exponents of 2. */
static void save_x87(struct snp_vmsa *vmsa, const struct xsave_area *area)
{
    for (size_t i = 0; i < 8; i++) {
        memcpy(vmsa->fpreg_x87 + 8 * i, area->st[i], 8);
        memcpy(vmsa->fpreg_x87 + 64 + 2 * i, area->st[i] + 8, 2);
    }
    vmsa->x87_dp = area->rdp;
    vmsa->x87_rip = area->rip;
    vmsa->x87_ftw = area->ftw; /* as KVM does: FXSAVE's form */
    vmsa->x87_fsw = area->fsw;
    vmsa->x87_fcw = area->fcw;
    vmsa->x87_fop = area->fop;
    vmsa->mxcsr = area->mxcsr;
    memcpy(vmsa->fpreg_xmm, area->xmm, sizeof(vmsa->fpreg_xmm));
    memset(vmsa->fpreg_ymm, 0, sizeof(vmsa->fpreg_ymm)); /* what an area without them means */
    if (area->xstate_bv & XSTATE_AVX)
        memcpy(vmsa->fpreg_ymm, area->ymm, sizeof(vmsa->fpreg_ymm));
}

static int save_extended(struct snp_vcpu *vcpu, struct snp_vmsa *vmsa)
{
    struct kvm_xsave xsave;
    struct xsave_area area;
    struct kvm_xcrs xcrs;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_XSAVE, &xsave);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_GET_XCRS, &xcrs);
    if (rc)
        return rc;
    memcpy(&area, &xsave, sizeof(area));
    save_x87(vmsa, &area);
    vmsa->xcr0 = 1;
    for (uint32_t i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
        if (xcrs.xcrs[i].xcr == 0)
            vmsa->xcr0 = xcrs.xcrs[i].value;
    return 0;
}

static int save(struct snp_vcpu *vcpu, struct snp_vmsa *out, struct kvm_sregs *sregs)
{
    int rc = save_system(vcpu, out, sregs);
    if (!rc)
        rc = save_general(vcpu, out);
    if (!rc)
        rc = save_extended(vcpu, out);
    for (size_t i = 0; !rc && i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        uint64_t value = 0;
        rc = emu_vcpu_get_msr(&vcpu->emu, msrs[i].index, &value);
        memcpy((uint8_t *)out + msrs[i].offset, &value, sizeof(value));
    }
    return rc;
}

int snp_vmsa_save(struct snp_vcpu *vcpu, struct snp_vmsa *out)
{
    struct kvm_sregs ignored;
    memset(out, 0, sizeof(*out));
    const int rc = save(vcpu, out, &ignored);
    if (vcpu->sregs_set)
        save_segments(out, &vcpu->sregs);
    else
        save_reset_segments(out);
    out->cr0 &= ~CR0_CD_NW; /* KVM_X86_QUIRK_CD_NW_CLEARED, on unless the caller turned it off */
    out->cr4 |= CR4_MCE;
    out->sev_features = snp_vm_of(vcpu)->sev_features;
    return rc;
}

/* One bit a register, 1 meaning full, becomes two bits, 3 meaning empty: as load_x87 reads them. */
static uint16_t processor_tags(uint16_t fxsave)
{
    uint16_t tags = 0;
    for (unsigned i = 0; i < 8; i++)
        if (!(fxsave >> i & 1))
            tags |= (uint16_t)(3u << 2 * i);
    return tags;
}

int snp_vmsa_store(struct snp_vcpu *vcpu, struct snp_vmsa *vmsa)
{
    struct kvm_sregs sregs;
    const int rc = save(vcpu, vmsa, &sregs);
    if (rc)
        return rc;
    save_segments(vmsa, &sregs);
    vmsa->x87_ftw = processor_tags(vmsa->x87_ftw);
    return 0;
}

static int load_system(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa)
{
    struct kvm_sregs s;
    int rc = host_ioctl(vcpu->emu.fd, KVM_GET_SREGS, &s);
    if (rc)
        return rc;
    s.cs = unpack_segment(&vmsa->cs);
    s.ds = unpack_segment(&vmsa->ds);
    s.es = unpack_segment(&vmsa->es);
    s.fs = unpack_segment(&vmsa->fs);
    s.gs = unpack_segment(&vmsa->gs);
    s.ss = unpack_segment(&vmsa->ss);
    s.ldt = unpack_segment(&vmsa->ldtr);
    s.tr = unpack_segment(&vmsa->tr);
    s.gdt = (struct kvm_dtable){.base = vmsa->gdtr.base, .limit = (uint16_t)vmsa->gdtr.limit};
    s.idt = (struct kvm_dtable){.base = vmsa->idtr.base, .limit = (uint16_t)vmsa->idtr.limit};
    s.cr0 = vmsa->cr0;
    s.cr2 = vmsa->cr2;
    s.cr3 = vmsa->cr3;
    s.cr4 = vmsa->cr4;
    s.efer = vmsa->efer & ~EFER_SVME; /* the plain guest has no SVM of its own */
    memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
    return host_ioctl(vcpu->emu.fd, KVM_SET_SREGS, &s);
}

static int load_general(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa)
{
    struct kvm_regs r = {
        .rax = vmsa->rax,
        .rbx = vmsa->rbx,
        .rcx = vmsa->rcx,
        .rdx = vmsa->rdx,
        .rsp = vmsa->rsp,
        .rbp = vmsa->rbp,
        .rsi = vmsa->rsi,
        .rdi = vmsa->rdi,
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
    return host_ioctl(vcpu->emu.fd, KVM_SET_REGS, &r);
}

static void load_x87(struct xsave_area *area, const struct snp_vmsa *vmsa)
{
    for (size_t i = 0; i < 8; i++) {
        memcpy(area->st[i], vmsa->fpreg_x87 + 8 * i, 8);
        memcpy(area->st[i] + 8, vmsa->fpreg_x87 + 64 + 2 * i, 2);
        /* the processor reads the VMSA's tags as two bits a register, 3 meaning empty */
        if ((vmsa->x87_ftw >> (2 * i) & 3) != 3)
            area->ftw |= (uint8_t)(1u << i);
    }
    area->rdp = vmsa->x87_dp;
    area->rip = vmsa->x87_rip;
    area->fsw = vmsa->x87_fsw;
    area->fcw = vmsa->x87_fcw;
    area->fop = vmsa->x87_fop;
    area->mxcsr = vmsa->mxcsr;
    memcpy(area->xmm, vmsa->fpreg_xmm, sizeof(area->xmm));
    area->xstate_bv = XSTATE_X87 | XSTATE_SSE;
    if (vmsa->xcr0 & XSTATE_AVX) {
        memcpy(area->ymm, vmsa->fpreg_ymm, sizeof(area->ymm));
        area->xstate_bv |= XSTATE_AVX;
    }
}

static int load_extended(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa)
{
    struct kvm_xsave xsave = {0};
    struct xsave_area area = {0};
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = vmsa->xcr0}}};
    struct kvm_debugregs debug = {.dr6 = vmsa->dr6, .dr7 = vmsa->dr7};
    load_x87(&area, vmsa);
    memcpy(&xsave, &area, sizeof(area));
    int rc = host_ioctl(vcpu->emu.fd, KVM_SET_XCRS, &xcrs);
    if (!rc)
        rc = host_ioctl(vcpu->emu.fd, KVM_SET_XSAVE, &xsave);
    return rc ? rc : host_ioctl(vcpu->emu.fd, KVM_SET_DEBUGREGS, &debug);
}

int snp_vmsa_load(struct snp_vcpu *vcpu, const struct snp_vmsa *vmsa)
{
    int rc = load_system(vcpu, vmsa);
    if (!rc)
        rc = load_general(vcpu, vmsa);
    if (!rc)
        rc = load_extended(vcpu, vmsa);
    for (size_t i = 0; !rc && i < sizeof(msrs) / sizeof(msrs[0]); i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)vmsa + msrs[i].offset, sizeof(value));
        rc = emu_vcpu_set_msr(&vcpu->emu, msrs[i].index, value);
    }
    return rc;
}
