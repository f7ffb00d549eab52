/* SHA-256 over OpenSSL's block function (crypto/sha/asm/sha512-x86_64.pl), of which libcrypto.a has the object. */
#ifndef COFRE_SHIM_SHA256_H
#define COFRE_SHIM_SHA256_H

#include "vmm/shim/tee.h"

/* Which instructions the block function may use: SHA, SSSE3, or neither. AVX stays off: it would need XCR0. */
void sha256_init(const struct shim_features *features);

struct sha256 {
    uint32_t h[8];
};
void sha256_start(struct sha256 *state);
void sha256_blocks(struct sha256 *state, const uint8_t *data, uint64_t count); /* of 64 bytes */
/* The last bytes (fewer than 64) of a message of total bytes, and the digest. */
void sha256_end(struct sha256 *state, const uint8_t *rest, uint64_t total, uint8_t digest[static 32]);

#endif
