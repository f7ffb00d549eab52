/* Proofs that are not what they were: each must come to another root, or to none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/log/memory_list.h"

#define SIZES 40

static struct memory_list list;
static struct log_tree tree;
static struct log_hash leaf[SIZES], root[SIZES + 1];

static int grow(void **state)
{
    (void)state;
    struct log_hash_list functions = memory_list_functions(&list);
    int rc = log_tree_open(&tree, &functions, 0, NULL);
    for (uint8_t i = 0; rc == 0 && i < SIZES; i++) {
        rc = log_hash_leaf(&tree.hasher, &leaf[i], (struct view){&i, 1}, NULL);
        if (rc == 0)
            rc = log_tree_append(&tree, (struct view){&i, 1}, NULL);
        if (rc == 0)
            rc = log_tree_root(&tree, i + 1u, &root[i + 1], NULL);
    }
    return rc;
}

static int drop(void **state)
{
    (void)state;
    log_tree_close(&tree);
    memory_list_free(&list);
    return 0;
}

static bool holds(const struct log_inclusion *proof, const struct log_hash *entry,
                  const struct log_hash *signed_root)
{
    struct log_hash computed;
    struct cofre_err err = {""};
    int rc = log_inclusion_root(&computed, proof, entry, &err);
    assert_true(rc == 0 || (rc == -COFRE_NEGATIVE && *err.text));
    return rc == 0 && log_hash_equal(&computed, signed_root);
}

static bool grew(const struct log_consistency *proof, const struct log_hash *older,
                 const struct log_hash *signed_root)
{
    struct log_hash computed;
    struct cofre_err err = {""};
    int rc = log_consistency_root(&computed, proof, older, &err);
    assert_true(rc == 0 || (rc == -COFRE_NEGATIVE && *err.text));
    return rc == 0 && log_hash_equal(&computed, signed_root);
}

/* Calls each with the numbers of every inclusion or consistency up to SIZES. */
static void for_inclusions(void (*each)(const struct log_inclusion *proof))
{
    for (uint64_t size = 1; size <= SIZES; size++)
        for (uint64_t index = 0; index < size; index++) {
            struct log_inclusion proof = {.size = size, .index = index};
            assert_int_equal(log_tree_prove_inclusion(&tree, &proof, NULL), 0);
            assert_true(holds(&proof, &leaf[index], &root[size]));
            each(&proof);
        }
}

static void for_consistencies(void (*each)(const struct log_consistency *proof))
{
    for (uint64_t size2 = 1; size2 <= SIZES; size2++)
        for (uint64_t size1 = 1; size1 <= size2; size1++) {
            struct log_consistency proof = {.size1 = size1, .size2 = size2};
            assert_int_equal(log_tree_prove_consistency(&tree, &proof, NULL), 0);
            assert_true(grew(&proof, &root[size1], &root[size2]));
            each(&proof);
        }
}

static void change_inclusion(const struct log_inclusion *proof)
{
    for (size_t i = 0; i < proof->path.count; i++) {
        struct log_inclusion changed = *proof;
        changed.path.hash[i].data[(i * 7) % LOG_HASH_SIZE] ^= (uint8_t)(1u << i % 8);
        assert_false(holds(&changed, &leaf[proof->index], &root[proof->size]));
    }
    struct log_hash other = leaf[proof->index];
    other.data[31] ^= 1;
    assert_false(holds(proof, &other, &root[proof->size]));
    for (uint64_t index = 0; index < proof->size + 2; index++) {
        struct log_inclusion elsewhere = *proof;
        elsewhere.index = index;
        assert_true(index == proof->index || !holds(&elsewhere, &leaf[proof->index], &root[proof->size]));
    }
}

static void resize_inclusion(const struct log_inclusion *proof)
{
    struct log_inclusion changed = *proof;
    changed.path.hash[changed.path.count++] = leaf[0];
    assert_false(holds(&changed, &leaf[proof->index], &root[proof->size]));
    for (size_t cut = 0; cut < proof->path.count; cut++) {
        changed = *proof;
        changed.path.count = cut;
        assert_false(holds(&changed, &leaf[proof->index], &root[proof->size]));
        changed = *proof;
        memmove(&changed.path.hash[cut], &changed.path.hash[cut + 1],
                (changed.path.count - cut - 1) * sizeof changed.path.hash[0]);
        changed.path.count--;
        assert_false(holds(&changed, &leaf[proof->index], &root[proof->size]));
    }
}

