#include "attest/log/proof.h"

#include <inttypes.h>

/* Where the walk from a leaf to the root is: the node's number in its row, and the number of the row's last node. */
struct walk {
    uint64_t node, last;
};

static void up(struct walk *w)
{
    w->node >>= 1;
    w->last >>= 1;
}

/* True where the next hash of the path stands left of the node; the walk is then where that hash was added, which is
 * further up than a row if the node was the last of its row. */
static bool next_is_left(struct walk *w)
{
    bool left = w->node & 1 || w->node == w->last;
    while (left && !(w->node & 1) && w->node)
        up(w);
    up(w);
    return left;
}

static int too_long(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_NEGATIVE, "the path has more hashes than a tree of that size");
}

static int check_end(const struct walk *w, struct cofre_err *err)
{
    return w->last == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the path has fewer hashes than a tree of that size");
}

int log_inclusion_root(struct log_hash *root, const struct log_inclusion *proof, const struct log_hash *leaf,
                       struct cofre_err *err)
{
    CLEAN_HASHER h = {0};
    if (proof->size > LOG_SIZE_MAX || proof->index >= proof->size)
        return cofre_fail(err, COFRE_NEGATIVE, "a tree of %" PRIu64 " has no entry number %" PRIu64,
                          proof->size, proof->index);
    struct walk w = {proof->index, proof->size - 1};
    int rc = log_hasher_init(&h, err);
    *root = *leaf;
    for (size_t i = 0; rc == 0 && i < proof->path.count; i++) {
        const struct log_hash *p = &proof->path.hash[i];
        if (w.last == 0)
            return too_long(err);
        rc = next_is_left(&w) ? log_hash_node(&h, root, p, root, err) : log_hash_node(&h, root, root, p, err);
    }
    return rc < 0 ? rc : check_end(&w, err);
}

/* One hash of the path goes into the older root where it stands left, and into the newer one always. */
static int climb(struct log_hasher *h, struct walk *w, struct log_hash *older, struct log_hash *newer,
                 const struct log_hash *p, struct cofre_err *err)
{
    if (w->last == 0)
        return too_long(err);
    if (!next_is_left(w))
        return log_hash_node(h, newer, newer, p, err);
    int rc = log_hash_node(h, older, p, older, err);
    return rc < 0 ? rc : log_hash_node(h, newer, p, newer, err);
}

static int replay(struct log_hash *older, struct log_hash *newer, const struct log_consistency *proof,
                  struct cofre_err *err)
{
    CLEAN_HASHER h = {0};
    const struct log_path *path = &proof->path;
    struct walk w = {proof->size1 - 1, proof->size2 - 1};
    while (w.node & 1)
        up(&w);
    /* An older tree that is a whole subtree of the newer one is its own first hash, which the path then leaves out. */
    size_t first = w.node == 0 ? 0 : 1;
    if (path->count < first)
        return check_end(&w, err);
    if (first)
        *older = path->hash[0];
    *newer = *older;
    int rc = log_hasher_init(&h, err);
    for (size_t i = first; rc == 0 && i < path->count; i++)
        rc = climb(&h, &w, older, newer, &path->hash[i], err);
    return rc < 0 ? rc : check_end(&w, err);
}

int log_consistency_root(struct log_hash *newer, const struct log_consistency *proof,
                         const struct log_hash *older, struct cofre_err *err)
{
    if (proof->size1 == 0 || proof->size1 > proof->size2 || proof->size2 > LOG_SIZE_MAX)
        return cofre_fail(err, COFRE_NEGATIVE, "no tree of %" PRIu64 " grows out of one of %" PRIu64,
                          proof->size2, proof->size1);
    if (proof->size1 == proof->size2 && proof->path.count == 0) {
        *newer = *older;
        return 0;
    }
    struct log_hash computed = *older;
    int rc = replay(&computed, newer, proof, err);
    if (rc == 0 && !log_hash_equal(&computed, older))
        return cofre_fail(err, COFRE_NEGATIVE, "the path is not one from that older root");
    return rc;
}
