#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

#define LEAF_KVM_FEATURES 0x40000001u
#define LEAF_EXTENDED_MAX 0x80000000u
#define LEAF_ADDRESSES    0x80000008u
#define LEAF_ENCRYPTION   0x8000001fu

/* KVM's features (KVM_CPUID_FEATURES EAX) that the guest uses by VMMCALL: to a guest of the emulation, on a processor
 * that raises no #VC, VMMCALL is not available. Bits 7, 11, 13, 16, 17. */
#define KVM_FEATURES_BY_HYPERCALL (1u << 7 | 1u << 11 | 1u << 13 | 1u << 16 | 1u << 17)

/* SEV, SEV-ES, SEV-SNP (APM volume 3, E.4.17), as the host's KVM shows them. */
#define ENCRYPTION_EAX (1u << 1 | 1u << 3 | 1u << 4)

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid_entry2 *entry, unsigned n, uint32_t function)
{
    for (unsigned i = 0; i < n; i++)
        if (entry[i].function == function)
            return &entry[i];
    return NULL;
}

int emu_cpuid_as_snp_host(struct kvm_cpuid_entry2 *entry, unsigned *n, unsigned max)
{
    struct kvm_cpuid_entry2 *e = find(entry, *n, LEAF_ENCRYPTION);
    if (!e) {
        if (*n >= max)
            return -E2BIG;
        e = &entry[(*n)++];
    }
    *e = (struct kvm_cpuid_entry2){
        .function = LEAF_ENCRYPTION, .eax = ENCRYPTION_EAX, .ebx = EMU_C_BIT, .ecx = EMU_VCPUS_MAX, .edx = 1};
    e = find(entry, *n, LEAF_EXTENDED_MAX);
    if (e && e->eax < LEAF_ENCRYPTION)
        e->eax = LEAF_ENCRYPTION;
    e = find(entry, *n, LEAF_ADDRESSES);
    if (e)
        e->eax = (e->eax & ~0xffu) | (EMU_C_BIT + 1);
    e = find(entry, *n, LEAF_KVM_FEATURES);
    if (e)
        e->eax &= ~KVM_FEATURES_BY_HYPERCALL;
    return 0;
}

void emu_cpuid_for_host(struct kvm_cpuid_entry2 *entry, unsigned n)
{
    struct kvm_cpuid_entry2 *e = find(entry, n, LEAF_ADDRESSES);
    if (e && (e->eax & 0xff) < EMU_C_BIT + 1)
        e->eax =
            (e->eax & ~0xffu) | (EMU_C_BIT + 1); /* else the C-bit would be a reserved bit to the plain KVM */
    e = find(entry, n, LEAF_KVM_FEATURES);
    if (e)
        e->eax &= ~KVM_FEATURES_BY_HYPERCALL;
}

int emu_cpuid_supported(int kvm_fd, struct kvm_cpuid_entry2 *entry, unsigned *n)
{
    CLEAN_FREE struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + EMU_CPUID_MAX * sizeof(*entry));
    if (!table)
        return -ENOMEM;
    table->nent = EMU_CPUID_MAX;
    int rc = host_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, table);
    if (rc)
        return rc;
    if (table->nent > EMU_CPUID_MAX)
        return -E2BIG;
    *n = table->nent;
    memcpy(entry, table->entries, *n * sizeof(*entry));
    return emu_cpuid_as_snp_host(entry, n, EMU_CPUID_MAX);
}
