/* /dev/sev-guest: evidence, which is the extended report, or the plain one where the host gives no
 * certificates; and keys that the firmware derives. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
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
struct derived_key_req {
    uint32_t select, reserved; /* 0: the key that signs reports, VCEK or VLEK */
    uint64_t fields;
    uint32_t vmpl, guest_svn;
    uint64_t tcb;
};
static_assert(sizeof(struct ext_report_req) == 112, "snp_ext_report_req");
static_assert(sizeof(struct derived_key_req) == 32, "snp_derived_key_req");
#define GET_REPORT     _IOWR('S', 0, struct guest_request)
#define GET_DERIVED    _IOWR('S', 1, struct guest_request)
#define GET_EXT_REPORT _IOWR('S', 2, struct guest_request)

/* GUEST_FIELD_SELECT of MSG_KEY_REQ (56860, 7.2). Host data and ID key go in besides, by themselves. */
#define FIELD_POLICY      (1u << 0)
#define FIELD_MEASUREMENT (1u << 3)
#define FIELD_TCB_VERSION (1u << 5)

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

int sev_guest_may_derive(struct cofre_err *err)
{
    if (sev_guest_present())
        return 0;
    return tdx_guest_present()
               ? cofre_fail(err, COFRE_LACKING,
                            "a TDX guest has no key that comes back when it starts again: TDX 1.5 derives "
                            "none for it, "
                            "and Linux has no call for the one of later modules (TDG.MR.KEY.GET)")
               : cofre_fail(err, COFRE_LACKING, "there is no %s: load the module sev-guest", DEVICE);
}

int sev_guest_root(void *context, struct kept_root *out, struct cofre_err *err)
{
    (void)context;
    static const uint8_t nothing[REPORT_DATA_SIZE];
    __attribute__((cleanup(agent_evidence_free))) struct agent_evidence evidence = {0};
    int rc = sev_guest_may_derive(err);
    if (rc == 0)
        rc = sev_guest_get(nothing, &evidence, err);
    if (rc < 0)
        return rc;
    const struct snp_report *report = (const struct snp_report *)evidence.report.data;
    *out = (struct kept_root){.tcb = le64(&report->committed_tcb), .vmpl = le32(&report->vmpl)};
    return 0;
}

int sev_guest_derive(void *context, uint8_t key[32], const struct kept_root *root, struct cofre_err *err)
{
    (void)context;
    struct derived_key_req req = {
        .fields = FIELD_POLICY | FIELD_MEASUREMENT | FIELD_TCB_VERSION, .vmpl = root->vmpl, .tcb = root->tcb};
    uint8_t response[64] = {0}; /* status, 28 reserved bytes, the key */
    CLEAN_FD fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s", DEVICE, strerror(errno));
    int rc = request(fd, GET_DERIVED, &req, response, err);
    if (rc == 0 && le32(response) != 0)
        rc = cofre_fail(err, COFRE_FAILED, "the firmware derives no key: status 0x%x", le32(response));
    if (rc == 0)
        memcpy(key, response + 32, 32);
    OPENSSL_cleanse(response, sizeof response);
    return rc;
}
