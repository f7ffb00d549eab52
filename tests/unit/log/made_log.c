#include "tests/unit/log/made_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "tests/unit/log/memory_list.h"

#define HEAD_SIZE (8 + 3 * LOG_HASH_SIZE)

static void make_head(uint8_t out[HEAD_SIZE], const struct log_state *state)
{
    put_le64(out, state->size);
    memcpy(out + 8, &state->root, LOG_HASH_SIZE);
    memcpy(out + 40, &state->id, LOG_HASH_SIZE);
    SHA256(out, 72, out + 72);
}

static int sign(void *context, const struct log_state *state, struct bytes *head, struct cofre_err *err)
{
    (void)context;
    int rc = bytes_alloc(head, HEAD_SIZE, err);
    if (rc == 0)
        make_head(head->data, state);
    return rc;
}

static int check(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    uint8_t want[HEAD_SIZE];
    if (context)
        ++*(unsigned *)context;
    make_head(want, state);
    return view_equal(head, (struct view){want, sizeof want})
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the head is of another log");
}

bool made_dir(char out[MADE_DIR_SIZE])
{
    (void)snprintf(out, MADE_DIR_SIZE, "/dev/shm/cofre-log-XXXXXX");
    if (mkdtemp(out))
        return true;
    (void)snprintf(out, MADE_DIR_SIZE, "/tmp/cofre-log-XXXXXX");
    return mkdtemp(out) != NULL;
}

struct log_heads made_heads(bool write, unsigned *checks)
{
    return (struct log_heads){.context = checks, .sign = write ? sign : NULL, .check = check};
}

void made_entry(struct bytes *out, uint64_t index)
{
    static const size_t lengths[] = {24, 0, 1, 23, 255, 256, 300, 65535, 65536, 3, 100000};
    size_t len = lengths[index % (sizeof lengths / sizeof *lengths)];
    assert_int_equal(bytes_alloc(out, len, NULL), 0);
    for (size_t i = 0; i < len; i++)
        out->data[i] = (uint8_t)(index * 31 + i);
}

struct log_hash made_root(uint64_t size)
{
    struct memory_list list = {0};
    struct log_hash_list functions = memory_list_functions(&list);
    struct log_hash root;
    CLEAN_TREE tree;
    assert_int_equal(log_tree_open(&tree, &functions, 0, NULL), 0);
    for (uint64_t i = 0; i < size; i++) {
        CLEAN_BYTES entry = {0};
        made_entry(&entry, i);
        assert_int_equal(log_tree_append(&tree, bytes_view(&entry), NULL), 0);
    }
    assert_int_equal(log_tree_root(&tree, size, &root, NULL), 0);
    memory_list_free(&list);
    return root;
}

struct log_file *made_open(const char *path, bool write)
{
    struct log_file *f = NULL;
    struct log_heads heads = made_heads(write, NULL);
    struct cofre_err err;
    if (log_file_open(&f, path, &heads, &err) < 0)
        fail_msg("%s", err.text);
    return f;
}

void made_create(const char *path)
{
    CLEAN_BYTES genesis = {0};
    struct log_heads heads = made_heads(true, NULL);
    struct cofre_err err;
    made_entry(&genesis, 0);
    if (log_file_create(path, bytes_view(&genesis), &heads, &err) < 0)
        fail_msg("%s", err.text);
}

void made_grow(struct log_file *f, uint64_t size, const uint64_t *commits)
{
    for (uint64_t i = log_file_tree(f)->size; i < size; i++) {
        CLEAN_BYTES entry = {0};
        uint64_t index;
        made_entry(&entry, i);
        assert_int_equal(log_file_append(f, bytes_view(&entry), &index, NULL), 0);
        assert_int_equal(index, i);
        for (const uint64_t *at = commits; *at; at++)
            if (*at == i + 1)
                assert_int_equal(log_file_commit(f, NULL), 0);
    }
}

size_t made_remove(struct bytes *out, struct view file, uint64_t index)
{
    uint8_t prefix[LOG_ITEM_PREFIX_MAX];
    struct log_item item;
    CLEAN_HASHER h = {0};
    struct log_hash leaf;
    uint64_t entries = 0;
    size_t at = LOG_HEADER_SIZE;
    for (;; at += item.prefix + item.len) {
        assert_int_equal(log_item_read(&item, (struct view){file.data + at, file.len - at}, NULL), 1);
        if (item.kind != LOG_ITEM_HEAD && entries++ == index)
            break;
    }
    assert_int_equal(item.kind, LOG_ITEM_ENTRY);
    const size_t begin = at + item.prefix, behind = begin + item.len;
    assert_int_equal(log_hasher_init(&h, NULL), 0);
    assert_int_equal(log_hash_leaf(&h, &leaf, (struct view){file.data + begin, item.len}, NULL), 0);
    const size_t len = log_item_prefix(prefix, LOG_ITEM_REMOVED, sizeof leaf);
    assert_int_equal(bytes_alloc(out, at + len + sizeof leaf + file.len - behind, NULL), 0);
    memcpy(out->data, file.data, at);
    memcpy(out->data + at, prefix, len);
    memcpy(out->data + at + len, &leaf, sizeof leaf);
    memcpy(out->data + at + len + sizeof leaf, file.data + behind, file.len - behind);
    log_header_write(out->data, out->len);
    return at;
}

void made_check(struct log_file *f, uint64_t size)
{
    struct log_hash want = made_root(size), root;
    assert_int_equal(log_file_state(f)->size, size);
    assert_true(log_hash_equal(&log_file_state(f)->root, &want));
    assert_int_equal(log_tree_root(log_file_tree(f), size, &root, NULL), 0);
    assert_true(log_hash_equal(&root, &want));
    for (uint64_t i = 0; i < size; i++) {
        CLEAN_BYTES entry = {0}, real = {0};
        made_entry(&entry, i);
        assert_int_equal(log_file_entry(f, i, &real, NULL), 0);
        assert_true(view_equal(bytes_view(&entry), bytes_view(&real)));
    }
}
