/*
 * Launching an SEV-SNP guest on upstream KVM (Linux 6.11 and later): the TEE table for SNP (vmm/machine/tee.h).
 * Sources: Documentation/virt/kvm/x86/amd-memory-encryption.rst; publication 56860, chapter 8.
 *
 * INIT2, certificate requests where the kernel has them (7.0) and there are certificates to serve, LAUNCH_START; the
 * machine's slots and vCPUs; LAUNCH_UPDATE for each range of the image; LAUNCH_FINISH. What the kernel can do is probed
 * by its device attributes and capabilities, never guessed by its version.
 */
#ifndef COFRE_SEV_LAUNCH_H
#define COFRE_SEV_LAUNCH_H

#include "vmm/machine/tee.h"

extern const struct tee_ops snp_tee_ops;

#endif
