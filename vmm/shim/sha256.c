#include "vmm/shim/sha256.h"

/* OpenSSL's own names. The capability words are CPUID leaf 1 EDX and ECX, leaf 7 EBX and ECX. */
void sha256_block_data_order(uint32_t h[8], const void *data, size_t blocks);
extern uint32_t OPENSSL_ia32cap_P[4];
uint32_t OPENSSL_ia32cap_P[4];

void sha256_init(const struct shim_features *features)
{
    OPENSSL_ia32cap_P[1] = features->ssse3 ? 1u << 9 : 0;
    OPENSSL_ia32cap_P[2] = features->sha ? 1u << 29 : 0;
}

void sha256_start(struct sha256 *state)
{
    /* FIPS 180-4, section 5.3.3 */
    *state = (struct sha256){
        {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_blocks(struct sha256 *state, const uint8_t *data, uint64_t count)
{
    if (count)
        sha256_block_data_order(state->h, data, count);
}

/* Section 5.1.1: a one bit, zeros, the message's length in bits as the last 8 bytes of a block. */
void sha256_end(struct sha256 *state, const uint8_t *rest, uint64_t total, uint8_t digest[static 32])
{
    uint8_t last[128] = {0};
    unsigned len = total % 64, blocks = len < 56 ? 1 : 2;
    for (unsigned i = 0; i < len; i++)
        last[i] = rest[i];
    last[len] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        last[blocks * 64 - 1 - i] = (uint8_t)(total * 8 >> (8 * i));
    sha256_blocks(state, last, blocks);
    for (unsigned i = 0; i < 32; i++)
        digest[i] = (uint8_t)(state->h[i / 4] >> (24 - 8 * (i % 4)));
}
