/* /dev/tdx_guest: a TDREPORT, by which a guest sees its own RTMRs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/agent/provider.h"
#include "vmm/base/cleanup.h"

#define DEVICE "/dev/tdx_guest"

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

int tdx_guest_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                  struct cofre_err *err)
{
    (void)report_data;
    (void)out;
    return cofre_fail(
        err, COFRE_LACKING,
        "%s gives only a TDREPORT, which no other machine can check; quotes come through configfs-tsm "
        "(Linux 6.7 and later): load the kernel module tsm and mount configfs at /sys/kernel/config",
        DEVICE);
}
