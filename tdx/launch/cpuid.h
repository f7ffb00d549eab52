/* CPUID of a TDX guest: what the VMM asks for within what the module lets it configure, and what the module then shows. */
#ifndef COFRE_TDX_LAUNCH_CPUID_H
#define COFRE_TDX_LAUNCH_CPUID_H

#include "vmm/base/error.h"
#include "vmm/kvm/uapi.h"

/*
 * For INIT_VM: of the machine's table, the entries and bits that may be configured (KVM_TDX_CAPABILITIES); *out has room
 * for configurable->nent entries. COFRE_LACKING where the machine's table has no x2APIC or no address sizes.
 */
int tdx_cpuid_configure(struct kvm_cpuid2 *out, const struct kvm_cpuid2 *configurable,
                        const struct kvm_cpuid2 *machine, struct cofre_err *err);

/* For KVM_SET_CPUID2: the machine's table, with the values of KVM_TDX_GET_CPUID in it, so that KVM and module agree.
 * What tells vCPUs apart stays the machine's. Entries beyond max are an error. */
int tdx_cpuid_agree(struct kvm_cpuid2 *machine, uint32_t max, const struct kvm_cpuid2 *module,
                    struct cofre_err *err);

#endif
