/*
 * CPUID between three tables: KVM's interface, the module's (tdx/model/cpuid.h), and that of the plain KVM which answers
 * the instruction. KVM's interface knows no "this leaf has no subleaf": its index is 0 then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/emu/lies.h"
#include "vmm/emu/tdx/tdx.h"

#define LEAF_FEATURES       1u
#define LEAF_EXTENDED       7u
#define LEAF_TSC            0x15u
#define LEAF_HYPERVISOR     0x40000000u
#define LEAF_HYPERVISOR_END 0x4fffffffu
#define LEAF_KVM_FEATURES   0x40000001u
#define LEAF_EXTENDED_MAX   0x80000000u
#define LEAF_ADDRESSES      0x80000008u

#define FEATURES_X2APIC  (1u << 21)           /* ECX */
#define FEATURES_APIC_ID 0xff000000u          /* EBX */
#define EXTENDED_TSX     (1u << 4 | 1u << 11) /* EBX */
#define EXTENDED_WAITPKG (1u << 5)            /* ECX */
#define ADDRESSES_WIDTH  0xffu                /* EAX */
#define ADDRESSES_GUEST  0xff0000u
#define GUEST_WIDTH(eax) ((eax) >> 16 & 0xff)

/* KVM's paravirtual features that work in a TD without memory that it shares by address and without hypercalls:
 * NOP_IO_DELAY, POLL_CONTROL, MSI_EXT_DEST_ID. */
#define KVM_FEATURES_IN_TD (1u << 1 | 1u << 12 | 1u << 15)

#define TSC_UNIT_KHZ 25000u

static uint32_t index_of(const struct tdx_cpuid *c)
{
    return c->subleaf == TDX_CPUID_NO_SUBLEAF ? 0 : c->subleaf;
}

static struct kvm_cpuid_entry2 entry_of(const struct tdx_cpuid *c)
{
    return (struct kvm_cpuid_entry2){
        .function = c->leaf,
        .index = index_of(c),
        .flags = c->subleaf == TDX_CPUID_NO_SUBLEAF ? 0 : KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        .eax = c->eax,
        .ebx = c->ebx,
        .ecx = c->ecx,
        .edx = c->edx};
}

/* td_init_cpuid_entry2 */
unsigned tdx_cpuid_caps(struct kvm_cpuid_entry2 *entry)
{
    struct tdx_cpuid bits[TDX_CPUID_MAX];
    size_t n = tdx_cpuid_configurable(bits);
    for (size_t i = 0; i < n; i++) {
        entry[i] = entry_of(&bits[i]);
        entry[i].flags = 0;
        if (entry[i].function == LEAF_ADDRESSES)
            entry[i].eax |= ADDRESSES_GUEST;
        if (entry[i].function == LEAF_EXTENDED && entry[i].index == 0) {
            entry[i].ebx &= ~EXTENDED_TSX;
            entry[i].ecx &= ~EXTENDED_WAITPKG;
        }
    }
    return (unsigned)n;
}

static bool is_unsupported(const struct kvm_cpuid_entry2 *e)
{
    return e->function == LEAF_EXTENDED && e->index == 0 &&
           (e->ebx & EXTENDED_TSX || e->ecx & EXTENDED_WAITPKG);
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *table, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < table->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &table->entries[i];
        if (e->function == function && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
            return e;
    }
    return NULL;
}

/* setup_tdparams_eptp_controls: no five levels on this host */
static int check_width(const struct kvm_cpuid2 *table)
{
    const struct kvm_cpuid_entry2 *e = find(table, LEAF_ADDRESSES, 0);
    return e && GUEST_WIDTH(e->eax) == TDX_GPAW ? 0 : -EINVAL;
}

/* setup_tdparams_cpuids: every entry must have its place in TD_PARAMS */
static int take_config(struct tdx_cpuid *config, size_t *count, const struct kvm_cpuid2 *table)
{
    struct tdx_cpuid bits[TDX_CPUID_MAX];
    size_t n = tdx_cpuid_configurable(bits);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct kvm_cpuid_entry2 *e = find(table, bits[i].leaf, index_of(&bits[i]));
        if (!e)
            continue;
        if (is_unsupported(e))
            return -EINVAL;
        config[(*count)++] =
            (struct tdx_cpuid){bits[i].leaf, bits[i].subleaf, e->eax, e->ebx, e->ecx, e->edx};
        if (e->function == LEAF_ADDRESSES)
            config[*count - 1].eax &= ~ADDRESSES_GUEST;
    }
    return *count == table->nent ? 0 : -EINVAL;
}

static size_t native(struct tdx_cpuid *out, const struct kvm_cpuid_entry2 *entry, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = (struct tdx_cpuid){
            entry[i].function,
            entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ? entry[i].index : TDX_CPUID_NO_SUBLEAF,
            entry[i].eax,
            entry[i].ebx,
            entry[i].ecx,
            entry[i].edx};
    return n;
}

