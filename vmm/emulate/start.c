/* Before the program's main: which host it is on. */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/emu/offer.h"
#include "vmm/emulate/emulate.h"
#include "vmm/kvm/uapi.h"

bool emulate_is_tdx;

__attribute__((constructor)) static void start(void)
{
    const char *tee = getenv(EMULATE_TEE);
    if (tee && strcmp(tee, "snp") == 0 && emu_offer_only(KVM_X86_SNP_VM)) {
        processor_emulate();
        return;
    }
    emulate_is_tdx = tee && strcmp(tee, "tdx") == 0 && emu_offer_only(KVM_X86_TDX_VM);
    if (emulate_is_tdx)
        return;
    fprintf(stderr, "cofre emulate: " EMULATE_TEE "=%s: not snp or tdx\n", tee ? tee : "");
    _exit(2);
}
