/*
 * A small SVSM for the lab: Linux runs at VMPL 2, and asks this program, at VMPL 0, to validate its memory, for evidence of its
 * services, and for its TPM's. It is for tests: it runs where CPUID raises no #VC, which is the emulated platform, and has one vCPU.
 */
#include <malloc.h>
#include <string.h>

#include "tests/lab/svsm/guest.h"
#include "tests/lab/svsm/host.h"
#include "tests/lab/svsm/protocol.h"
#include "tests/lab/svsm/vtpm.h"
#include "vmm/shim/abi.h"

extern const uint8_t *svsm_boot_params; /* entry.S */

/* Of the CPUID page: leaf 0x8000001f, EBX bits 5:0. */
static uint64_t find_private_mask(void)
{
    const struct snp_cpuid_page *page = (const struct snp_cpuid_page *)SHIM_CPUID;
    for (uint32_t i = 0; i < page->count && i < SNP_CPUID_COUNT_MAX; i++)
        if (page->fn[i].eax_in == 0x8000001f)
            return 1ull << (page->fn[i].ebx & 0x3f);
    svsm_end(SVSM_BOOT);
}

static uint32_t serve(struct snp_vmsa *registers)
{
    static uint32_t (*const protocols[PROTOCOLS])(uint32_t, struct snp_vmsa *) = {core_call, attest_call,
                                                                                  vtpm_call};
    const uint64_t protocol = registers->rax >> 32;
    return protocol < PROTOCOLS ? protocols[protocol]((uint32_t)registers->rax, registers)
                                : SVSM_ERR_UNSUPPORTED_PROTOCOL;
}

int main(void)
{
    const struct snp_secrets_page *secrets = (const struct snp_secrets_page *)SHIM_SECRETS;
    host_private_mask = find_private_mask();
    host_open();
    attest_open(secrets);
    if (vtpm_start() != 0)
        svsm_end(SVSM_TPM);
    guest_make(svsm_boot_params, secrets);
    for (;;) {
        host_run_vmpl(GUEST_VMPL);
        struct calling_area *area = guest_calling_area();
        if (!area->call_pending)
            continue; /* the host runs VMPL 0 when it likes */
        struct snp_vmsa *registers = guest_vmsa();
        registers->rax = serve(registers);
        guest_calling_area()->call_pending = 0;
    }
}