/* KVM_GET_SUPPORTED_CPUID shows the processor below; its name, configured, is the emulated processor's. */
static void translate_name(struct tdx_cpuid *config, size_t n, struct kvm_cpuid_entry2 *host, unsigned hosts)
{
    struct tdx_cpuid bits[TDX_CPUID_MAX];
    size_t rows = tdx_cpuid_configurable(bits);
    const struct kvm_cpuid_entry2 *own = emu_cpuid_find(host, hosts, LEAF_FEATURES, 0);
    for (size_t i = 0; i < n; i++)
        for (size_t row = 0; row < rows; row++)
            if (config[i].leaf == LEAF_FEATURES && bits[row].leaf == LEAF_FEATURES && own &&
                config[i].eax == (own->eax & bits[row].eax))
                config[i].eax = TDX_CPUID_FMS;
}

/* A host that configures another processor than the guest's owner was promised. */
static void change_config(struct tdx_cpuid *config, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lie_is(LIE_WRONG_CPUID) && config[i].leaf == LEAF_FEATURES)
            config[i].ecx |= 1u << 6; /* SMX, which no TD has */
}

int tdx_cpuid_init(struct tdx_vm *vm, const struct kvm_cpuid2 *table, uint64_t xfam, tdx_status *status)
{
    CLEAN_FREE struct kvm_cpuid_entry2 *host = calloc(EMU_CPUID_MAX, sizeof(*host));
    CLEAN_FREE struct tdx_cpuid *host_as_module = calloc(EMU_CPUID_MAX, sizeof(*host_as_module));
    struct tdx_cpuid config[TDX_CPUID_MAX];
    size_t count;
    unsigned hosts;
    if (!host || !host_as_module)
        return -ENOMEM;
    int rc = check_width(table);
    if (!rc)
        rc = take_config(config, &count, table);
    if (!rc)
        rc = emu_cpuid_supported(vm->emu.kvm_fd, host, &hosts);
    if (rc)
        return rc;
    translate_name(config, count, host, hosts);
    change_config(config, count);
    struct tdx_cpuid_params params = {
        .config = config,
        .config_count = count,
        .native = host_as_module,
        .native_count = native(host_as_module, host, hosts),
        .attributes = vm->attributes,
        .xfam = xfam,
        .tsc_frequency = (uint16_t)(vm->tsc_khz / TSC_UNIT_KHZ),
    };
    *status = tdx_cpuid_virtualise(vm->cpuid, &vm->cpuid_count, &params);
    return *status == TDX_SUCCESS ? 0 : -EINVAL;
}

unsigned tdx_cpuid_get(const struct tdx_vm *vm, struct kvm_cpuid_entry2 *entry)
{
    for (size_t i = 0; i < vm->cpuid_count; i++) {
        entry[i] = entry_of(&vm->cpuid[i]);
        if (entry[i].function == LEAF_ADDRESSES)
            entry[i].eax = (entry[i].eax & ~ADDRESSES_GUEST) | TDX_GPAW << 16;
    }
    return (unsigned)vm->cpuid_count;
}

/* The plain KVM's clock is not in the module's units of 25 MHz, and it cannot scale it everywhere: the crystal makes up
 * for what is left. */
static void tune_crystal(struct kvm_cpuid_entry2 *e, uint32_t tsc_khz)
{
    if (e->ebx)
        e->ecx = (uint32_t)((uint64_t)tsc_khz * 1000 * e->eax / e->ebx);
}

static void adapt_entry(struct emu_vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
    switch (e->function) {
    case LEAF_FEATURES:
        e->ebx = (e->ebx & ~FEATURES_APIC_ID) | vcpu->id << 24;
        break;
    case LEAF_TSC:
        tune_crystal(e, tdx_vm(vcpu->vm)->tsc_khz);
        break;
    case LEAF_ADDRESSES:
        if ((e->eax & ADDRESSES_WIDTH) < TDX_GPAW)
            e->eax = (e->eax & ~ADDRESSES_WIDTH) | TDX_GPAW;
        break;
    case LEAF_KVM_FEATURES:
        e->eax &= KVM_FEATURES_IN_TD;
        break;
    default:
        break;
    }
}

int tdx_cpuid_adapt(struct emu_vcpu *vcpu, struct kvm_cpuid_entry2 *own, unsigned *n)
{
    const struct tdx_vm *vm = tdx_vm(vcpu->vm);
    const struct kvm_cpuid_entry2 *features = emu_cpuid_find(own, *n, LEAF_FEATURES, 0);
    bool x2apic = features && features->ecx & FEATURES_X2APIC;
    unsigned kept = 0;
    for (unsigned i = 0; i < *n; i++) /* what Linux asks the VMM for */
        if (own[i].function >= LEAF_HYPERVISOR && own[i].function <= LEAF_HYPERVISOR_END)
            own[kept++] = own[i];
    if (kept + vm->cpuid_count > EMU_CPUID_MAX)
        return -E2BIG;
    *n = kept + tdx_cpuid_get(vm, own + kept);
    for (unsigned i = 0; i < *n; i++) {
        adapt_entry(vcpu, &own[i]);
        if (own[i].function == LEAF_FEATURES && !x2apic)
            own[i].ecx &= ~FEATURES_X2APIC; /* KVM looks into the caller's table: INIT_VCPU will refuse */
    }
    return 0;
}
