/* The CPUID table of an SNP guest, from what KVM supports. */
#ifndef COFRE_SEV_LAUNCH_CPUID_H
#define COFRE_SEV_LAUNCH_CPUID_H

#include <linux/kvm.h>

#include "vmm/base/error.h"

/* Removes what the firmware refuses in a CPUID page and describes SEV-SNP as the guest sees it (leaf 0x8000001f).
 * COFRE_LACKING where the host's table has no such leaf. */
int snp_cpuid_correct(struct kvm_cpuid2 *cpuid, struct cofre_err *err);

#endif
