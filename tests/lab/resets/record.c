#include "tests/lab/resets/record.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define BLOCK   4096
#define WRITERS (KILLS_CLIENTS + 1)

struct block {
    uint64_t sequence; /* of this writer; the higher one counts */
    union {
        struct kills_object object[KILLS_OBJECTS];
        struct record whole;
    };
    uint8_t sha256[32]; /* of what is before */
};
_Static_assert(sizeof(struct block) <= BLOCK, "a record is a block");

static int disk = -1;
static uint64_t *sequence; /* each writer's, seen by all processes */

static void digest(uint8_t out[static 32], const struct block *block)
{
    (void)SHA256((const uint8_t *)block, offsetof(struct block, sha256), out);
}

/* The block is aligned, as a write past the machine's own cache must be. */
static void put(unsigned writer, struct block *block)
{
    const uint64_t turn = ++sequence[writer];
    block->sequence = turn;
    digest(block->sha256, block);
    assert_int_equal(pwrite(disk, block, BLOCK, (off_t)(2 * writer + turn % 2) * BLOCK), BLOCK);
}

static bool get(struct block *out, unsigned writer)
{
    static _Alignas(BLOCK) uint8_t bytes[BLOCK];
    uint8_t its[32];
    bool found = false;
    for (unsigned turn = 0; turn < 2; turn++) {
        const struct block *block = (const void *)bytes;
        if (pread(disk, bytes, BLOCK, (off_t)(2 * writer + turn) * BLOCK) != BLOCK)
            continue;
        digest(its, block);
        if (memcmp(its, block->sha256, sizeof its) != 0 || block->sequence <= sequence[writer])
            continue;
        memcpy(out, block, sizeof *out);
        sequence[writer] = block->sequence;
        found = true;
    }
    return found;
}

bool record_open(struct kills *k, const char *name, uint32_t *rounds)
{
    struct block block;
    *rounds = 0;
    disk = open(name, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    sequence = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (disk < 0 || sequence == MAP_FAILED)
        return kills_wrong(k, "the record's disk %s cannot be opened", name);
    if (!get(&block, KILLS_CLIENTS))
        return true;
    *rounds = block.whole.rounds;
    k->taps = block.whole.taps;
    memcpy(k->kernel, block.whole.kernel, sizeof k->kernel);
    k->heads = block.whole.heads;
    memcpy(k->head, block.whole.head, sizeof k->head);
    for (unsigned client = 0; client < KILLS_CLIENTS; client++) {
        if (!get(&block, client))
            return kills_wrong(k, "the record of client %u is gone", client);
        memcpy(k->shared->object[client], block.object, sizeof block.object);
    }
    return true;
}

void record_client(struct kills *k, unsigned client)
{
    static _Alignas(BLOCK) uint8_t bytes[BLOCK];
    struct block *block = (void *)bytes;
    memcpy(block->object, k->shared->object[client], sizeof block->object);
    put(client, block);
}

void record_whole(struct kills *k, uint32_t rounds)
{
    static _Alignas(BLOCK) uint8_t bytes[BLOCK];
    struct block *block = (void *)bytes;
    block->whole = (struct record){.rounds = rounds, .taps = k->taps, .heads = k->heads};
    memcpy(block->whole.kernel, k->kernel, sizeof k->kernel);
    memcpy(block->whole.head, k->head, sizeof k->head);
    put(KILLS_CLIENTS, block);
}

/* The clients' first: with the other one there is a record. */
void record_all(struct kills *k, uint32_t rounds)
{
    for (unsigned client = 0; client < KILLS_CLIENTS; client++)
        record_client(k, client);
    record_whole(k, rounds);
}
