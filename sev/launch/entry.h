/* The registers that every vCPU of an SNP guest starts with. */
#ifndef COFRE_SEV_LAUNCH_ENTRY_H
#define COFRE_SEV_LAUNCH_ENTRY_H

#include "sev/vmsa.h"
#include "vmm/kvm/vcpu.h"

/* Sets every register that the VMSA takes from KVM to what the prediction says (sev/vmsa.h). */
int snp_entry_set(struct kvm_vcpu *vcpu, const struct snp_vmsa *vmsa, struct cofre_err *err);

#endif
