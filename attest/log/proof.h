/*
 * Proofs about a log's tree, and what they come to (RFC 9162, sections 2.1.3.2 and 2.1.4.2). Nothing here needs the log:
 * a proof is computed to the root that it speaks of, and the caller asks who signed that root.
 */
#ifndef COFRE_ATTEST_LOG_PROOF_H
#define COFRE_ATTEST_LOG_PROOF_H

#include "attest/log/hash.h"

#define LOG_SIZE_MAX ((uint64_t)1 << 62) /* entries of a log */
#define LOG_PATH_MAX 64                  /* hashes of the longest proof */

struct log_path {
    size_t count;
    struct log_hash hash[LOG_PATH_MAX];
};

/* Entry number index, counted from 0, is in the tree of the first size entries. */
struct log_inclusion {
    uint64_t size, index;
    struct log_path path;
};

/* The tree of the first size1 entries is what the one of size2 began with. */
struct log_consistency {
    uint64_t size1, size2;
    struct log_path path;
};

/* The root by which the proof holds for this leaf. -COFRE_NEGATIVE where it holds for none: numbers that cannot be, a path
 * too short or too long. A changed path comes to another root. */
int log_inclusion_root(struct log_hash *root, const struct log_inclusion *proof, const struct log_hash *leaf,
                       struct cofre_err *err);

/* The newer root, from the older one. -COFRE_NEGATIVE where the proof is of another older root, or holds for none. */
int log_consistency_root(struct log_hash *newer, const struct log_consistency *proof,
                         const struct log_hash *older, struct cofre_err *err);

#endif
