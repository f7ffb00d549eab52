#include "vmm/shim/hash.h"

/* FIPS 180-4, section 5.1: a one bit, zeros, and in a block's last eighth the message's length in bits. */
void hash_end(struct hash *state, const uint8_t *rest, uint64_t total, uint8_t digest[static HASH_SIZE])
{
    uint8_t last[2 * HASH_BLOCK_MAX] = {0};
    unsigned len = total % hash_block, blocks = len < hash_block - hash_block / 8 ? 1 : 2;
    for (unsigned i = 0; i < len; i++)
        last[i] = rest[i];
    last[len] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        last[blocks * hash_block - 1 - i] = (uint8_t)(total * 8 >> (8 * i));
    hash_blocks(state, last, blocks);
    hash_digest(state, digest);
}
