/*
 * VMSA pages (sev/abi.h, struct snp_vmsa): the registers with which a vCPU enters the guest, as they are measured.
 * The layout is the processor's; the values below are facts of who fills the page, each named.
 */
#ifndef COFRE_SEV_VMSA_H
#define COFRE_SEV_VMSA_H

#include "sev/abi.h"

/* SEV_FEATURES. KVM sets bit 0 itself for every SNP guest (svm/sev.c, __sev_guest_init). */
#define SNP_FEATURE_ACTIVE     (1ull << 0)
#define SNP_FEATURE_DEBUG_SWAP (1ull << 5)
#define SNP_FEATURE_SECURE_TSC (1ull << 9)

/*
 * The entry state of our own launch image: 32-bit flat protected mode, paging off, interrupts off. The launch code
 * gives these values to KVM_SET_SREGS and KVM_SET_REGS, every one of them, so that nothing depends on what a kernel
 * leaves in a new vCPU; sregs take the attributes' bits apart (snp_segment_type and its neighbours).
 *
 * KVM copies the VMCB that SREGS filled (svm/sev.c, sev_es_sync_vmsa): segments as given (svm_set_segment; the P bit
 * is lost for an unusable one), general registers, RFLAGS, XCR0, XSS, DR6, PAT, SSE and x87 state. It adds EFER.SVME
 * (svm_set_efer) and the host's CR4.MCE (svm_set_cr4). The latter is asked for here, so it does not vary by host.
 */
#define SNP_ENTRY_CS       0x10  /* selectors as in Linux's boot GDT; no GDT is loaded yet */
#define SNP_ENTRY_DATA     0x18  /* ES, SS, DS, FS, GS */
#define SNP_ENTRY_CODE     0xc9b /* 4 KiB granular, 32-bit, present, code, readable, accessed */
#define SNP_ENTRY_DATA_RW  0xc93 /* the same, data, writable, accessed */
#define SNP_ENTRY_LIMIT    0xffffffffu
#define SNP_ENTRY_LDTR     0x82      /* present, LDT; selector 0, base 0, limit 0xffff: as after reset */
#define SNP_ENTRY_TR       0x8b      /* present, busy 32-bit TSS; likewise */
#define SNP_ENTRY_SYSLIMIT 0xffff    /* LDTR and TR; GDTR and IDTR have base 0 and limit 0 */
#define SNP_ENTRY_CR0      0x11ull   /* PE, ET */
#define SNP_ENTRY_CR4      0x40ull   /* MCE */
#define SNP_ENTRY_EFER     0x0ull    /* as given to KVM */
#define SNP_EFER_SVME      0x1000ull /* what KVM adds to it */
#define SNP_ENTRY_RFLAGS   0x2ull
#define SNP_ENTRY_DR6      0xffff0ff0ull /* these from here on are those of a new vCPU (kvm_vcpu_reset) */
#define SNP_ENTRY_DR7      0x400ull
#define SNP_ENTRY_PAT      0x0007040600070406ull
#define SNP_ENTRY_XCR0     0x1ull
#define SNP_ENTRY_MXCSR    0x1f80u /* KVM_SET_FPU is not needed for these two */
#define SNP_ENTRY_FCW      0x37fu

/* The page that KVM makes of that state. sev_features is the whole field, with SNP_FEATURE_ACTIVE. */
void snp_vmsa_of_entry(struct snp_vmsa *out, uint32_t entry, uint64_t sev_features);

/* The page that KVM makes of a vCPU that was given wanted's registers, as the launch code gives them: segments, tables, control
 * registers, RIP, RFLAGS and general registers. All else is that of a new vCPU, whatever wanted says. */
void snp_vmsa_of_registers(struct snp_vmsa *out, const struct snp_vmsa *wanted, uint64_t sev_features);
/* The name of the first field in which two pages differ ("CR0"); NULL where they do not. */
const char *snp_vmsa_difference(const struct snp_vmsa *a, const struct snp_vmsa *b);

/* Parts of a segment's 12 attribute bits, by the names of struct kvm_segment. */
#define snp_segment_type(attrib)    ((attrib)&0xf)
#define snp_segment_s(attrib)       ((attrib) >> 4 & 1)
#define snp_segment_dpl(attrib)     ((attrib) >> 5 & 3)
#define snp_segment_present(attrib) ((attrib) >> 7 & 1)
#define snp_segment_avl(attrib)     ((attrib) >> 8 & 1)
#define snp_segment_l(attrib)       ((attrib) >> 9 & 1)
#define snp_segment_db(attrib)      ((attrib) >> 10 & 1)
#define snp_segment_g(attrib)       ((attrib) >> 11 & 1)

#define SNP_RESET_VECTOR 0xfffffff0u

/* Other VMMs, whose guests start OVMF at the reset vector. */
enum snp_vmm { SNP_VMM_QEMU, SNP_VMM_EC2, SNP_VMM_GCE };

/*
 * The page of one of their vCPUs: index 0 is the boot processor and starts at 0xfffffff0, the others at reset_eip (the
 * address in OVMF's SEV-ES reset block). signature is CPUID 1's EAX, which QEMU leaves in RDX.
 */
void snp_vmsa_of_reset(struct snp_vmsa *out, enum snp_vmm vmm, unsigned index, uint32_t reset_eip,
                       uint32_t signature, uint64_t sev_features);

#endif
