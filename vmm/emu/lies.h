/*
 * Test doubles of a lying host. COFRE_EMULATED_LIE names the one lie that this process tells; guest, firmware or
 * verifier must notice it.
 */
#ifndef COFRE_EMU_LIES_H
#define COFRE_EMU_LIES_H

#include <stdbool.h>
#include <stdint.h>

enum lie {
    LIE_NONE,
    LIE_CPUID_PAGE, /* the CPUID page is loaded unmeasured, with a feature removed */
    LIE_REMAPPED_PAGE, /* a page that the guest has validated or accepted is replaced by another; TDX: or remapped-page@GPA */
    LIE_REPLAYED_REQUEST,     /* the second guest request gets the first one's response */
    LIE_ALTERED_CERTIFICATES, /* one bit of the certificate table is flipped */
    LIE_STALE_PAGE_STATE,     /* a page given to the guest is already marked validated */
    LIE_CHANGED_MEMORY, /* shared memory at lie_address() is changed after the launch: changed-memory@GPA */
    LIE_CHANGED_PAGE,   /* a page is changed before the firmware gets it: the first, or changed-page@GPA */
    LIE_ADDED_PAGE,     /* TDX: a page that the guest accepts is there already */
    LIE_WRONG_CPUID,    /* TDX: a CPUID bit is configured that a TD may not have */
};

/* Reads the environment once; an unknown name ends the process with a sentence: a test that lies in no way would pass. */
bool lie_is(enum lie lie);
/* Where a lie that is told at an address is told. */
uint64_t lie_address(void);
/* LIE_CHANGED_MEMORY's part, once the launch is finished. */
struct emu_memory;
void lie_change_memory(struct emu_memory *memory);
/* Says it loudly, if there is one. */
void lie_announce(void);

#endif
