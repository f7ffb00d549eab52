/* What differs between TEEs, as the shim sees it: plain.c and snp.c in one binary, tdx.c in another. */
#ifndef COFRE_SHIM_TEE_H
#define COFRE_SHIM_TEE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/shim/abi.h"

enum shim_accept { ACCEPT_DONE, ACCEPT_SMALLER /* try again page by page */, ACCEPT_FAILED };

struct shim_features {
    bool ssse3, sha;
};

struct shim_tee {
    uint32_t kind; /* enum boot_tee */
    /* Checks what can be checked with nothing but launched pages; ends the guest itself when it must. */
    void (*check)(void);
    /* Makes a page (2 MiB when large) of RAM the guest's. NULL: there is nothing to accept. */
    enum shim_accept (*accept)(uint64_t gpa, void *mapped, bool large);
    /* Opens the way to the host, once the shared window is mapped. */
    void (*open)(void);
    void (*tell)(uint8_t value);            /* one byte to SHIM_PORT */
    void (*terminate)(enum shim_term code); /* does not return */
    void (*features)(struct shim_features *out);
    /* Extends a run-time register with a SHA-384. NULL: what boots is in the launch measurement. */
    void (*extend)(unsigned rtmr, const uint8_t digest[static 48]);
};

/*
 * The binary's TEEs, ended by NULL. Where the boot page is not measured it must not choose: a shim that extends
 * registers is the only one of its binary. The first ends a guest whose boot page names none of them.
 */
extern const struct shim_tee *const shim_tees[];
extern const struct shim_tee shim_tee_plain, shim_tee_snp;

/* The bit that makes a leaf shared, as 64-bit mask; 0 where a private one has a bit (start.h). Set by check. */
extern uint64_t shim_shared_mask;

/* The boot page's TEE; the binary's first until that is known. */
_Noreturn void shim_terminate(enum shim_term code);

_Noreturn static inline void shim_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

#endif
