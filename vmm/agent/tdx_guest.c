/* /dev/tdx_guest: a TDREPORT, by which a guest sees its own RTMRs, and of which the host's quote generation service makes a
 * quote: asked over vsock, as Intel's library asks it, where the kernel has no configfs-tsm to ask it by GetQuote. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tdx/launch/quote_exchange.h"
#include "vmm/agent/provider.h"
#include "vmm/base/cleanup.h"

#define DEVICE             "/dev/tdx_guest"
#define HOST_QUOTE_SERVICE "vsock:2:4050" /* the host, and qgsd's usual port */
#define QUOTE_TIMEOUT_MS   25000          /* as GetQuote has it (tdx/launch/quote_client.h) */

/* linux/tdx-guest.h (Linux 6.2 and later). */
struct report_request {
    uint8_t report_data[REPORT_DATA_SIZE];
    struct tdx_report report;
};
static_assert(sizeof(struct report_request) == 1088, "tdx_report_req");
#define GET_REPORT0 _IOWR('T', 1, struct report_request)

bool tdx_guest_present(void)
{
    return access(DEVICE, R_OK | W_OK) == 0;
}

int tdx_guest_report(struct tdx_report *out, const uint8_t report_data[REPORT_DATA_SIZE],
                     struct cofre_err *err)
{
    CLEAN_FD fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s; load the kernel module tdx-guest",
                          DEVICE, strerror(errno));
    struct report_request request;
    memset(&request, 0, sizeof request);
    memcpy(request.report_data, report_data, REPORT_DATA_SIZE);
    if (ioctl(fd, GET_REPORT0, &request) < 0)
        return cofre_fail(err, COFRE_FAILED, "%s gives no TDREPORT: %s", DEVICE, strerror(errno));
    *out = request.report;
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* To its end, which the deadline brings in any case. */
static void wait_for(struct quote_exchange *x, struct cofre_err *err)
{
    while (!quote_exchange_advance(x, now_ms(), err)) {
        struct pollfd fd;
        int64_t left = quote_exchange_wait(x, &fd) - now_ms();
        (void)poll(&fd, 1, left > 0 ? (int)left : 0);
    }
}

int tdx_guest_quote(struct bytes *out, const struct kvm_backend *host, const struct tdx_report *report,
                    unsigned timeout_ms, struct cofre_err *err)
{
    struct quote_exchange x;
    const int64_t now = now_ms();
    int rc = quote_exchange_start(&x, host, HOST_QUOTE_SERVICE, (const uint8_t *)report, TDX_QUOTE_MAX, now,
                                  now + timeout_ms, err);
    if (rc < 0)
        return rc;
    wait_for(&x, err);
    rc = x.status == TDX_QUOTE_SUCCESS ? bytes_copy(out, quote_exchange_quote(&x), err) : -COFRE_LACKING;
    quote_exchange_end(&x);
    return rc;
}

int tdx_guest_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                  struct cofre_err *err)
{
    struct tdx_report report;
    int rc = tdx_guest_report(&report, report_data, err);
    if (rc == 0)
        rc = tdx_guest_quote(&out->report, &kvm_backend_kernel, &report, QUOTE_TIMEOUT_MS, err);
    out->tee = "tdx";
    return rc == 0
               ? 0
               : cofre_within(err, rc,
                              "no quote by configfs-tsm (Linux 6.7 and later: load the kernel module tsm and "
                              "mount configfs at /sys/kernel/config), nor over vsock");
}
