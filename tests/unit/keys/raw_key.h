/* Private keys from bytes, as test vectors have them. */
#ifndef TESTS_UNIT_KEYS_RAW_KEY_H
#define TESTS_UNIT_KEYS_RAW_KEY_H

#include "keys/hpke.h"

/* Both in hexadecimal; a P-256 key needs its public part too. The caller's. */
EVP_PKEY *raw_key(enum hpke_kem kem, const char *private_key, const char *public_key);

#endif
