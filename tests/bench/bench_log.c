/*
 * A log's tree of 10^6 entries: growing it beside SHA-256 of the same bytes, one call for each hash of the tree, of which there are two
 * for each entry; a proof at that size beside hashing as many nodes as its path has. And a log in a file, appended to and opened again.
 */
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "attest/log/file.h"
#include "tests/bench/bench.h"
#include "tests/unit/log/memory_list.h"

#define ENTRIES    1000000u
#define ENTRY_SIZE 300
#define MOST_TIME  2.0 /* of bare hashing */

static uint8_t entry[ENTRY_SIZE];

static void hash(EVP_MD_CTX *ctx, const void *data, size_t len)
{
    uint8_t out[32];
    BENCH_CHECK(EVP_DigestInit_ex(ctx, NULL, NULL) == 1 && EVP_DigestUpdate(ctx, data, len) == 1 &&
                EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    BENCH_CHECK(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    return ctx;
}

static void grow(void *context)
{
    struct memory_list *list = context;
    struct log_hash_list functions = memory_list_functions(list);
    struct log_tree tree;
    list->count = 0;
    BENCH_CHECK(log_tree_open(&tree, &functions, 0, NULL) == 0);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        put_le32(entry, i);
        BENCH_CHECK(log_tree_append(&tree, (struct view){entry, sizeof entry}, NULL) == 0);
    }
    log_tree_close(&tree);
}

static void hash_the_same(void *context)
{
    (void)context;
    EVP_MD_CTX *ctx = new_hash();
    uint8_t leaf[1 + ENTRY_SIZE] = {0}, node[65] = {1};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        put_le32(leaf + 1, i);
        hash(ctx, leaf, sizeof leaf);
        if (i)
            hash(ctx, node, sizeof node);
    }
    EVP_MD_CTX_free(ctx);
}

static void prove(void *context)
{
    struct log_tree *tree = context;
    static uint64_t index;
    struct log_inclusion proof = {.size = ENTRIES, .index = index = (index + 7919 * 31) % ENTRIES};
    BENCH_CHECK(log_tree_prove_inclusion(tree, &proof, NULL) == 0 && proof.path.count >= 10);
}

static void hash_a_path(void *context)
{
    (void)context;
    EVP_MD_CTX *ctx = new_hash();
    uint8_t node[65] = {1};
    for (int i = 0; i < 20; i++)
        hash(ctx, node, sizeof node);
    EVP_MD_CTX_free(ctx);
}

static int sign(void *context, const struct log_state *state, struct bytes *head, struct cofre_err *err)
{
    (void)context;
    return bytes_copy(head, (struct view){(const uint8_t *)state, sizeof *state}, err);
}

static int check(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    (void)context;
    return view_equal(head, (struct view){(const uint8_t *)state, sizeof *state})
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "another head");
}

static void write_file(void *context)
{
    const char *path = context;
    static const struct log_heads heads = {.sign = sign, .check = check};
    struct log_file *f;
    (void)unlink(path);
    BENCH_CHECK(log_file_create(path, (struct view){entry, sizeof entry}, &heads, NULL) == 0 &&
                log_file_open(&f, path, &heads, NULL) == 0);
    for (uint32_t i = 1; i < ENTRIES; i++) {
        put_le32(entry, i);
        BENCH_CHECK(log_file_append(f, (struct view){entry, sizeof entry}, NULL, NULL) == 0);
    }
    BENCH_CHECK(log_file_commit(f, NULL) == 0);
    log_file_close(f);
}

static void open_file(void *context)
{
    static const struct log_heads heads = {.check = check};
    struct log_file *f;
    BENCH_CHECK(log_file_open(&f, context, &heads, NULL) == 0 && log_file_state(f)->size == ENTRIES);
    log_file_close(f);
}

/* One call of each: what is measured takes a second. */
static double cpu(void (*call)(void *), void *context)
{
    double best = 1e9;
    for (int round = 0; round < 3; round++) {
        double start = bench_clock(CLOCK_THREAD_CPUTIME_ID);
        call(context);
        double took = bench_clock(CLOCK_THREAD_CPUTIME_ID) - start;
        best = took < best ? took : best;
    }
    return best;
}

int main(void)
{
    struct memory_list list = {0};
    struct log_tree tree;
    char path[] = "/tmp/cofre-bench-log-XXXXXX";
    BENCH_CHECK(mkdtemp(path) && rmdir(path) == 0);
    double growing = cpu(grow, &list), bare = cpu(hash_the_same, NULL);
    struct log_hash_list functions = memory_list_functions(&list);
    BENCH_CHECK(log_tree_open(&tree, &functions, ENTRIES, NULL) == 0);
    struct bench_times proof = bench(prove, hash_a_path, &tree, 1000);
    double writing = cpu(write_file, path), opening = cpu(open_file, path);
    printf("a tree of 10^6 entries of %d bytes: %.0f ms, %.2f times SHA-256 of the same (bound %.1f)\n",
           ENTRY_SIZE, 1e3 * growing, growing / bare, MOST_TIME);
    printf("a proof in it: %.1f us, %.2f times the hashing of its path\n", 1e6 * proof.measured,
           proof.measured / proof.beside);
    printf("in a file: appended in %.2f times, opened in %.2f times SHA-256 of the same\n", writing / bare,
           opening / bare);
    (void)unlink(path);
    log_tree_close(&tree);
    memory_list_free(&list);
    return growing / bare <= MOST_TIME ? 0 : 1;
}
