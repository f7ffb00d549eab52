#include "sev/launch/platform.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "sev/fw_status.h"
#include "vmm/base/bytes.h"
#include "vmm/base/cleanup.h"
#include "vmm/kvm/uapi.h"

void snp_cpu_read(struct snp_cpu *out)
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    *out = (struct snp_cpu){0};
    if (!__get_cpuid_count(0x8000001f, 0, &eax, &ebx, &ecx, &edx))
        return;
    out->snp = eax >> 4 & 1;
    out->c_bit = ebx & 0x3f;
    out->guests_max = ecx;
    out->snp_asids = edx ? edx - 1 : 0;
}

static int open_failed(struct cofre_err *err)
{
    if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
        return cofre_fail(err, COFRE_LACKING,
                          "/dev/sev is not there: load the module ccp (modprobe ccp) on a host whose "
                          "CPU has SEV, with SEV enabled in its firmware settings");
    if (errno == EACCES || errno == EPERM)
        return cofre_fail(err, COFRE_LACKING,
                          "/dev/sev may not be opened by this user: run as root, or give the user's "
                          "group access to it by a udev rule");
    return cofre_fail(err, COFRE_LACKING, "/dev/sev cannot be opened: %s", strerror(errno));
}

int snp_platform_status(struct snp_platform_status *out, struct cofre_err *err)
{
    CLEAN_FD fd = open("/dev/sev", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return open_failed(err);
    struct uapi_snp_status status = {0};
    struct uapi_sev_issue_cmd call = {.command = UAPI_SNP_PLATFORM_STATUS, .data = (uintptr_t)&status};
    if (ioctl(fd, UAPI_SEV_ISSUE_CMD, &call) < 0)
        return cofre_fail(err, COFRE_LACKING, "the firmware does not answer SNP_PLATFORM_STATUS: %s (%s)",
                          strerror(errno), snp_fw_status(call.error)->name);
    *out = (struct snp_platform_status){
        .api_major = status.api_major,
        .api_minor = status.api_minor,
        .state = status.state,
        .build = le32(&status.build),
        .rmp_initialised = status.rmp & 1,
        .mask_chip_id = le32(&status.flags) & 1,
        .mask_chip_key = le32(&status.flags) >> 1 & 1,
        .vlek = le32(&status.flags) >> 2 & 1,
        .guests = le32(&status.guests),
        .current_tcb = le64(&status.current_tcb),
        .reported_tcb = le64(&status.reported_tcb),
    };
    return 0;
}
