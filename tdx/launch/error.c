#include "tdx/launch/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/kvm/command.h"
#include "vmm/kvm/uapi.h"
#include "vmm/machine/boot.h"

static const struct kvm_command_name commands[] = {
    {UAPI_TDX_CAPABILITIES, "KVM_TDX_CAPABILITIES"},
    {UAPI_TDX_INIT_VM, "KVM_TDX_INIT_VM"},
    {UAPI_TDX_INIT_VCPU, "KVM_TDX_INIT_VCPU"},
    {UAPI_TDX_INIT_MEM_REGION, "KVM_TDX_INIT_MEM_REGION"},
    {UAPI_TDX_FINALIZE_VM, "KVM_TDX_FINALIZE_VM"},
    {UAPI_TDX_GET_CPUID, "KVM_TDX_GET_CPUID"},
    {0},
};

/* What KVM means by an errno (arch/x86/kvm/vmx/tdx.c). */
static const struct kvm_command_reason reasons[] = {
    {UAPI_TDX_INIT_VM, ENOSPC, COFRE_LACKING,
     "no private key identifier (KeyID) is free; end another TDX guest, or give TDX more of them in the "
     "BIOS"},
    {UAPI_TDX_INIT_VM, EAGAIN, COFRE_FAILED, "the processor had no random numbers left; try again"},
    {UAPI_TDX_INIT_VM, EINVAL, COFRE_FAILED,
     "attributes, extended features or CPUID bits are not what this kernel and its TDX module allow"},
    {UAPI_TDX_INIT_VCPU, EINVAL, COFRE_FAILED, "the vCPU's CPUID lacks x2APIC, or it was initialised before"},
    {UAPI_TDX_INIT_MEM_REGION, EINVAL, COFRE_FAILED, "a page lies outside the guest's private memory"},
    {UAPI_TDX_INIT_MEM_REGION, EEXIST, COFRE_FAILED, "a page was given to the guest twice"},
    {UAPI_TDX_INIT_MEM_REGION, EIO, COFRE_FAILED,
     "the TDX module did not take a page: it may be in the guest already, or its contents could not be read"},
    {UAPI_TDX_FINALIZE_VM, EBUSY, COFRE_FAILED, "the TDX module is busy with this guest"},
    {UAPI_TDX_FINALIZE_VM, EIO, COFRE_FAILED,
     "the TDX module refused to finish the launch; the guest is lost"},
    {KVM_EVERY_COMMAND, ENOTTY, COFRE_LACKING, "KVM has TDX switched off; see \"cofre doctor\""},
    {KVM_EVERY_COMMAND, ENOMEM, COFRE_FAILED, "the host has no memory left"},
    {0},
};

int tdx_launch_failed(struct cofre_err *err, uint32_t command, int error, uint64_t hw_error)
{
    char module[64] = "";
    if (hw_error)
        snprintf(module, sizeof module, "the TDX module said %#" PRIx64, hw_error);
    return kvm_command_failed(err, commands, reasons, command, error, module);
}

/* ReportFatalError's text: 64 bytes in these registers, in this order (348552, section 3.4). */
static const uint8_t text_registers[] = {14, 15, 3, 7, 6, 8, 9, 2};
#define REGISTER_R12 12

/* What a guest says is shown on an operator's terminal: printable ASCII and nothing else. */
static void read_text(char out[65], const uint64_t *registers)
{
    uint8_t raw[64];
    for (size_t i = 0; i < sizeof text_registers; i++)
        put_le64(raw + 8 * i, registers[text_registers[i]]);
    size_t len = 0;
    while (len < sizeof raw && raw[len]) {
        out[len] = raw[len] >= ' ' && raw[len] < 0x7f ? (char)raw[len] : '?';
        len++;
    }
    out[len] = 0;
}

int tdx_guest_fatal(struct cofre_err *err, const uint64_t *registers, uint32_t count)
{
    char text[65] = "";
    if (count < 16)
        return cofre_fail(err, COFRE_FAILED, "the guest reported a fatal error, without its reason");
    uint64_t reason = registers[REGISTER_R12];
    for (unsigned code = 0; code <= UINT8_MAX; code++)
        if (reason == SHIM_TERM_TDX(code) && boot_shim_sentence(code))
            return cofre_fail(err, COFRE_NEGATIVE, "cofre-shim refused to start the guest: %s",
                              boot_shim_sentence(code));
    read_text(text, registers);
    return cofre_fail(err, COFRE_FAILED, "the guest reported a fatal error (code %#" PRIx64 "): %s", reason,
                      text[0] ? text : "it gives no reason");
}
