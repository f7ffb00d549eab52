/* AES-GCM (NIST SP 800-38D) with a 96-bit nonce and a 128-bit tag, which stands behind the text. */
#ifndef COFRE_KEYS_GCM_H
#define COFRE_KEYS_GCM_H

#include "vmm/base/bytes.h"

#define GCM_NONCE_SIZE 12
#define GCM_TAG_SIZE   16
#define GCM_TEXT_MAX   (1u << 23) /* bytes that anything here is given at once */

/* A key of 16 or 32 bytes, what it is used for once, and what is authenticated besides. A nonce is never used twice with a key. */
struct gcm {
    struct view key;
    const uint8_t *nonce; /* GCM_NONCE_SIZE */
    struct view aad;
};

/* Writes text.len + GCM_TAG_SIZE bytes. */
int gcm_seal(uint8_t *out, const struct gcm *gcm, struct view text, struct cofre_err *err);
/* Writes sealed.len - GCM_TAG_SIZE bytes; all of them are zero where it fails. -COFRE_NEGATIVE: it is not what was sealed. */
int gcm_open(uint8_t *out, const struct gcm *gcm, struct view sealed, struct cofre_err *err);

#endif