static void change_consistency(const struct log_consistency *proof)
{
    for (size_t i = 0; i < proof->path.count; i++) {
        struct log_consistency changed = *proof;
        changed.path.hash[i].data[(i * 5) % LOG_HASH_SIZE] ^= (uint8_t)(1u << i % 8);
        assert_false(grew(&changed, &root[proof->size1], &root[proof->size2]));
    }
    for (uint64_t other = 1; other <= SIZES; other++) {
        assert_true(other == proof->size1 || !grew(proof, &root[other], &root[proof->size2]));
        assert_true(other == proof->size2 || !grew(proof, &root[proof->size1], &root[other]));
    }
}

static void resize_consistency(const struct log_consistency *proof)
{
    struct log_consistency changed = *proof;
    changed.path.hash[changed.path.count++] = leaf[0];
    assert_false(grew(&changed, &root[proof->size1], &root[proof->size2]));
    for (size_t cut = 0; cut < proof->path.count; cut++) {
        changed = *proof;
        changed.path.count = cut;
        assert_false(grew(&changed, &root[proof->size1], &root[proof->size2]));
    }
}

static void a_changed_inclusion_does_not_hold(void **state)
{
    (void)state;
    for_inclusions(change_inclusion);
}

static void an_inclusion_of_another_length_does_not_hold(void **state)
{
    (void)state;
    for_inclusions(resize_inclusion);
}

static void a_changed_consistency_does_not_hold(void **state)
{
    (void)state;
    for_consistencies(change_consistency);
}

static void a_consistency_of_another_length_does_not_hold(void **state)
{
    (void)state;
    for_consistencies(resize_consistency);
}

/* A proof that a log forked after size entries has no path that serves. */
static void a_fork_is_not_consistent(void **state)
{
    (void)state;
    for (uint64_t fork = 1; fork < SIZES; fork++) {
        struct memory_list other = {0};
        struct log_hash_list functions = memory_list_functions(&other);
        CLEAN_TREE forked;
        assert_int_equal(log_tree_open(&forked, &functions, 0, NULL), 0);
        for (uint8_t i = 0; i < SIZES; i++) {
            uint8_t entry = i == fork ? 0xff : i;
            assert_int_equal(log_tree_append(&forked, (struct view){&entry, 1}, NULL), 0);
        }
        for (uint64_t size = fork; size < SIZES; size++) {
            struct log_consistency proof = {.size1 = size, .size2 = SIZES};
            struct log_hash newer;
            assert_int_equal(log_tree_prove_consistency(&forked, &proof, NULL), 0);
            assert_int_equal(log_tree_root(&forked, SIZES, &newer, NULL), 0);
            assert_true(grew(&proof, &root[size], &newer) == (size == fork));
        }
        memory_list_free(&other);
    }
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct log_inclusion inclusion[] = {
        {.size = 0, .index = 0}, {.size = 5, .index = 5}, {.size = UINT64_MAX, .index = 0}};
    static const struct log_consistency consistency[] = {
        {.size1 = 0, .size2 = 0}, {.size1 = 3, .size2 = 2}, {.size1 = 1, .size2 = UINT64_MAX}};
    for (size_t i = 0; i < 3; i++) {
        assert_false(holds(&inclusion[i], &leaf[0], &leaf[0]));
        assert_false(grew(&consistency[i], &leaf[0], &leaf[0]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_inclusion_does_not_hold),
        cmocka_unit_test(an_inclusion_of_another_length_does_not_hold),
        cmocka_unit_test(a_changed_consistency_does_not_hold),
        cmocka_unit_test(a_consistency_of_another_length_does_not_hold),
        cmocka_unit_test(a_fork_is_not_consistent),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, grow, drop);
}
