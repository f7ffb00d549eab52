/*
 * One quote asked of the quote generation service, from connecting to the last byte: a state machine that never waits
 * itself. Times are milliseconds of any clock that only goes forward; the caller says what time it is. A service that is
 * absent, restarts or drops the connection is asked again, ever more slowly, until the time is over.
 */
#ifndef COFRE_TDX_LAUNCH_QUOTE_EXCHANGE_H
#define COFRE_TDX_LAUNCH_QUOTE_EXCHANGE_H

#include <poll.h>
#include <stdbool.h>

#include "tdx/abi.h"
#include "tdx/qgs.h"
#include "tdx/quote.h"
#include "vmm/base/bytes.h"
#include "vmm/kvm/backend.h"

struct quote_request {
    uint8_t length[QGS_LENGTH_SIZE];
    struct qgs_get_quote_req message;
    uint8_t report[TDX_REPORT_SIZE];
};
static_assert(sizeof(struct quote_request) == 1052, "quote_request has no padding");

/* Whether somebody else's bytes are such a request: a quote of one TDREPORT, by the service's own choice of key. */
bool quote_request_is_one(const struct quote_request *request);

struct quote_exchange {
    const struct kvm_backend *backend;
    const char *address;
    struct quote_request request;
    struct bytes answer; /* room for the largest acceptable one, with its length */
    int fd;              /* -1: between two attempts */
    size_t sent, received, expected;
    unsigned dropped; /* connections that ended before the answer did */
    int64_t deadline, retry_at, pause;
    uint64_t status; /* TDX_QUOTE_IN_FLIGHT until it is over */
};

/* Begins; quote_max is the guest's room, of which TDX_QUOTE_MAX is used. address is constant while it lasts. Fails only without memory, holding nothing. */
int quote_exchange_start(struct quote_exchange *x, const struct kvm_backend *backend, const char *address,
                         const uint8_t report[TDX_REPORT_SIZE], size_t quote_max, int64_t now,
                         int64_t deadline, struct cofre_err *err);

/* What to wait for: *fd is filled in (its fd is -1 between attempts). Returns when to advance if nothing happens. */
int64_t quote_exchange_wait(const struct quote_exchange *x, struct pollfd *fd);

/*
 * Goes on as far as it can. True when it is over; status is then
 *   TDX_QUOTE_SUCCESS              and quote_exchange_quote has it,
 *   TDX_QUOTE_ERROR                the service answered, but not with a quote that can be used,
 *   TDX_QUOTE_SERVICE_UNAVAILABLE  there was no whole answer in time, or no connection lasted for one;
 * *err says why for the last two.
 */
bool quote_exchange_advance(struct quote_exchange *x, int64_t now, struct cofre_err *err);

/* The quote, and the service's whole answer that it came in; nothing unless status is TDX_QUOTE_SUCCESS. */
struct view quote_exchange_quote(const struct quote_exchange *x);
struct view quote_exchange_answer(const struct quote_exchange *x);
void quote_exchange_end(struct quote_exchange *x); /* at any time after start */

#endif
