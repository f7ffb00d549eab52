#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/emu/emu.h"
#include "vmm/emu/host.h"

struct kvm_cpuid_entry2 *emu_cpuid_find(struct kvm_cpuid_entry2 *entry, unsigned n, uint32_t function,
                                        uint32_t index)
{
    for (unsigned i = 0; i < n; i++) {
        bool indexed = entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        if (entry[i].function == function && (!indexed || entry[i].index == index))
            return &entry[i];
    }
    return NULL;
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
    return 0;
}
