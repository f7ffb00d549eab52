/* HKDF with SHA-256 (RFC 5869), its two halves and both. */
#ifndef COFRE_KEYS_HKDF_H
#define COFRE_KEYS_HKDF_H

#include "vmm/base/bytes.h"

#define HKDF_SIZE 32 /* of a pseudorandom key */

int hkdf_extract(uint8_t out[static HKDF_SIZE], struct view salt, struct view secret, struct cofre_err *err);
/* At most 255 * HKDF_SIZE bytes. */
int hkdf_expand(uint8_t *out, size_t len, const uint8_t key[static HKDF_SIZE], struct view info,
                struct cofre_err *err);

#endif
