#include "vmm/shim/hash.h"

/* OpenSSL's own names. The capability words are CPUID leaf 1 EDX and ECX, leaf 7 EBX and ECX. */
void sha256_block_data_order(uint32_t h[8], const void *data, size_t blocks);
extern uint32_t OPENSSL_ia32cap_P[4];
uint32_t OPENSSL_ia32cap_P[4];

const unsigned hash_block = 64;

void hash_init(const struct shim_features *features)
{
    OPENSSL_ia32cap_P[1] = features->ssse3 ? 1u << 9 : 0;
    OPENSSL_ia32cap_P[2] = features->sha ? 1u << 29 : 0;
}

void hash_start(struct hash *state)
{
    /* FIPS 180-4, section 5.3.3 */
    *state = (struct hash){.h32 = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                   0x1f83d9ab, 0x5be0cd19}};
}

void hash_blocks(struct hash *state, const uint8_t *data, uint64_t count)
{
    if (count)
        sha256_block_data_order(state->h32, data, count);
}

void hash_digest(const struct hash *state, uint8_t digest[static HASH_SIZE])
{
    for (unsigned i = 0; i < HASH_SIZE; i++)
        digest[i] = i < 32 ? (uint8_t)(state->h32[i / 4] >> (24 - 8 * (i % 4))) : 0;
}
