/*
 * The hashes of a log's tree (RFC 9162, section 2.1.1): SHA-256, with a first byte of 0 before an entry and of 1 before two
 * nodes, so that no entry can be taken for a node.
 */
#ifndef COFRE_ATTEST_LOG_HASH_H
#define COFRE_ATTEST_LOG_HASH_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"

#define LOG_HASH_SIZE 32

struct log_hash {
    uint8_t data[LOG_HASH_SIZE];
};
_Static_assert(sizeof(struct log_hash) == LOG_HASH_SIZE, "a list of hashes has no gaps");

/* Where OpenSSL keeps a hash that is being made; for one thread at a time. */
struct log_hasher {
    EVP_MD_CTX *ctx;
};

int log_hasher_init(struct log_hasher *h, struct cofre_err *err);
void log_hasher_free(struct log_hasher *h);
#define CLEAN_HASHER __attribute__((cleanup(log_hasher_free))) struct log_hasher

/* All fail only with OpenSSL. out may be one of the operands. */
int log_hash_leaf(struct log_hasher *h, struct log_hash *out, struct view entry, struct cofre_err *err);
int log_hash_node(struct log_hasher *h, struct log_hash *out, const struct log_hash *left,
                  const struct log_hash *right, struct cofre_err *err);
int log_hash_empty(struct log_hasher *h, struct log_hash *out,
                   struct cofre_err *err); /* a tree of no entry */

static inline bool log_hash_equal(const struct log_hash *a, const struct log_hash *b)
{
    return view_equal((struct view){a->data, LOG_HASH_SIZE}, (struct view){b->data, LOG_HASH_SIZE});
}

#endif
