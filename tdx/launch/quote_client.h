/*
 * The host's side of TDG.VP.VMCALL<GetQuote> (348552, section 3.3): takes the TDREPORT out of the guest's shared buffer,
 * has the quote generation service make a quote of it, puts that into the buffer and tells the guest. A guest may also ask
 * with the service's message (qgs.h) around a TDREPORT: the service's answer is then what the buffer gets. One thread serves
 * QUOTE_OUTSTANDING_MAX requests at once, each over a connection of its own. Whatever the service does, each accepted
 * request ends with a status, within the time given.
 */
#ifndef COFRE_TDX_LAUNCH_QUOTE_CLIENT_H
#define COFRE_TDX_LAUNCH_QUOTE_CLIENT_H

#include "tdx/abi.h"
#include "vmm/base/error.h"
#include "vmm/devices/memory.h"
#include "vmm/kvm/backend.h"

#define QUOTE_OUTSTANDING_MAX 16
/* Linux waits for 30 seconds, and then says only that: ours come first, and with the reason. */
#define QUOTE_TIMEOUT_MS 25000

struct quote_client_config {
    const struct kvm_backend *backend;
    const char *address;               /* as for backend->quote_service; NULL: the host's usual one */
    const struct guest_memory *memory; /* the shared view */
    void (*notify)(void *context);     /* after a request has its status; from the client's thread */
    void *context;
    unsigned timeout_ms; /* 0: QUOTE_TIMEOUT_MS */
};

struct quote_client;

/* Everything that config points to outlives the client. */
int quote_client_new(struct quote_client **out, const struct quote_client_config *config,
                     struct cofre_err *err);

/*
 * The VMCALL, from a vCPU's thread: gpa without the shared bit. Its answer for R10:
 *   TDVMCALL_SUCCESS          taken: the buffer's status is TDX_QUOTE_IN_FLIGHT, and another one later
 *   TDVMCALL_ALIGN_ERROR      address or size is not a multiple of 4 KiB
 *   TDVMCALL_INVALID_OPERAND  not shared memory, not version 1, no TDREPORT in it, or a buffer that is still in flight
 *   TDVMCALL_RETRY            too many requests are outstanding
 * In the latter three nothing was written.
 */
uint64_t quote_client_request(struct quote_client *client, uint64_t gpa, uint64_t size);

/* Ends the thread; what is still outstanding gets TDX_QUOTE_SERVICE_UNAVAILABLE, without a notification. NULL is fine. */
void quote_client_free(struct quote_client *client);

#endif
