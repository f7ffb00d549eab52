/*
 * Whoever changes the log or a bundle is found out: every byte changed, every entry removed, swapped or cut, another head, another
 * key. Logs and bundles are those that the record of the host manager comes to. COFRE_MUTATIONS_ONE_IN: one byte in so many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/log/bundle.h"
#include "attest/log/item.h"
#include "tests/unit/attest/mutate.h"
#include "tests/unit/host/audit/bundled.h"
#include "vmm/base/file.h"

static struct bundled b;

static int set_up(void **state)
{
    (void)state;
    bundled_make(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bundled_free(&b);
    return 0;
}

/* How far from one byte to the next. */
static size_t stride(void)
{
    const char *one_in = getenv("COFRE_MUTATIONS_ONE_IN");
    const unsigned long n = one_in ? strtoul(one_in, NULL, 10) : 1;
    return n ? n : 1;
}

/* The log */

static int check_head(void *context, struct view head, const struct log_state *state, struct cofre_err *err)
{
    struct log_head said;
    int rc = log_head_verify(&said, head, context, err);
    if (rc == 0 && memcmp(&said.state, state, sizeof *state) != 0)
        rc = cofre_fail(err, COFRE_NEGATIVE, "the entries are not those that were signed");
    return rc;
}

/* As cofre log verify --log --head does: against the head that somebody kept. */
static int judge_log(struct view bytes, const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_LOG_FILE *f = NULL;
    struct log_hash root;
    const struct log_heads heads = {.context = (void *)keys, .check = check_head, .check_all = true};
    int rc = file_write(b.path, bytes, 0600, err);
    if (rc == 0)
        rc = log_file_open(&f, b.path, &heads, err);
    if (rc == 0 && log_file_state(f)->size < b.head.state.size)
        rc = cofre_fail(err, COFRE_NEGATIVE, "the log is shorter than what was seen of it");
    if (rc == 0)
        rc = log_tree_root(log_file_tree(f), b.head.state.size, &root, err);
    if (rc == 0 && !log_hash_equal(&root, &b.head.state.root))
        rc = cofre_fail(err, COFRE_NEGATIVE, "the log is not the one that was seen");
    return rc;
}

static void log_is_found_out(struct view bytes, const char *what, size_t where)
{
    struct cofre_err err = {""};
    if (judge_log(bytes, &b.record.keys, &err) == 0)
        fail_msg("%s at %zu is not noticed", what, where);
    assert_true(*err.text);
}

static void every_changed_byte_of_a_log_is_named(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(judge_log(bytes_view(&b.log), &b.record.keys, &err), 0);
    for (size_t i = 0; i < b.log.len; i += stride()) {
        /* The number of committed bytes says where to stop reading; the log is what is read up to there. */
        if (i > LOG_HEADER_COMMITTED && i < LOG_HEADER_SIZE)
            continue;
        const uint8_t before = b.log.data[i];
        b.log.data[i] ^= (uint8_t)(1 + mutate_any(255));
        log_is_found_out(bytes_view(&b.log), "a changed byte", i);
        b.log.data[i] = before;
    }
}

static void a_log_cut_anywhere_is_named(void **state)
{
    (void)state;
    for (size_t len = 0; len < b.log.len; len += stride())
        log_is_found_out((struct view){b.log.data, len}, "a cut", len);
}

#define ITEMS_MAX 64
struct items {
    size_t at[ITEMS_MAX], len[ITEMS_MAX];
    size_t count;
};

static void find_items(struct items *out)
{
    struct log_item item;
    out->count = 0;
    for (size_t at = LOG_HEADER_SIZE; at < b.log.len; at += item.prefix + item.len) {
        assert_int_equal(log_item_read(&item, (struct view){b.log.data + at, b.log.len - at}, NULL), 1);
        assert_true(out->count < ITEMS_MAX);
        out->at[out->count] = at;
        out->len[out->count++] = item.prefix + item.len;
    }
}

