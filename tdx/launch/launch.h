/*
 * The launch of a TDX guest on KVM's interface (Linux 6.16 and later: Documentation/virt/kvm/x86/intel-tdx.rst), and its
 * exits to user space; the same code on hardware and on the emulated platform. The order, for one guest: capabilities,
 * the split interrupt controller, INIT_VM; slots; for each vCPU its CPUID and INIT_VCPU; INIT_MEM_REGION for each range
 * of the image; FINALIZE_VM.
 */
#ifndef COFRE_TDX_LAUNCH_LAUNCH_H
#define COFRE_TDX_LAUNCH_LAUNCH_H

#include "vmm/machine/tee.h"

extern const struct tee_ops tdx_tee_ops;

#endif
