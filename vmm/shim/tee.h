/* What differs between TEEs, as the shim sees it: snp.c, plain.c. */
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
    /* Checks what can be checked with nothing but launched pages; ends the guest itself when it must. */
    void (*check)(void);
    /* Makes a page (2 MiB when large) of RAM the guest's. NULL: there is nothing to accept. */
    enum shim_accept (*accept)(uint64_t gpa, void *mapped, bool large);
    /* Opens the way to the host, once the shared window is mapped. */
    void (*open)(void);
    void (*tell)(uint8_t value);            /* one byte to SHIM_PORT */
    void (*terminate)(enum shim_term code); /* does not return */
    void (*features)(struct shim_features *out);
};

extern const struct shim_tee shim_tee_plain, shim_tee_snp;

/* The boot page's TEE; plain until that is known. */
_Noreturn void shim_terminate(enum shim_term code);

_Noreturn static inline void shim_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

#endif
