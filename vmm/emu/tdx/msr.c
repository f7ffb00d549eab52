/* The MSRs that KVM emulates for a TD (tdx_has_emulated_msr); all others are the module's, or nobody's. */
#include <errno.h>

#include "vmm/emu/tdx/tdx.h"

static const struct {
    uint32_t first, last;
    bool read_only;
} msrs[] = {
    {0x1b, 0x1b, true},    /* APIC_BASE */
    {0x3a, 0x3a, true},    /* FEAT_CTL */
    {0x8b, 0x8b, false},   /* UCODE_REV */
    {0xce, 0xce, false},   /* PLATFORM_INFO */
    {0xfe, 0xfe, false},   /* MTRRcap */
    {0x10a, 0x10a, false}, /* ARCH_CAPABILITIES */
    {0x140, 0x140, false}, /* MISC_FEATURES_ENABLES */
    {0x179, 0x17b, false}, /* MCG_CAP, STATUS, CTL */
    {0x1a0, 0x1a0, false}, /* MISC_ENABLE */
    {0x1fc, 0x1fc, false}, /* POWER_CTL */
    {0x200, 0x26f, false}, /* variable and fixed MTRRs */
    {0x277, 0x277, false}, /* PAT */
    {0x280, 0x29f, false}, /* MCx_CTL2 */
    {0x2ff, 0x2ff, false}, /* MTRRdefType */
    {0x400, 0x47f, false}, /* MCx_CTL, STATUS, ADDR, MISC */
    {0x4d0, 0x4d0, false}, /* MCG_EXT_CTL */
    {0x6e0, 0x6e0, false}, /* TSC_DEADLINE */
    {0x802, 0x803, false}, /* x2APIC: those that the processor does not virtualise */
    {0x80d, 0x80d, false},
    {0x80f, 0x80f, false},
    {0x828, 0x828, false},
    {0x82f, 0x830, false},
    {0x832, 0x839, false},
    {0x83e, 0x83e, false},
    {0x4b564d05, 0x4b564d05, false}, /* KVM_POLL_CONTROL */
    {0xc0000080, 0xc0000080, true},  /* EFER */
};

static bool is_emulated(uint32_t index, bool write)
{
    for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++)
        if (index >= msrs[i].first && index <= msrs[i].last)
            return !(write && msrs[i].read_only);
    return false;
}

int tdx_get_msr(struct tdx_vcpu *vcpu, uint32_t index, uint64_t *value)
{
    return is_emulated(index, false) ? emu_vcpu_get_msr(&vcpu->emu, index, value) : -EINVAL;
}

int tdx_set_msr(struct tdx_vcpu *vcpu, uint32_t index, uint64_t value)
{
    return is_emulated(index, true) ? emu_vcpu_set_msr(&vcpu->emu, index, value) : -EINVAL;
}
