/* What the payload of the emulation's own lab test and the program that runs it agree on. */
#ifndef COFRE_TESTS_LAB_EMU_GUEST_H
#define COFRE_TESTS_LAB_EMU_GUEST_H

#define GUEST_BASE     0x100000u /* loaded and entered here; measured */
#define GUEST_SIZE     0x40000u
#define GUEST_SECRETS  0x180000u
#define GUEST_RAM      0x4000000u /* 64 MiB, of which only the launched pages are validated */
#define GUEST_MMIO     0xd0000000u
#define GUEST_LOG_PORT 0xe9
#define GUEST_PORT     0x80
#define GUEST_ECHO     0x5a /* what the ports and registers of the test program answer */
#define GUEST_DONE     0x77 /* the termination code of a run that came to its end */
#define GUEST_GHCB     0x900000u
#define GUEST_IMPLICIT 0x2000000u  /* never asked for: it becomes shared as the guest touches it */
#define GUEST_RESET    0xfffff000u /* a TD starts in this page */
#define GUEST_BUFFER   0x902000u   /* request, response, certificates: shared */

#endif
