/* A key from what a person knows: scrypt (RFC 7914) with r = 8 and p = 1, so that who tries words has to pay for each. */
#ifndef COFRE_KEYS_SEAL_STRETCH_H
#define COFRE_KEYS_SEAL_STRETCH_H

#include "vmm/base/bytes.h"

#define STRETCH_SIZE 32
#define STRETCH_R    8
#define STRETCH_P    1

/* N is 2 to the power of cost, which takes 2^(cost + 10) bytes of memory. */
int stretch(uint8_t out[static STRETCH_SIZE], struct view text, unsigned cost, struct view salt,
            struct cofre_err *err);

#endif
