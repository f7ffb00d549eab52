/*
 * The tree over a log's entries (RFC 9162, section 2.1): append, root, proofs. It knows entries by their hashes only, and
 * keeps the hashes of its whole subtrees in a list that only grows, wherever its storage puts that.
 */
#ifndef COFRE_ATTEST_LOG_TREE_H
#define COFRE_ATTEST_LOG_TREE_H

#include "attest/log/proof.h"

/*
 * The list: each entry adds its leaf's hash, and behind it those of the subtrees that it completes, smallest first; a tree of
 * n entries has 2n minus as many hashes as n has bits set. read gets one that was appended. append gets 1 to LOG_PATH_MAX of
 * them, at the list's end, which position tells. Both return 0 or an error of theirs, which the tree's caller gets.
 */
struct log_hash_list {
    void *context;
    int (*read)(void *context, uint64_t position, struct log_hash *out, struct cofre_err *err);
    int (*append)(void *context, uint64_t position, const struct log_hash *hash, size_t count,
                  struct cofre_err *err);
};

struct log_tree {
    struct log_hash_list list;
    uint64_t size; /* entries */
    struct log_hash
        peak[LOG_PATH_MAX]; /* where bit i of size is set: the root of the subtree of 2^i entries in it */
    struct log_hasher hasher;
};

/* The tree of the first size entries of a list that has as many, or more; 0 begins one. Reads a hash for each bit set in size. */
int log_tree_open(struct log_tree *out, const struct log_hash_list *list, uint64_t size,
                  struct cofre_err *err);
void log_tree_close(struct log_tree *tree);
#define CLEAN_TREE __attribute__((cleanup(log_tree_close))) struct log_tree

/* Nothing is read. After a failure the tree is as it was before. */
int log_tree_append(struct log_tree *tree, struct view entry, struct cofre_err *err);

/* The same where only the leaf's hash is known. */
int log_tree_append_leaf(struct log_tree *tree, const struct log_hash *leaf, struct cofre_err *err);
/* Where the list has the leaf's hash of an entry. */
uint64_t log_tree_leaf(uint64_t index);

/* Of the first size entries, of which the tree has as many or more: else -COFRE_USAGE. */
int log_tree_root(struct log_tree *tree, uint64_t size, struct log_hash *out, struct cofre_err *err);

/* The caller sets the numbers of proof, and its path is filled in. Reads at most two hashes for each doubling of the size.
 * -COFRE_USAGE where index < size <= the tree's, or 0 < size1 <= size2 <= the tree's, does not hold. */
int log_tree_prove_inclusion(struct log_tree *tree, struct log_inclusion *proof, struct cofre_err *err);
int log_tree_prove_consistency(struct log_tree *tree, struct log_consistency *proof, struct cofre_err *err);

/* Hashes in the list of a tree of that size. */
uint64_t log_tree_hashes(uint64_t size);

#endif
