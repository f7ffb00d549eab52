/* The tree against published roots and proofs, and against the definitions of RFC 9162 in their plain recursive form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "tests/unit/log/memory_list.h"

#define SIZES 300 /* property tests go over all sizes below */

/* The tree of eight entries that implementations of RFC 6962 and 9162 are commonly held against. */
static const char *const known_entry[] = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
static const char *const known_root[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};
struct known_path {
    uint64_t from, size;
    const char *path[4];
};
static const struct known_path known_inclusion[] = {
    {0, 1, {NULL}},
    {0,
     8,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5,
     8,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2, 3, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1,
     5,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};
static const struct known_path known_consistency[] = {
    {1, 1, {NULL}},
    {1,
     8,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {6,
     8,
     {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2,
     5,
     {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};

/* A tree of entries that differ, and their leaves' hashes. */
struct grown {
    struct memory_list list;
    struct log_tree tree;
    struct log_hash leaf[SIZES];
};

static void append(struct grown *g, struct view entry)
{
    assert_int_equal(log_hash_leaf(&g->tree.hasher, &g->leaf[g->tree.size], entry, NULL), 0);
    assert_int_equal(log_tree_append(&g->tree, entry, NULL), 0);
}

static void grow(struct grown *g, uint64_t size)
{
    *g = (struct grown){0};
    struct log_hash_list list = memory_list_functions(&g->list);
    assert_int_equal(log_tree_open(&g->tree, &list, 0, NULL), 0);
    for (uint64_t i = 0; i < size; i++) {
        uint8_t entry[8];
        put_le64(entry, i * 0x9e3779b97f4a7c15);
        append(g, (struct view){entry, i % 9});
    }
}

static void grow_known(struct grown *g)
{
    grow(g, 0);
    for (size_t i = 0; i < 8; i++) {
        CLEAN_BYTES entry = {0};
        assert_int_equal(hex_decode_some(&entry, 16, known_entry[i], NULL), 0);
        append(g, bytes_view(&entry));
    }
}

static void drop(struct grown *g)
{
    log_tree_close(&g->tree);
    memory_list_free(&g->list);
}

static struct log_hash root_of(struct grown *g, uint64_t size)
{
    struct log_hash root;
    assert_int_equal(log_tree_root(&g->tree, size, &root, NULL), 0);
    return root;
}

/* The definitions (RFC 9162, sections 2.1.1, 2.1.3.1 and 2.1.4.1), of n leaves */

static size_t half(size_t n)
{
    size_t k = 1;
    while (2 * k < n)
        k *= 2;
    return k;
}

static struct log_hash mth(const struct log_hash *d, size_t n)
{
    uint8_t node[65] = {1};
    struct log_hash out, part;
    if (n == 1)
        return d[0];
    part = mth(d, half(n));
    memcpy(node + 1, part.data, 32);
    part = mth(d + half(n), n - half(n));
    memcpy(node + 33, part.data, 32);
    SHA256(node, sizeof node, out.data);
    return out;
}

static void path(struct log_path *out, size_t m, const struct log_hash *d, size_t n)
{
    if (n == 1)
        return;
    size_t k = half(n);
    if (m < k)
        path(out, m, d, k);
    else
        path(out, m - k, d + k, n - k);
    out->hash[out->count++] = m < k ? mth(d + k, n - k) : mth(d, k);
}

static void subproof(struct log_path *out, size_t m, const struct log_hash *d, size_t n, bool known)
{
    if (m == n) {
        if (!known)
            out->hash[out->count++] = mth(d, n);
        return;
    }
    size_t k = half(n);
    if (m <= k)
        subproof(out, m, d, k, known);
    else
        subproof(out, m - k, d + k, n - k, false);
    out->hash[out->count++] = m <= k ? mth(d + k, n - k) : mth(d, k);
}

static void assert_same_path(const struct log_path *got, const struct log_path *want)
{
    assert_int_equal(got->count, want->count);
    assert_memory_equal(got->hash, want->hash, want->count * sizeof *want->hash);
}

static struct log_path from_hex(const char *const text[4])
{
    struct log_path out = {0};
    for (; out.count < 4 && text[out.count]; out.count++)
        assert_true(hex_decode(out.hash[out.count].data, LOG_HASH_SIZE, text[out.count]));
    return out;
}

static void roots_of_the_known_tree(void **state)
{
    (void)state;
    struct grown g;
    grow_known(&g);
    for (uint64_t size = 0; size <= 8; size++) {
        char text[65];
        struct log_hash root = root_of(&g, size);
        hex_encode(text, root.data, sizeof root.data);
        assert_string_equal(text, known_root[size]);
    }
    drop(&g);
}

static void proofs_of_the_known_tree(void **state)
{
    (void)state;
    struct grown g;
    grow_known(&g);
    for (size_t i = 0; i < sizeof known_inclusion / sizeof *known_inclusion; i++) {
        struct log_inclusion proof = {.index = known_inclusion[i].from, .size = known_inclusion[i].size};
        struct log_path want = from_hex(known_inclusion[i].path);
        assert_int_equal(log_tree_prove_inclusion(&g.tree, &proof, NULL), 0);
        assert_same_path(&proof.path, &want);
    }
    for (size_t i = 0; i < sizeof known_consistency / sizeof *known_consistency; i++) {
        struct log_consistency proof = {.size1 = known_consistency[i].from,
                                        .size2 = known_consistency[i].size};
        struct log_path want = from_hex(known_consistency[i].path);
        assert_int_equal(log_tree_prove_consistency(&g.tree, &proof, NULL), 0);
        assert_same_path(&proof.path, &want);
    }
    drop(&g);
}

static void every_root_is_as_defined(void **state)
{
    (void)state;
    struct grown g;
    grow(&g, SIZES);
    assert_int_equal(g.list.count, log_tree_hashes(SIZES));
    for (uint64_t size = 1; size <= SIZES; size++) {
        struct log_hash root = root_of(&g, size), want = mth(g.leaf, size);
        assert_true(log_hash_equal(&root, &want));
    }
    drop(&g);
}

static void every_inclusion_is_as_defined_and_comes_to_the_root(void **state)
{
    (void)state;
    struct grown g;
    grow(&g, SIZES);
    for (uint64_t size = 1; size <= SIZES; size += size < 70 ? 1 : 23)
        for (uint64_t index = 0; index < size; index++) {
            struct log_inclusion proof = {.index = index, .size = size};
            struct log_path want = {0};
            struct log_hash root, real = root_of(&g, size);
            assert_int_equal(log_tree_prove_inclusion(&g.tree, &proof, NULL), 0);
            path(&want, index, g.leaf, size);
            assert_same_path(&proof.path, &want);
            assert_int_equal(log_inclusion_root(&root, &proof, &g.leaf[index], NULL), 0);
            assert_true(log_hash_equal(&root, &real));
        }
    drop(&g);
}

static void every_consistency_is_as_defined_and_comes_to_the_root(void **state)
{
    (void)state;
    struct grown g;
    grow(&g, SIZES);
    for (uint64_t size2 = 1; size2 <= SIZES; size2 += size2 < 70 ? 1 : 23)
        for (uint64_t size1 = 1; size1 <= size2; size1++) {
            struct log_consistency proof = {.size1 = size1, .size2 = size2};
            struct log_path want = {0};
            struct log_hash root, older = root_of(&g, size1), newer = root_of(&g, size2);
            assert_int_equal(log_tree_prove_consistency(&g.tree, &proof, NULL), 0);
            subproof(&want, size1, g.leaf, size2, true);
            assert_same_path(&proof.path, &want);
            assert_int_equal(log_consistency_root(&root, &proof, &older, NULL), 0);
            assert_true(log_hash_equal(&root, &newer));
        }
    drop(&g);
}

static void a_tree_that_is_opened_again_goes_on(void **state)
{
    (void)state;
    struct grown g;
    grow(&g, SIZES - 1);
    struct log_hash_list list = memory_list_functions(&g.list);
    for (uint64_t size = 0; size < SIZES; size++) {
        CLEAN_TREE again;
        struct log_hash root, want = root_of(&g, size);
        assert_int_equal(log_tree_open(&again, &list, size, NULL), 0);
        assert_int_equal(log_tree_root(&again, size, &root, NULL), 0);
        assert_true(log_hash_equal(&root, &want));
    }
    log_tree_close(&g.tree);
    assert_int_equal(log_tree_open(&g.tree, &list, SIZES - 1, NULL), 0);
    append(&g, (struct view){(const uint8_t *)"one more", 8});
    struct log_hash root = root_of(&g, SIZES), want = mth(g.leaf, SIZES);
    assert_true(log_hash_equal(&root, &want));
    drop(&g);
}

static void work_grows_as_the_logarithm(void **state)
{
    (void)state;
    struct grown g;
    grow(&g, SIZES);
    assert_int_equal(g.list.reads, 0);
    assert_int_equal(g.list.appends, SIZES);
    for (uint64_t size = 2; size <= SIZES; size++) {
        uint64_t doublings = 64 - (uint64_t)__builtin_clzll(size - 1);
        for (uint64_t index = 0; index < size; index++) {
            struct log_inclusion inclusion = {.index = index, .size = size};
            struct log_consistency consistency = {.size1 = index + 1, .size2 = size};
            g.list.reads = 0;
            assert_int_equal(log_tree_prove_inclusion(&g.tree, &inclusion, NULL), 0);
            assert_true(g.list.reads <= 2 * doublings && inclusion.path.count <= doublings);
            g.list.reads = 0;
            assert_int_equal(log_tree_prove_consistency(&g.tree, &consistency, NULL), 0);
            assert_true(g.list.reads <= 2 * doublings && consistency.path.count <= doublings + 1);
        }
    }
    drop(&g);
}

static void what_is_not_there_is_not_proved(void **state)
{
    (void)state;
    struct grown g;
    struct log_hash root;
    struct cofre_err err;
    grow(&g, 5);
    static const struct log_inclusion inclusion[] = {
        {.size = 6, .index = 0}, {.size = 5, .index = 5}, {.size = 0, .index = 0}};
    static const struct log_consistency consistency[] = {
        {.size1 = 0, .size2 = 5}, {.size1 = 4, .size2 = 3}, {.size1 = 5, .size2 = 6}};
    for (size_t i = 0; i < 3; i++) {
        struct log_inclusion in = inclusion[i];
        struct log_consistency con = consistency[i];
        assert_int_equal(log_tree_prove_inclusion(&g.tree, &in, &err), -COFRE_USAGE);
        assert_int_equal(log_tree_prove_consistency(&g.tree, &con, &err), -COFRE_USAGE);
    }
    assert_int_equal(log_tree_root(&g.tree, 6, &root, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "the log has 5 entries, not 6");
    drop(&g);
}

static void a_list_that_fails_leaves_the_tree_as_it_was(void **state)
{
    (void)state;
    struct grown g;
    struct cofre_err err;
    grow(&g, 7);
    struct log_hash before = root_of(&g, 7);
    struct log_inclusion proof = {.size = 7, .index = 3};
    g.list.fails = true;
    assert_int_equal(log_tree_append(&g.tree, (struct view){NULL, 0}, &err), -COFRE_FAILED);
    assert_int_equal(log_tree_prove_inclusion(&g.tree, &proof, &err), -COFRE_FAILED);
    g.list.fails = false;
    struct log_hash after = root_of(&g, 7);
    assert_true(log_hash_equal(&before, &after));
    append(&g, (struct view){(const uint8_t *)"x", 1});
    struct log_hash root = root_of(&g, 8), want = mth(g.leaf, 8);
    assert_true(log_hash_equal(&root, &want));
    drop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_of_the_known_tree),
        cmocka_unit_test(proofs_of_the_known_tree),
        cmocka_unit_test(every_root_is_as_defined),
        cmocka_unit_test(every_inclusion_is_as_defined_and_comes_to_the_root),
        cmocka_unit_test(every_consistency_is_as_defined_and_comes_to_the_root),
        cmocka_unit_test(a_tree_that_is_opened_again_goes_on),
        cmocka_unit_test(work_grows_as_the_logarithm),
        cmocka_unit_test(what_is_not_there_is_not_proved),
        cmocka_unit_test(a_list_that_fails_leaves_the_tree_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
