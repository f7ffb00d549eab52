/* Does this KVM run a guest? A /dev/kvm that answers may still be unable to (software stand-ins for special guests). */
#ifndef COFRE_KVM_PROBE_H
#define COFRE_KVM_PROBE_H

#include "vmm/kvm/kvm.h"

/* Runs two instructions in 32-bit protected mode without paging, the state that every guest of ours starts in.
 * COFRE_LACKING where KVM does not come to its end. */
int kvm_probe(const struct kvm *kvm, struct cofre_err *err);

#endif
