#include "sev/launch/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sev/fw_status.h"
#include "vmm/kvm/command.h"
#include "vmm/kvm/uapi.h"
#include "vmm/machine/boot.h"

static const struct kvm_command_name commands[] = {
    {UAPI_SEV_INIT2, "KVM_SEV_INIT2"},
    {UAPI_SEV_SNP_ENABLE_REQ_CERTS, "KVM_SEV_SNP_ENABLE_REQ_CERTS"},
    {UAPI_SEV_SNP_LAUNCH_START, "KVM_SEV_SNP_LAUNCH_START"},
    {UAPI_SEV_SNP_LAUNCH_UPDATE, "KVM_SEV_SNP_LAUNCH_UPDATE"},
    {UAPI_SEV_SNP_LAUNCH_FINISH, "KVM_SEV_SNP_LAUNCH_FINISH"},
    {0},
};

/* What KVM means by an errno that does not come from the firmware. */
static const struct kvm_command_reason reasons[] = {
    {UAPI_SEV_INIT2, EBUSY, COFRE_LACKING,
     "no address space identifier (ASID) is free; end another encrypted guest, or give SNP more ASIDs in the "
     "BIOS"},
    {UAPI_SEV_INIT2, EINVAL, COFRE_FAILED,
     "this kernel does not know a VMSA feature or the GHCB version that was asked for"},
    {UAPI_SEV_SNP_LAUNCH_START, EINVAL, COFRE_FAILED,
     "this kernel does not allow these bits of --policy (before Linux 6.18 it wants smt and refuses "
     "single-socket)"},
    {UAPI_SEV_SNP_LAUNCH_START, ENOTTY, COFRE_LACKING, "/dev/sev was not accepted; see \"cofre doctor\""},
    {UAPI_SEV_SNP_LAUNCH_UPDATE, EIO, COFRE_FAILED,
     "a page is not private or belongs to the guest already, or its contents could not be read"},
    {UAPI_SEV_SNP_LAUNCH_UPDATE, EINVAL, COFRE_FAILED, "a page lies outside the guest's private memory"},
    {UAPI_SEV_SNP_LAUNCH_FINISH, EIO, COFRE_FAILED, "a vCPU's state could not be encrypted"},
    {UAPI_SEV_SNP_LAUNCH_FINISH, EINVAL, COFRE_FAILED,
     "the launch was finished before, or a vCPU is being debugged"},
    {KVM_EVERY_COMMAND, ENOTTY, COFRE_LACKING, "KVM has SEV-SNP switched off; see \"cofre doctor\""},
    {KVM_EVERY_COMMAND, EBADF, COFRE_LACKING, "/dev/sev is not the security processor's device"},
    {KVM_EVERY_COMMAND, EBUSY, COFRE_LACKING,
     "the security processor does not answer any more; restart the host"},
    {KVM_EVERY_COMMAND, ETIMEDOUT, COFRE_LACKING,
     "the security processor did not answer in time; restart the host"},
    {KVM_EVERY_COMMAND, EPERM, COFRE_FAILED, "KVM does not allow the command now"},
    {KVM_EVERY_COMMAND, ENOMEM, COFRE_FAILED, "the host has no memory left"},
    {0},
};

int snp_launch_failed(struct cofre_err *err, uint32_t command, int error, uint32_t fw_status)
{
    if (!fw_status)
        return kvm_command_failed(err, commands, reasons, command, error, "");
    const struct snp_fw_status *status = snp_fw_status(fw_status);
    enum cofre_error code = fw_status == SNP_FW_BAD_MEASUREMENT ? COFRE_NEGATIVE : COFRE_FAILED;
    return cofre_fail(err, code, "%s: the SEV-SNP firmware refused with %s (0x%x): %s%s%s",
                      kvm_command_name(commands, command), status->name, fw_status, status->meaning,
                      *status->remedy ? "; " : "", status->remedy);
}

/* GHCB specification, table "SEV-ES Termination Reason Code Sets", and Linux's own set 1 (asm/sev-common.h). */
static const struct {
    uint8_t set, code;
    const char *sentence;
} terminations[] = {
    {0, 0, "the guest met an error that it does not name"},
    {0, 1, "guest and host have no GHCB protocol version in common"},
    {0, 2, "the guest needs an SEV-SNP feature that the host does not offer"},
    {1, 0, "Linux could not register its GHCB page with the host"},
    {1, 1, "the host failed a page state change that Linux asked for"},
    {1, 2, "Linux could not validate a page: the host had changed it, or it was validated before"},
    {1, 3, "Linux needs to run at VMPL 0"},
    {1, 4, "Linux found its CPUID table not to be valid"},
    {1, 5, "the host answered CPUID wrongly"},
    {1, 6, "Linux could not use its secrets page"},
    {1, 7, "the secrets page names no SVSM, though the guest does not run at VMPL 0"},
    {1, 8, "an SVSM is present but claims VMPL 0"},
    {1, 9, "the SVSM's calling area is not page aligned"},
};

int snp_guest_terminated(struct cofre_err *err, uint64_t ghcb_msr)
{
    unsigned set = (unsigned)(ghcb_msr >> 12) & 0xf, code = (unsigned)(ghcb_msr >> 16) & 0xff;
    const char *shim = set == SHIM_TERM_SET ? boot_shim_sentence(code) : NULL;
    if (shim)
        return cofre_fail(err, COFRE_NEGATIVE, "cofre-shim refused to start the guest: %s", shim);
    for (size_t i = 0; i < sizeof terminations / sizeof *terminations; i++)
        if (terminations[i].set == set && terminations[i].code == code)
            return cofre_fail(err, COFRE_FAILED, "the guest ended itself: %s (reason %u:%u)",
                              terminations[i].sentence, set, code);
    return cofre_fail(err, COFRE_FAILED, "the guest ended itself with reason %u:%u, which is not known here",
                      set, code);
}
