#include "sev/fw_status.h"

#include <stddef.h>

#define REBOOT  "update the firmware (or BIOS) and restart the host"
#define RESTART "start the guest again; where it repeats, restart the host"

static const struct snp_fw_status statuses[] = {
    {0x00, "SUCCESS", "the firmware reports no error", "see the kernel's log (dmesg) for KVM's reason"},
    {0x01, "INVALID_PLATFORM_STATE", "SNP is not initialised on this host", "see \"cofre doctor\""},
    {0x02, "INVALID_GUEST_STATE", "the guest's launch is in another state than this command needs", RESTART},
    {0x03, "INVALID_CONFIG", "the platform's configuration does not allow this", "see \"cofre doctor\""},
    {0x04, "INVALID_LEN", "a length does not fit", ""},
    {0x05, "ALREADY_OWNED", "the platform has another owner", ""},
    {0x06, "INVALID_CERTIFICATE", "a certificate is not valid", ""},
    {0x07, "POLICY_FAILURE", "the guest policy does not fit this platform or the ID block's policy",
     "compare --policy with the ID block, with SMT and with the firmware's ABI version"},
    {0x08, "INACTIVE", "the guest has no active address space identifier (ASID)", RESTART},
    {0x09, "INVALID_ADDRESS", "an address is not valid", ""},
    {0x0a, "BAD_SIGNATURE", "a signature of the ID block or of the ID key does not verify",
     "make the ID block again with \"cofre id-block\""},
    {0x0b, "BAD_MEASUREMENT", "the launch digest is not the one in the ID block",
     "predict it with \"cofre measure\" for exactly these inputs"},
    {0x0c, "ASID_OWNED", "the address space identifier (ASID) belongs to another guest", RESTART},
    {0x0d, "INVALID_ASID", "the address space identifier (ASID) is out of range",
     "see \"cofre doctor\" for ASIDs"},
    {0x0e, "WBINVD_REQUIRED", "caches have to be written back first", RESTART},
    {0x0f, "DFFLUSH_REQUIRED", "the data fabric has to be flushed first", RESTART},
    {0x10, "INVALID_GUEST", "the firmware does not know this guest", RESTART},
    {0x11, "INVALID_COMMAND", "the firmware does not know this command", REBOOT},
    {0x12, "ACTIVE", "the guest is active already", RESTART},
    {0x13, "HWSEV_RET_PLATFORM", "the hardware reports an error; its memory may be inconsistent",
     "restart the host"},
    {0x14, "HWSEV_RET_UNSAFE", "the hardware reports an error that is unsafe to ignore", "restart the host"},
    {0x15, "UNSUPPORTED", "this firmware does not support that feature", REBOOT},
    {0x16, "INVALID_PARAM", "a parameter is not valid", ""},
    {0x17, "RESOURCE_LIMIT", "the firmware ran out of a resource", "end another guest, or restart the host"},
    {0x18, "SECURE_DATA_INVALID", "the firmware's protected data is not valid", REBOOT},
    {0x19, "INVALID_PAGE_SIZE", "a page has another size in the RMP", RESTART},
    {0x1a, "INVALID_PAGE_STATE", "a page has another state in the RMP", RESTART},
    {0x1b, "INVALID_MDATA_ENTRY", "a swap metadata entry is not valid", ""},
    {0x1c, "INVALID_PAGE_OWNER", "a page belongs to another guest", RESTART},
    {0x1d, "AEAD_OFLOW", "a guest message counter would overflow", "start the guest again"},
    {0x1f, "EXIT_RING_BUFFER", "the firmware left its ring buffer mode", ""},
    {0x20, "RMP_INIT_REQUIRED", "the reverse map table has to be initialised", "see \"cofre doctor\""},
    {0x21, "BAD_SVN", "the security version is lower than the committed one", REBOOT},
    {0x22, "BAD_VERSION", "a version is not supported, or lower than the committed one", REBOOT},
    {0x23, "SHUTDOWN_REQUIRED", "the platform has to be shut down first", "restart the host"},
    {0x24, "UPDATE_FAILED", "the firmware's update failed", REBOOT},
    {0x25, "RESTORE_REQUIRED", "the firmware has to be restored", REBOOT},
    {0x26, "RMP_INITIALIZATION_FAILED", "the reverse map table could not be initialised",
     "see \"cofre doctor\""},
    {0x27, "INVALID_KEY", "the key that was asked for is not available", ""},
    {0x28, "SHUTDOWN_INCOMPLETE", "an earlier shutdown was not finished", "restart the host"},
};

const struct snp_fw_status *snp_fw_status(uint32_t code)
{
    static const struct snp_fw_status unknown = {UINT32_MAX, "unknown",
                                                 "the specification does not list this code", ""};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].code == code)
            return &statuses[i];
    return &unknown;
}
