#include "tdx/launch/cpuid.h"

#include <stdbool.h>
#include <stddef.h>

#include "tdx/abi.h"

#define LEAF_FEATURES      1u
#define LEAF_TOPOLOGY      0xbu
#define LEAF_TOPOLOGY_2    0x1fu
#define LEAF_ADDRESSES     0x80000008u
#define FEATURES_X2APIC    (1u << 21)  /* ECX */
#define FEATURES_APIC_MASK 0xffff0000u /* EBX: the vCPU's APIC id, and how many ids there are */
/* KVM takes the guest's physical address width here: EAX 23:16. */
#define ADDRESSES_GUEST_SHIFT 16
#define ADDRESSES_GUEST_MASK  0xff0000u

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *table, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &table->entries[i];
        bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        if (e->function == function && (!indexed || e->index == index))
            return e;
    }
    return NULL;
}

/* Leaf 0x1F has leaf 0xB's form. A module that lets it be configured makes both of it, and shows a guest that asks
 * (TD_CTLS.ENUM_TOPOLOGY, Linux after 6.12) the host's own cores and threads where it is left out. */
static const struct kvm_cpuid_entry2 *wish(const struct kvm_cpuid2 *machine, uint32_t function,
                                           uint32_t index)
{
    const struct kvm_cpuid_entry2 *e = find(machine, function, index);
    return e || function != LEAF_TOPOLOGY_2 ? e : find(machine, LEAF_TOPOLOGY, index);
}

int tdx_cpuid_configure(struct kvm_cpuid2 *out, const struct kvm_cpuid2 *configurable,
                        const struct kvm_cpuid2 *machine, struct cofre_err *err)
{
    const struct kvm_cpuid_entry2 *features = find(machine, LEAF_FEATURES, 0);
    if (!features || !(features->ecx & FEATURES_X2APIC))
        return cofre_fail(err, COFRE_LACKING, "KVM's CPUID table has no x2APIC, which TDX guests need");
    bool addresses = false;
    out->nent = out->padding = 0;
    for (uint32_t i = 0; i < configurable->nent; i++) {
        const struct kvm_cpuid_entry2 *mask = &configurable->entries[i];
        const struct kvm_cpuid_entry2 *from = wish(machine, mask->function, mask->index);
        if (!from)
            continue;
        struct kvm_cpuid_entry2 e = {.function = mask->function, .index = mask->index, .flags = from->flags};
        e.eax = from->eax & mask->eax;
        e.ebx = from->ebx & mask->ebx;
        e.ecx = from->ecx & mask->ecx;
        e.edx = from->edx & mask->edx;
        if (e.function == LEAF_ADDRESSES) {
            e.eax = (e.eax & ~ADDRESSES_GUEST_MASK) | TDX_GPAW << ADDRESSES_GUEST_SHIFT;
            addresses = true;
        }
        out->entries[out->nent++] = e;
    }
    if (!addresses)
        return cofre_fail(err, COFRE_LACKING,
                          "KVM does not let the guest's address width be configured (CPUID leaf 0x80000008)");
    return 0;
}

static bool tells_vcpus_apart(uint32_t function)
{
    return function == LEAF_TOPOLOGY || function == LEAF_TOPOLOGY_2;
}

static void take(struct kvm_cpuid_entry2 *to, const struct kvm_cpuid_entry2 *from)
{
    uint32_t apic = to->ebx & FEATURES_APIC_MASK;
    to->eax = from->eax;
    to->ebx = from->ebx;
    to->ecx = from->ecx;
    to->edx = from->edx;
    if (to->function == LEAF_FEATURES)
        to->ebx = (to->ebx & ~FEATURES_APIC_MASK) | apic;
}

int tdx_cpuid_agree(struct kvm_cpuid2 *machine, uint32_t max, const struct kvm_cpuid2 *module,
                    struct cofre_err *err)
{
    for (uint32_t i = 0; i < module->nent; i++) {
        const struct kvm_cpuid_entry2 *from = &module->entries[i];
        if (tells_vcpus_apart(from->function))
            continue;
        struct kvm_cpuid_entry2 *to = (struct kvm_cpuid_entry2 *)find(machine, from->function, from->index);
        if (!to && machine->nent == max)
            return cofre_fail(err, COFRE_FAILED, "CPUID table: more than %u entries", max);
        if (!to) {
            to = &machine->entries[machine->nent++];
            *to = *from;
        }
        take(to, from);
    }
    return 0;
}
