/* Evidence through /dev/sev-guest: the extended report, or the plain one where the host gives no
 * certificates. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sev/abi.h"
#include "vmm/agent/provider.h"
#include "vmm/base/cleanup.h"

/* linux/sev-guest.h (Linux 6.1 and later). Its name for the firmware's request clashes with sev/abi.h's, so
 * what is used of it stands here. */
struct guest_request {
    uint8_t msg_version;
    uint64_t req_data, resp_data;
    uint64_t exitinfo2; /* VMM error in bits 63:32, firmware error in 31:0 */
};
struct ext_report_req {
    uint8_t report_data[64];
    uint32_t vmpl;
    uint8_t reserved[28];
    uint64_t certs_address;
    uint32_t certs_len;
};
static_assert(sizeof(struct guest_request) == 32, "snp_guest_request_ioctl");
static_assert(sizeof(struct ext_report_req) == 112, "snp_ext_report_req");
#define GET_REPORT     _IOWR('S', 0, struct guest_request)
#define GET_EXT_REPORT _IOWR('S', 2, struct guest_request)

#define DEVICE            "/dev/sev-guest"
#define CERTIFICATES_SIZE 0x8000u
#define RESPONSE_SIZE     4000u /* size of the kernel's response buffer: the firmware's response begins it */

bool sev_guest_present(void)
{
    return access(DEVICE, R_OK | W_OK) == 0;
}

static int request(int fd, unsigned long command, void *req, uint8_t *response, struct cofre_err *err)
{
    struct guest_request call = {
        .msg_version = 1,
        .req_data = (uintptr_t)req,
        .resp_data = (uintptr_t)response,
    };
    if (ioctl(fd, command, &call) == 0)
        return 0;
    return cofre_fail(err, COFRE_FAILED, "%s: %s (VMM error %u, firmware error 0x%x)", DEVICE,
                      strerror(errno), (unsigned)(call.exitinfo2 >> 32), (unsigned)call.exitinfo2);
}

int sev_guest_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                  struct cofre_err *err)
{
    CLEAN_FD fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s", DEVICE, strerror(errno));
    CLEAN_BYTES response = {0};
    int rc = bytes_alloc(&response, RESPONSE_SIZE, err);
    if (rc == 0)
        rc = bytes_alloc(&out->certificates, CERTIFICATES_SIZE, err);
    if (rc < 0)
        return rc;
    struct ext_report_req extended = {.certs_address = (uintptr_t)out->certificates.data,
                                      .certs_len = CERTIFICATES_SIZE};
    memcpy(extended.report_data, report_data, REPORT_DATA_SIZE);
    if (request(fd, GET_EXT_REPORT, &extended, response.data, err) < 0) {
        bytes_free(&out->certificates);
        rc = request(fd, GET_REPORT, &extended, response.data, err);
        if (rc < 0)
            return rc;
    }
    const struct snp_report_rsp *rsp = (const struct snp_report_rsp *)response.data;
    uint32_t status = le32(&rsp->status), size = le32(&rsp->report_size);
    if (status != 0 || size != sizeof rsp->report)
        return cofre_fail(err, COFRE_FAILED,
                          "the firmware answered with status 0x%x and a report of %u bytes", status, size);
    out->tee = "snp";
    return bytes_copy(&out->report, (struct view){(const uint8_t *)&rsp->report, size}, err);
}
