/* The guest's CPUID table: what the host's KVM supports, with this machine's topology: one socket of N cores, one
 * thread each, local APIC ids from 0 on. */
#ifndef COFRE_MACHINE_CPUID_H
#define COFRE_MACHINE_CPUID_H

#include "vmm/kvm/kvm.h"

/* Changes *table, which has room for KVM_CPUID_MAX entries, for vCPU index of cpus. */
int machine_cpuid_topology(struct kvm_cpuid2 *table, unsigned index, unsigned cpus, struct cofre_err *err);

/* A copy of the host's table (kvm_supported_cpuid) with that vCPU's topology in it; the caller frees it. */
int machine_cpuid_new(struct kvm_cpuid2 **out, const struct kvm_cpuid2 *host, unsigned index, unsigned cpus,
                      struct cofre_err *err);

#endif
