/* Why a TDX launch call failed, and why a TDX guest ended itself, in sentences. */
#ifndef COFRE_TDX_LAUNCH_ERROR_H
#define COFRE_TDX_LAUNCH_ERROR_H

#include <stdint.h>

#include "vmm/base/error.h"

/* command is of enum uapi_tdx_cmd_id, error the call's errno, hw_error the TDX module's completion status or 0. */
int tdx_launch_failed(struct cofre_err *err, uint32_t command, int error, uint64_t hw_error);

/* KVM_SYSTEM_EVENT_TDX_FATAL: registers by their numbers (RAX 0, R12 12), count of them. */
int tdx_guest_fatal(struct cofre_err *err, const uint64_t *registers, uint32_t count);

#endif
