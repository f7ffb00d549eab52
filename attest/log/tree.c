#include "attest/log/tree.h"

#include <inttypes.h>
#include <string.h>

uint64_t log_tree_hashes(uint64_t size)
{
    return 2 * size - (uint64_t)__builtin_popcountll(size);
}

/* The subtree number index, from the left, of those with 2^level entries: it came with the last of its entries. */
static uint64_t position(unsigned level, uint64_t index)
{
    return log_tree_hashes(((index + 1) << level) - 1) + level;
}

static int read_subtree(struct log_tree *tree, unsigned level, uint64_t index, struct log_hash *out,
                        struct cofre_err *err)
{
    return tree->list.read(tree->list.context, position(level, index), out, err);
}

int log_tree_open(struct log_tree *out, const struct log_hash_list *list, uint64_t size,
                  struct cofre_err *err)
{
    *out = (struct log_tree){.list = *list, .size = size};
    if (size > LOG_SIZE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "no log has %" PRIu64 " entries", size);
    int rc = log_hasher_init(&out->hasher, err);
    for (unsigned level = 0; rc == 0 && size >> level; level++)
        if (size >> level & 1)
            rc = read_subtree(out, level, (size >> level) - 1, &out->peak[level], err);
    if (rc < 0)
        log_tree_close(out);
    return rc;
}

void log_tree_close(struct log_tree *tree)
{
    log_hasher_free(&tree->hasher);
}

uint64_t log_tree_leaf(uint64_t index)
{
    return position(0, index);
}

int log_tree_append(struct log_tree *tree, struct view entry, struct cofre_err *err)
{
    struct log_hash leaf;
    int rc = log_hash_leaf(&tree->hasher, &leaf, entry, err);
    return rc < 0 ? rc : log_tree_append_leaf(tree, &leaf, err);
}

int log_tree_append_leaf(struct log_tree *tree, const struct log_hash *leaf, struct cofre_err *err)
{
    struct log_hash made[LOG_PATH_MAX] = {*leaf};
    unsigned level = 0;
    int rc = 0;
    if (tree->size == LOG_SIZE_MAX)
        return cofre_fail(err, COFRE_FAILED, "the log is full");
    for (; rc == 0 && tree->size >> level & 1; level++)
        rc = log_hash_node(&tree->hasher, &made[level + 1], &tree->peak[level], &made[level], err);
    if (rc == 0)
        rc = tree->list.append(tree->list.context, log_tree_hashes(tree->size), made, level + 1, err);
    if (rc < 0)
        return rc;
    tree->peak[level] = made[level];
    tree->size++;
    return 0;
}

/* The tree over entries begin to end - 1, where begin is 0 or a multiple of the least power of two that is not below their
 * number: its whole subtrees, from the right. */
static int range_root(struct log_tree *tree, uint64_t begin, uint64_t end, struct log_hash *out,
                      struct cofre_err *err)
{
    uint64_t count = end - begin;
    bool any = false;
    int rc = 0;
    for (unsigned level = 0; rc == 0 && count >> level; level++) {
        struct log_hash left;
        if (!(count >> level & 1))
            continue;
        rc = read_subtree(tree, level, (begin >> level) + (count >> level) - 1, any ? &left : out, err);
        if (rc == 0 && any)
            rc = log_hash_node(&tree->hasher, out, &left, out, err);
        any = true;
    }
    return rc;
}

static int root_now(struct log_tree *tree, struct log_hash *out, struct cofre_err *err)
{
    bool any = false;
    int rc = 0;
    for (unsigned level = 0; rc == 0 && tree->size >> level; level++) {
        if (!(tree->size >> level & 1))
            continue;
        if (any)
            rc = log_hash_node(&tree->hasher, out, &tree->peak[level], out, err);
        else
            *out = tree->peak[level];
        any = true;
    }
    return rc;
}

int log_tree_root(struct log_tree *tree, uint64_t size, struct log_hash *out, struct cofre_err *err)
{
    if (size > tree->size)
        return cofre_fail(err, COFRE_USAGE, "the log has %" PRIu64 " entries, not %" PRIu64, tree->size,
                          size);
    if (size == 0)
        return log_hash_empty(&tree->hasher, out, err);
    return size == tree->size ? root_now(tree, out, err) : range_root(tree, 0, size, out, err);
}

/* A tree of count entries, 2 or more, has a left subtree of so many. */
static uint64_t split(uint64_t count)
{
    return (uint64_t)1 << (63 - __builtin_clzll(count - 1));
}

static int add_range(struct log_tree *tree, struct log_path *path, uint64_t begin, uint64_t end,
                     struct cofre_err *err)
{
    return range_root(tree, begin, end, &path->hash[path->count++], err);
}

/* PATH and SUBPROOF of RFC 9162 below, over entries begin to end - 1; a tree of LOG_SIZE_MAX entries is 62 deep. */

static int add_path(struct log_tree *tree, struct log_path *path, uint64_t index, uint64_t begin,
                    uint64_t end, struct cofre_err *err)
{
    if (end - begin == 1)
        return 0;
    uint64_t middle = begin + split(end - begin);
    bool left = index < middle;
    int rc = left ? add_path(tree, path, index, begin, middle, err)
                  : add_path(tree, path, index, middle, end, err);
    if (rc < 0)
        return rc;
    return left ? add_range(tree, path, middle, end, err) : add_range(tree, path, begin, middle, err);
}

int log_tree_prove_inclusion(struct log_tree *tree, struct log_inclusion *proof, struct cofre_err *err)
{
    proof->path.count = 0;
    if (proof->size > tree->size || proof->index >= proof->size)
        return cofre_fail(err, COFRE_USAGE,
                          "of %" PRIu64 " entries there is no proof for number %" PRIu64 " in %" PRIu64,
                          tree->size, proof->index, proof->size);
    return add_path(tree, &proof->path, proof->index, 0, proof->size, err);
}

static int add_subproof(struct log_tree *tree, struct log_path *path, uint64_t size, uint64_t begin,
                        uint64_t end, struct cofre_err *err)
{
    if (size == end) /* the older tree itself needs no hash: who asks has it */
        return begin == 0 ? 0 : add_range(tree, path, begin, end, err);
    uint64_t middle = begin + split(end - begin);
    bool left = size <= middle;
    int rc = left ? add_subproof(tree, path, size, begin, middle, err)
                  : add_subproof(tree, path, size, middle, end, err);
    if (rc < 0)
        return rc;
    return left ? add_range(tree, path, middle, end, err) : add_range(tree, path, begin, middle, err);
}

int log_tree_prove_consistency(struct log_tree *tree, struct log_consistency *proof, struct cofre_err *err)
{
    proof->path.count = 0;
    if (proof->size1 == 0 || proof->size1 > proof->size2 || proof->size2 > tree->size)
        return cofre_fail(err, COFRE_USAGE,
                          "of %" PRIu64 " entries there is no proof that %" PRIu64 " became %" PRIu64,
                          tree->size, proof->size1, proof->size2);
    return add_subproof(tree, &proof->path, proof->size1, 0, proof->size2, err);
}
