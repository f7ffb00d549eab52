/* What the TD of the emulation's own lab test and the program that runs it agree on, beside guest.h. */
#ifndef COFRE_TESTS_LAB_EMU_TD_H
#define COFRE_TESTS_LAB_EMU_TD_H

#define TD_MMIO  0x30000000u /* no memory: reads give GUEST_ECHO */
#define TD_QUOTE 0xc00000u   /* shared, when the quote is asked for */

#endif
