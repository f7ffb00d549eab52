/*
 * SEV_ISSUE_CMD on /dev/sev: what the firmware says of itself (Linux drivers/crypto/ccp/sev-dev.c, sev_ioctl). Commands that
 * would change the platform, or are of SEV without SNP, it does not have.
 */
#include <assert.h>
#include <errno.h>

#include "vmm/emu/caller.h"
#include "vmm/emu/snp/snp.h"

/* uapi linux/psp-sev.h of Linux 6.11 */
enum { SEV_PLATFORM_STATUS = 1, SNP_PLATFORM_STATUS = 9, SEV_COMMANDS = 13 };
struct issue_cmd {
    uint32_t command;
    uint64_t data;
    uint32_t error;
} __attribute__((packed));
#define SEV_ISSUE_CMD _IOWR('S', 0, struct issue_cmd)

struct status_buffer {
    uint8_t api_major, api_minor, state;
    uint32_t flags;
    uint8_t build;
    uint32_t guests;
} __attribute__((packed));
static_assert(sizeof(struct status_buffer) == 12, "sev_user_data_status");

struct snp_status_buffer {
    uint8_t api_major, api_minor, state, rmp;
    uint32_t build, flags, guests;
    uint64_t current_tcb, reported_tcb;
} __attribute__((packed));
static_assert(sizeof(struct snp_status_buffer) == 32, "sev_user_data_snp_status");

#define STATE_INITIALISED 1
#define FLAGS_CONFIG_ES   (1u << 8)

static int answer(const struct issue_cmd *cmd, const void *buffer, size_t len)
{
    return caller_write(caller_at(cmd->data, 0), buffer, len);
}

static int issue(struct issue_cmd *cmd)
{
    struct psp_version v;
    const struct psp *psp = snp_firmware();
    if (cmd->command >= SEV_COMMANDS)
        return -EINVAL;
    if (!psp)
        return -ENODEV;
    psp_version(psp, &v);
    switch (cmd->command) {
    case SEV_PLATFORM_STATUS:
        return answer(cmd,
                      &(struct status_buffer){.api_major = v.api_major,
                                              .api_minor = v.api_minor,
                                              .state = STATE_INITIALISED,
                                              .flags = FLAGS_CONFIG_ES,
                                              .build = v.build},
                      sizeof(struct status_buffer));
    case SNP_PLATFORM_STATUS:
        return answer(cmd,
                      &(struct snp_status_buffer){.api_major = v.api_major,
                                                  .api_minor = v.api_minor,
                                                  .state = STATE_INITIALISED,
                                                  .rmp = 1,
                                                  .build = v.build,
                                                  .flags = v.flags,
                                                  .current_tcb = v.tcb,
                                                  .reported_tcb = v.tcb},
                      sizeof(struct snp_status_buffer));
    default:
        cmd->error = PSP_UNSUPPORTED;
        return -EIO;
    }
}

int snp_device_ioctl(unsigned long request, void *argument)
{
    struct issue_cmd cmd;
    if (request != SEV_ISSUE_CMD)
        return -EINVAL;
    if (caller_read(&cmd, argument, sizeof(cmd)) != 0)
        return -EFAULT;
    cmd.error = 0;
    const int rc = issue(&cmd);
    return caller_write(argument, &cmd, sizeof(cmd)) != 0 ? -EFAULT : rc;
}
