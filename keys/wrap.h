/*
 * Keys at rest: AES-256-GCM under a key of their own, which comes from the root by HKDF for that name and version. What is
 * authenticated besides names key, version and terms (keys/guest_key.h), so that neither another key's bytes nor other terms
 * fit. A nonce is 96 random bits; one version of a key is wrapped again only when its terms change, which is far from the 2^32 times
 * of SP 800-38D, section 8.3, however often the root is used.
 */
#ifndef COFRE_KEYS_WRAP_H
#define COFRE_KEYS_WRAP_H

#include "vmm/base/bytes.h"

#define KEY_ROOT_SIZE     32
#define KEY_VALUE_MIN     1 /* bytes: a secret that is brought may be a short one */
#define KEY_VALUE_MAX     8192
#define KEY_RANDOM_MIN    16 /* of what is made here */
#define KEY_WRAP_OVERHEAD 28 /* bytes that a wrapped key is longer: nonce and tag */
#define KEY_TERMS_SIZE    32
#define KEY_MAC_SIZE      32

struct key_place {
    const char *name;
    int64_t version;
    const uint8_t *terms; /* KEY_TERMS_SIZE */
};

/* Writes value.len + KEY_WRAP_OVERHEAD bytes. */
int key_wrap(uint8_t *out, const uint8_t root[static KEY_ROOT_SIZE], const struct key_place *place,
             struct view value, struct cofre_err *err);
/* Writes wrapped.len - KEY_WRAP_OVERHEAD bytes, which are zero where it fails. -COFRE_FAILED: the bytes are not of that place,
 * or of another root. */
int key_unwrap(uint8_t *out, const uint8_t root[static KEY_ROOT_SIZE], const struct key_place *place,
               struct view wrapped, struct cofre_err *err);

/* A key of 32 bytes for one purpose, which is a literal. */
int key_derive(uint8_t out[static 32], const uint8_t root[static KEY_ROOT_SIZE], const char *purpose,
               struct cofre_err *err);
/* HMAC-SHA256 by such a key. */
int key_mac(uint8_t out[static KEY_MAC_SIZE], const uint8_t root[static KEY_ROOT_SIZE], const char *purpose,
            struct view data, struct cofre_err *err);

#endif
