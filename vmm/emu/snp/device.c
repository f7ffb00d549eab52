/*
 * SEV_ISSUE_CMD on /dev/sev: what the firmware says of itself (Linux drivers/crypto/ccp/sev-dev.c, sev_ioctl). Commands that
 * would change the platform, or are of SEV without SNP, it does not have.
 */
#include <errno.h>

#include "vmm/emu/caller.h"
#include "vmm/emu/snp/snp.h"

#define STATE_INITIALISED 1
#define FLAGS_CONFIG_ES   (1u << 8)

static int answer(const struct uapi_sev_issue_cmd *cmd, const void *buffer, size_t len)
{
    return caller_write(caller_at(cmd->data, 0), buffer, len);
}

static int issue(struct uapi_sev_issue_cmd *cmd)
{
    struct psp_version v;
    const struct psp *psp = snp_firmware();
    if (cmd->command >= UAPI_SEV_PLATFORM_COMMANDS)
        return -EINVAL;
    if (!psp)
        return -ENODEV;
    psp_version(psp, &v);
    switch (cmd->command) {
    case UAPI_SEV_PLATFORM_STATUS:
        return answer(cmd,
                      &(struct uapi_sev_status){.api_major = v.api_major,
                                                .api_minor = v.api_minor,
                                                .state = STATE_INITIALISED,
                                                .flags = FLAGS_CONFIG_ES,
                                                .build = v.build},
                      sizeof(struct uapi_sev_status));
    case UAPI_SNP_PLATFORM_STATUS:
        return answer(cmd,
                      &(struct uapi_snp_status){.api_major = v.api_major,
                                                .api_minor = v.api_minor,
                                                .state = STATE_INITIALISED,
                                                .rmp = 1,
                                                .build = v.build,
                                                .flags = v.flags,
                                                .current_tcb = v.tcb,
                                                .reported_tcb = v.tcb},
                      sizeof(struct uapi_snp_status));
    default:
        cmd->error = PSP_UNSUPPORTED;
        return -EIO;
    }
}

int snp_device_ioctl(unsigned long request, void *argument)
{
    struct uapi_sev_issue_cmd cmd;
    if (request != UAPI_SEV_ISSUE_CMD)
        return -EINVAL;
    if (caller_read(&cmd, argument, sizeof(cmd)) != 0)
        return -EFAULT;
    cmd.error = 0;
    const int rc = issue(&cmd);
    return caller_write(argument, &cmd, sizeof(cmd)) != 0 ? -EFAULT : rc;
}
