/*
 * The real-time clock of a PC (MC146818 data sheet), to be read only. The measured ACPI tables deny it; Linux, where no
 * paravirtual clock answers, asks it before it reads those, and waits a second for one that does not tell that it is
 * ready. Its time is the host's word, as a paravirtual clock's is.
 */
#ifndef COFRE_DEVICES_RTC_H
#define COFRE_DEVICES_RTC_H

#include <stdint.h>
#include <time.h>

#define RTC_PORT 0x70 /* index, and one above it data */

/* What the register of that index (bit 7, which turns NMIs off, aside) holds at that time: UTC, in BCD, 24 hours. */
uint8_t rtc_register(uint8_t index, time_t now);

#endif
