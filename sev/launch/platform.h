/* The host's SEV-SNP platform as an operator sees it: what the CPU says and what the firmware answers. */
#ifndef COFRE_SEV_LAUNCH_PLATFORM_H
#define COFRE_SEV_LAUNCH_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* CPUID leaf 0x8000001f (APM volume 3, appendix E.4.17). */
struct snp_cpu {
    bool snp;            /* EAX bit 4 */
    unsigned c_bit;      /* EBX 5:0 */
    unsigned guests_max; /* ECX: address space identifiers for encrypted guests */
    unsigned snp_asids;  /* of these, how many SEV-ES and SEV-SNP guests can have: EDX - 1 */
};
void snp_cpu_read(struct snp_cpu *out);

/* SNP_PLATFORM_STATUS (56860, section 8.3), through /dev/sev. */
struct snp_platform_status {
    uint8_t api_major, api_minor;
    uint8_t state; /* 1: initialised */
    uint32_t build;
    bool rmp_initialised, mask_chip_id, mask_chip_key, vlek;
    uint32_t guests;
    uint64_t current_tcb, reported_tcb;
};
/* COFRE_LACKING, with a remedy, where /dev/sev is not there, may not be opened or does not answer. */
int snp_platform_status(struct snp_platform_status *out, struct cofre_err *err);

#endif
