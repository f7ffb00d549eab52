#include <errno.h>

#include "vmm/emu/snp/snp.h"

#define LEAF_KVM_FEATURES 0x40000001u
#define LEAF_EXTENDED_MAX 0x80000000u
#define LEAF_ADDRESSES    0x80000008u
#define LEAF_ENCRYPTION   0x8000001fu

/* KVM's features (KVM_CPUID_FEATURES EAX) that the guest uses by VMMCALL: to a guest of the emulation, on a processor
 * that raises no #VC, VMMCALL is not available. Bits 7, 11, 13, 16, 17. */
#define KVM_FEATURES_BY_HYPERCALL (1u << 7 | 1u << 11 | 1u << 13 | 1u << 16 | 1u << 17)

/* SEV, SEV-ES, SEV-SNP (APM volume 3, E.4.17), as the host's KVM shows them. */
#define ENCRYPTION_EAX (1u << 1 | 1u << 3 | 1u << 4)

int snp_cpuid_as_host(struct kvm_cpuid_entry2 *entry, unsigned *n, unsigned max)
{
    struct kvm_cpuid_entry2 *e = emu_cpuid_find(entry, *n, LEAF_ENCRYPTION, 0);
    if (!e) {
        if (*n >= max)
            return -E2BIG;
        e = &entry[(*n)++];
    }
    *e = (struct kvm_cpuid_entry2){
        .function = LEAF_ENCRYPTION, .eax = ENCRYPTION_EAX, .ebx = SNP_C_BIT, .ecx = EMU_VCPUS_MAX, .edx = 1};
    e = emu_cpuid_find(entry, *n, LEAF_EXTENDED_MAX, 0);
    if (e && e->eax < LEAF_ENCRYPTION)
        e->eax = LEAF_ENCRYPTION;
    e = emu_cpuid_find(entry, *n, LEAF_ADDRESSES, 0);
    if (e)
        e->eax = (e->eax & ~0xffu) | (SNP_C_BIT + 1);
    e = emu_cpuid_find(entry, *n, LEAF_KVM_FEATURES, 0);
    if (e)
        e->eax &= ~KVM_FEATURES_BY_HYPERCALL;
    return 0;
}

void snp_cpuid_for_plain(struct kvm_cpuid_entry2 *entry, unsigned n)
{
    struct kvm_cpuid_entry2 *e = emu_cpuid_find(entry, n, LEAF_ADDRESSES, 0);
    if (e && (e->eax & 0xff) < SNP_C_BIT + 1)
        e->eax =
            (e->eax & ~0xffu) | (SNP_C_BIT + 1); /* else the C-bit would be a reserved bit to the plain KVM */
    e = emu_cpuid_find(entry, n, LEAF_KVM_FEATURES, 0);
    if (e)
        e->eax &= ~KVM_FEATURES_BY_HYPERCALL;
}

int snp_cpuid_supported(int kvm_fd, struct kvm_cpuid_entry2 *entry, unsigned *n)
{
    int rc = emu_cpuid_supported(kvm_fd, entry, n);
    return rc ? rc : snp_cpuid_as_host(entry, n, EMU_CPUID_MAX);
}