/* The log of the items in this order, with what its header says set right. */
static void put_log(struct bytes *out, const struct items *items, const size_t *order, size_t count)
{
    size_t len = LOG_HEADER_SIZE;
    assert_int_equal(bytes_alloc(out, 2 * b.log.len, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(out->data + len, b.log.data + items->at[order[i]], items->len[order[i]]);
        len += items->len[order[i]];
    }
    log_header_write(out->data, len);
    out->len = len;
}

/* Heads in between may go: entries and the last head say all that they said. */
static bool may_go(const struct items *items, size_t i)
{
    struct log_item item;
    assert_int_equal(log_item_read(&item, (struct view){b.log.data + items->at[i], items->len[i]}, NULL), 1);
    return item.kind == LOG_ITEM_HEAD && i + 1 < items->count;
}

static void items_of_a_log_that_were_removed_doubled_or_swapped_are_named(void **state)
{
    (void)state;
    struct items items;
    size_t order[ITEMS_MAX + 1];
    find_items(&items);
    for (size_t i = 0; i < items.count; i++) {
        CLEAN_BYTES less = {0}, more = {0};
        size_t n = 0;
        for (size_t k = 0; k < items.count; k++)
            if (k != i)
                order[n++] = k;
        put_log(&less, &items, order, n);
        if (!may_go(&items, i))
            log_is_found_out(bytes_view(&less), "an item that was removed", i);
        for (size_t k = 0; k <= items.count; k++)
            order[k] = k <= i ? k : k - 1;
        put_log(&more, &items, order, items.count + 1);
        if (items.len[i] && !may_go(&items, i) && i + 1 < items.count)
            log_is_found_out(bytes_view(&more), "an item that is there twice", i);
        for (size_t other = i + 1; other < items.count; other++) {
            CLEAN_BYTES swapped = {0};
            for (size_t k = 0; k < items.count; k++)
                order[k] = k == i ? other : k == other ? i : k;
            put_log(&swapped, &items, order, items.count);
            log_is_found_out(bytes_view(&swapped), "an item that was swapped", i);
        }
    }
}

static void a_log_by_another_key_or_of_another_future_is_named(void **state)
{
    (void)state;
    struct cofre_err err;
    assert_int_equal(judge_log(bytes_view(&b.log), &b.other.keys, &err), -COFRE_NEGATIVE);
    assert_int_equal(judge_log(bytes_view(&b.fork), &b.record.keys, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "the log is not the one that was seen");
}

/* Bundles */

static int judge(struct log_bundle_proven *p, struct view bytes, struct cofre_err *err)
{
    CLEAN_LOG_BUNDLE read = {0};
    int rc = log_bundle_read(&read, bytes, err);
    if (rc == 0)
        rc = log_bundle_verify(p, &read, &b.record.keys, &b.witnesses, 1, err);
    for (size_t i = 0; rc == 0 && i < read.files; i++)
        if (!p->voucher[i].what)
            rc = cofre_fail(err, COFRE_NEGATIVE, "a file is named by no entry");
    return rc;
}

static void bundle_is_found_out(struct view bytes, const char *what, size_t where)
{
    struct log_bundle_proven p;
    struct cofre_err err = {""};
    if (judge(&p, bytes, &err) == 0)
        fail_msg("%s at %zu is not noticed", what, where);
    assert_true(*err.text);
}

static void every_changed_byte_of_a_bundle_is_named(void **state)
{
    (void)state;
    struct log_bundle_proven p;
    struct cofre_err err;
    if (judge(&p, bytes_view(&b.bundle), &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(p.head.state.size, b.head.state.size);
    assert_int_equal(p.witnessed, b.head.state.size);
    for (size_t i = 0; i < b.bundle.len; i += stride()) {
        const uint8_t before = b.bundle.data[i];
        b.bundle.data[i] ^= (uint8_t)(1 + mutate_any(255));
        bundle_is_found_out(bytes_view(&b.bundle), "a changed byte", i);
        b.bundle.data[i] = before;
    }
}

static void a_bundle_cut_anywhere_or_with_more_behind_it_is_named(void **state)
{
    (void)state;
    CLEAN_BYTES more = {0};
    for (size_t len = 0; len < b.bundle.len; len += stride())
        bundle_is_found_out((struct view){b.bundle.data, len}, "a cut", len);
    assert_int_equal(bytes_alloc(&more, b.bundle.len + 1, NULL), 0);
    memcpy(more.data, b.bundle.data, b.bundle.len);
    bundle_is_found_out(bytes_view(&more), "a byte more", b.bundle.len);
}

/* What somebody makes of a bundle's pieces, who has the program. */
static void rewritten_is_found_out(const struct log_bundle *bundle, const char *what, const char *sentence)
{
    CLEAN_BYTES bytes = {0};
    struct log_bundle_proven p;
    struct cofre_err err = {""};
    assert_int_equal(log_bundle_write(&bytes, bundle, NULL), 0);
    if (judge(&p, bytes_view(&bytes), &err) == 0)
        fail_msg("%s is not noticed", what);
    if (!strstr(err.text, sentence))
        fail_msg("%s: %s", what, err.text);
}

static void pieces_of_a_bundle_that_were_exchanged_are_named(void **state)
{
    (void)state;
    CLEAN_LOG_BUNDLE good = {0};
    struct cofre_err err;
    if (log_bundle_read(&good, bytes_view(&b.bundle), &err) < 0)
        fail_msg("%s", err.text);
    assert_true(good.is_range && good.entries >= 4);
    struct log_bundle_entry entry[64];
    assert_true(good.entries <= 64);
    struct log_bundle bad = good;
    bad.entry = entry;
#define ANEW() memcpy(entry, good.entry, good.entries * sizeof *entry)
    ANEW();
    memmove(&entry[1], &entry[2], (good.entries - 2) * sizeof *entry);
    bad.entries = good.entries - 1;
    rewritten_is_found_out(&bad, "an entry that was removed",
                           "which the bundle claims to have, one is missing");
    bad = good;
    bad.entry = entry;
    ANEW();
    entry[1] = good.entry[2];
    entry[2] = good.entry[1];
    rewritten_is_found_out(&bad, "entries that were swapped", "entries are not as they should be");
    entry[1].number = good.entry[1].number;
    entry[2].number = good.entry[2].number;
    rewritten_is_found_out(&bad, "entries with each other's numbers", "its receipt is of entry");
    ANEW();
    entry[1].entry = good.entry[2].entry;
    rewritten_is_found_out(&bad, "an entry with another's receipt", "the root that its proof comes to");
    ANEW();
    entry[1].entry = (struct view){0};
    rewritten_is_found_out(&bad, "a removed entry of another hash", "the root that its proof comes to");
    ANEW();
    bad.head = good.older;
    rewritten_is_found_out(&bad, "an older head", "its receipt is by another head");
    bad.head = bytes_view(&b.fork_head);
    rewritten_is_found_out(&bad, "a forked head", "its receipt is by another head");
    bad.head = bytes_view(&b.other_head);
    rewritten_is_found_out(&bad, "a head by another key", "the head: it is signed by none of the keys");
    bad.head = good.head;
    bad.older = good.head;
    rewritten_is_found_out(&bad, "growth from another head", "the older head: ");
    bad.older = good.older;
    bad.witness[0].signature = good.head;
    rewritten_is_found_out(&bad, "the keeper as its own witness", "witness 1: ");
    bad.witness[0].signature = bytes_view(&b.fork_witness);
    rewritten_is_found_out(&bad, "a witness of the fork",
                           "witness 1: w signed another head than the bundle's");
    bad.witness[0] = good.witness[0];
    bad.witness[1] = good.witness[0];
    bad.witnesses = 2;
    rewritten_is_found_out(&bad, "one witness twice", "by the same key as another");
    bad.witnesses = 0;
    rewritten_is_found_out(&bad, "no witness", "0 witnesses have signed it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_byte_of_a_log_is_named),
        cmocka_unit_test(a_log_cut_anywhere_is_named),
        cmocka_unit_test(items_of_a_log_that_were_removed_doubled_or_swapped_are_named),
        cmocka_unit_test(a_log_by_another_key_or_of_another_future_is_named),
        cmocka_unit_test(every_changed_byte_of_a_bundle_is_named),
        cmocka_unit_test(a_bundle_cut_anywhere_or_with_more_behind_it_is_named),
        cmocka_unit_test(pieces_of_a_bundle_that_were_exchanged_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
