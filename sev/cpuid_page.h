/*
 * The CPUID page: the guest's CPUID table as the firmware checks it (56860, section 8.17.2.6) and as Linux reads it
 * instead of the CPUID instruction, which the host could answer with anything.
 */
#ifndef COFRE_SEV_CPUID_PAGE_H
#define COFRE_SEV_CPUID_PAGE_H

#include <linux/kvm.h>

#include "sev/abi.h"
#include "vmm/base/error.h"

/* From the table that vCPUs were given. Fails (COFRE_FAILED) where more than 64 functions are needed. */
int snp_cpuid_page_fill(struct snp_cpuid_page *out, const struct kvm_cpuid2 *table, struct cofre_err *err);

/* Names the first function in which the firmware's corrected page differs: "leaf 0x7.0 EBX: given 0x.., allowed 0x..".
 * Returns 0 where the pages are equal, else the number of characters written. */
int snp_cpuid_page_difference(const struct snp_cpuid_page *given, const struct snp_cpuid_page *corrected,
                              char *text, size_t size);

#endif
