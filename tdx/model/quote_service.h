/* The emulated host's quote generation service: the protocol of Intel's (docs of DCAP, qgs) over a connected stream socket. */
#ifndef COFRE_TDX_MODEL_QUOTE_SERVICE_H
#define COFRE_TDX_MODEL_QUOTE_SERVICE_H

#include "vmm/base/error.h"

/*
 * A connected socket whose other end is served by a thread of this process with the emulated platform's quoting enclave,
 * until the caller closes it. The platform ($COFRE_EMULATED_DIR) is opened at first use. -1 with *err on failure.
 */
int tdx_quote_service_connect(struct cofre_err *err);

#endif
