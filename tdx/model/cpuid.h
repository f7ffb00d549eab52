/*
 * CPUID as the TDX module virtualises it: which bits a VMM may configure, and what a TD then sees. Pure tables.
 * Sources: 348549, section "CPUID virtualization"; the tables are those of module 1.5.01.
 *
 * The processor is the emulated platform's: an Intel one (family 6, model 0x8f) with the features of the host below.
 */
#ifndef COFRE_TDX_MODEL_CPUID_H
#define COFRE_TDX_MODEL_CPUID_H

#include <stddef.h>
#include <stdint.h>

#include "tdx/status.h"

#define TDX_CPUID_NO_SUBLEAF 0xffffffffu /* the leaf has none; KVM's tables have index 0 there */
#define TDX_CPUID_FMS        0x000806f8u /* leaf 1 EAX */
#define TDX_CPUID_MAX        64u

struct tdx_cpuid {
    uint32_t leaf, subleaf;
    uint32_t eax, ebx, ecx, edx;
};

/* The bits that a VMM may set in TD_PARAMS' CPUID_CONFIG (TDH.SYS.RD), leaf by leaf; the result is their number. KVM then
 * adds leaf 80000008h EAX[23:16], for GPAW, and takes TSX and WAITPKG away. */
size_t tdx_cpuid_configurable(struct tdx_cpuid out[TDX_CPUID_MAX]);

struct tdx_cpuid_params {
    const struct tdx_cpuid *config; /* the VMM's values; leaves that are left out are zero */
    size_t config_count;
    const struct tdx_cpuid *native; /* what the host below has; KVM_GET_SUPPORTED_CPUID */
    size_t native_count;
    uint64_t attributes, xfam;
    uint16_t tsc_frequency; /* in units of 25 MHz; 0 where nobody knows: leaf 15h then names no frequency */
};

/*
 * TDH.MNG.INIT's part on CPUID: what the TD sees without asking the VMM. Leaves that are not in out raise #VE there, and
 * Linux then reads zeros, but for 0x40000000 to 0x4fffffff, which are the VMM's. Left to the caller, because they change
 * as the TD runs: leaf 1 EBX[31:24], the vCPU's index; OSXSAVE, OSPKE and the sizes in leaf 0xd, which KVM does.
 * OPERAND_INVALID (CPUID_CONFIG) for bits that are not configurable, another model, or half of TSX.
 */
tdx_status tdx_cpuid_virtualise(struct tdx_cpuid out[TDX_CPUID_MAX], size_t *out_count,
                                const struct tdx_cpuid_params *params);

#endif
