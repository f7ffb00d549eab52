#include "vmm/shim/hash.h"

/* OpenSSL's own names. */
void sha512_block_data_order(uint64_t h[8], const void *data, size_t blocks);
extern uint32_t OPENSSL_ia32cap_P[4];
uint32_t OPENSSL_ia32cap_P[4]; /* none: what it has besides needs AVX */

const unsigned hash_block = 128;

void hash_init(const struct shim_features *features)
{
    (void)features;
}

void hash_start(struct hash *state)
{
    /* FIPS 180-4, section 5.3.4 */
    *state = (struct hash){.h64 = {0xcbbb9d5dc1059ed8, 0x629a292a367cd507, 0x9159015a3070dd17,
                                   0x152fecd8f70e5939, 0x67332667ffc00b31, 0x8eb44a8768581511,
                                   0xdb0c2e0d64f98fa7, 0x47b5481dbefa4fa4}};
}

void hash_blocks(struct hash *state, const uint8_t *data, uint64_t count)
{
    if (count)
        sha512_block_data_order(state->h64, data, count);
}

void hash_digest(const struct hash *state, uint8_t digest[static HASH_SIZE])
{
    for (unsigned i = 0; i < HASH_SIZE; i++)
        digest[i] = (uint8_t)(state->h64[i / 8] >> (56 - 8 * (i % 8)));
}
