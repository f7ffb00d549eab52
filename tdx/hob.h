/*
 * The TD HOB: the list in which a VMM tells a TDVF which memory there is. The firmware believes none of it: it measures the list into
 * RTMR 0, checks it, and accepts the memory itself.
 * Sources: UEFI Platform Initialization 1.8, volume 3, section 5 (hand-off blocks); Intel TDX Virtual Firmware Design Guide 1.03
 * (344991), section 7.2 (memory that is not accepted yet).
 */
#ifndef COFRE_TDX_HOB_H
#define COFRE_TDX_HOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdx_hob_memory {
    uint64_t gpa, len;
    bool accepted; /* it was added before the launch was final; else the firmware is to accept it */
};

/* Writes the list into out, size bytes at gpa. Returns its length, 0 where it does not fit; then out's contents mean nothing. */
size_t tdx_hob_build(uint8_t *out, size_t size, uint64_t gpa, const struct tdx_hob_memory *memory,
                     size_t count);

#endif
