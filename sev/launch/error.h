/* Sentences for what KVM, the firmware and the guest report during an SNP guest's life. */
#ifndef COFRE_SEV_LAUNCH_ERROR_H
#define COFRE_SEV_LAUNCH_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

/* A KVM command (enum uapi_sev_cmd_id) failed with this errno and firmware status (0: the firmware was not reached).
 * COFRE_LACKING where the host has to be changed, else COFRE_FAILED; the sentence says what is wrong and what to do. */
int snp_launch_failed(struct cofre_err *err, uint32_t command, int error, uint32_t fw_status);

/* The guest asked for its termination (GHCB specification, MSR protocol 0x100): returns the exit code and writes why. */
int snp_guest_terminated(struct cofre_err *err, uint64_t ghcb_msr);

#endif
