/*
 * The hash of the boot page's digests, over OpenSSL's block functions (crypto/sha/asm/sha512-x86_64.pl), of which
 * libcrypto.a has the objects: SHA-256 or SHA-384, by which of sha256.c and sha384.c the binary has.
 */
#ifndef COFRE_SHIM_HASH_H
#define COFRE_SHIM_HASH_H

#include "vmm/shim/tee.h"

#define HASH_SIZE      48 /* SHA-256: zeros after its 32 bytes */
#define HASH_BLOCK_MAX 128

/* Which instructions the block function may use beside those of every x86-64. AVX stays off: it would need XCR0. */
void hash_init(const struct shim_features *features);

struct hash {
    union {
        uint32_t h32[8];
        uint64_t h64[8];
    };
};
extern const unsigned hash_block; /* bytes */
void hash_start(struct hash *state);
void hash_blocks(struct hash *state, const uint8_t *data, uint64_t count);
/* The last bytes (less than a block) of a message of total bytes, and the digest. */
void hash_end(struct hash *state, const uint8_t *rest, uint64_t total, uint8_t digest[static HASH_SIZE]);
/* The digest of what has been hashed, which is padded (FIPS 180-4, section 5.1). */
void hash_digest(const struct hash *state, uint8_t digest[static HASH_SIZE]);

#endif
