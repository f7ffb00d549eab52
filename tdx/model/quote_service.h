/* The emulated host's quote generation service: the protocol of Intel's (tdx/qgs.h) over a connected stream socket. */
#ifndef COFRE_TDX_MODEL_QUOTE_SERVICE_H
#define COFRE_TDX_MODEL_QUOTE_SERVICE_H

#include "vmm/base/error.h"

/*
 * A connected socket, close-on-exec and not blocking, whose other end is served by a thread of this process with the
 * emulated platform's quoting enclave: one request, one answer, then that end is closed. The platform
 * ($COFRE_EMULATED_DIR) is opened at first use; $COFRE_EMULATED_QUOTE is the version of its quotes, 4 where unset. -1 with
 * *err on failure.
 */
int tdx_quote_service_connect(struct cofre_err *err);

#endif
