/* A log in a file: what it keeps, what it refuses, what a cut or changed file opens as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/log/made_log.h"
#include "vmm/base/file.h"

static char dir[MADE_DIR_SIZE], path[MADE_DIR_SIZE + 8], other[MADE_DIR_SIZE + 8];

static int set_up(void **state)
{
    (void)state;
    if (!made_dir(dir))
        return -1;
    (void)snprintf(path, sizeof path, "%s/log", dir);
    (void)snprintf(other, sizeof other, "%s/other", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(dir);
}

static int fresh(void **state)
{
    (void)state;
    made_create(path);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    (void)unlink(other);
    return unlink(path);
}

static int try_open(const char *file, bool write, bool check_all, uint64_t *size, struct cofre_err *err)
{
    CLEAN_LOG_FILE *f = NULL;
    struct log_heads heads = made_heads(write, NULL);
    heads.check_all = check_all;
    int rc = log_file_open(&f, file, &heads, err);
    if (rc == 0 && size)
        *size = log_file_state(f)->size;
    return rc;
}

static void write_other(struct view data)
{
    assert_int_equal(file_write(other, data, 0600, NULL), 0);
}

static void a_new_log_has_its_first_entry_under_a_head(void **state)
{
    (void)state;
    struct stat st;
    struct log_hash id;
    CLEAN_HASHER h;
    CLEAN_BYTES genesis = {0};
    CLEAN_LOG_FILE *f = made_open(path, false);
    made_check(f, 1);
    made_entry(&genesis, 0);
    assert_int_equal(log_hasher_init(&h, NULL), 0);
    assert_int_equal(log_hash_leaf(&h, &id, bytes_view(&genesis), NULL), 0);
    assert_true(log_hash_equal(&log_file_state(f)->id, &id));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_size, log_file_length(f));
}

static void a_log_is_not_created_over_a_file(void **state)
{
    (void)state;
    struct log_heads heads = made_heads(true, NULL);
    struct cofre_err err;
    assert_int_equal(log_file_create(path, (struct view){NULL, 0}, &heads, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "File exists"));
    CLEAN_LOG_FILE *f = made_open(path, false);
    made_check(f, 1);
}

static void what_was_committed_is_there_again(void **state)
{
    (void)state;
    static const uint64_t commits[] = {2, 5, 20, 0};
    struct log_file *f = made_open(path, true);
    made_grow(f, 20, commits);
    made_check(f, 20);
    log_file_close(f);
    f = made_open(path, true);
    made_check(f, 20);
    made_grow(f, 33, (uint64_t[]){33, 0});
    made_check(f, 33);
    log_file_close(f);
    f = made_open(path, false);
    made_check(f, 33);
    log_file_close(f);
}

static void what_no_head_covers_is_gone(void **state)
{
    (void)state;
    struct stat st;
    struct log_file *f = made_open(path, true);
    made_grow(f, 12, (uint64_t[]){9, 0});
    log_file_close(f);
    f = made_open(path, true);
    made_check(f, 9);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, log_file_length(f));
    log_file_close(f);
}

static void one_process_writes_and_others_read(void **state)
{
    (void)state;
    struct cofre_err err;
    struct log_file *writer = made_open(path, true), *reader;
    assert_int_equal(try_open(path, true, false, NULL, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "another process writes to it"));
    made_grow(writer, 8, (uint64_t[]){7, 0});
    reader = made_open(path, false);
    made_grow(writer, 30, (uint64_t[]){30, 0});
    made_check(reader, 7);
    assert_int_equal(log_file_append(reader, (struct view){NULL, 0}, NULL, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, "reading only"));
    log_file_close(reader);
    log_file_close(writer);
}

static int (*really_sign)(void *, const struct log_state *, struct bytes *, struct cofre_err *);

static int sign_the_second_time(void *context, const struct log_state *state, struct bytes *head,
                                struct cofre_err *err)
{
    static int tries;
    return tries++ == 0 ? cofre_fail(err, COFRE_LACKING, "the key is away")
                        : really_sign(context, state, head, err);
}

static void a_head_that_could_not_be_signed_can_be_tried_again(void **state)
{
    (void)state;
    struct log_heads heads = made_heads(true, NULL);
    struct log_file *f = NULL;
    struct cofre_err err;
    really_sign = heads.sign;
    heads.sign = sign_the_second_time;
    assert_int_equal(log_file_open(&f, path, &heads, NULL), 0);
    made_grow(f, 4, (uint64_t[]){0});
    assert_int_equal(log_file_commit(f, &err), -COFRE_LACKING);
    assert_int_equal(log_file_state(f)->size, 1);
    assert_int_equal(log_file_commit(f, NULL), 0);
    made_check(f, 4);
    log_file_close(f);
}

static void entries_have_a_bound(void **state)
{
    (void)state;
    CLEAN_BYTES big = {0};
    struct cofre_err err;
    struct log_file *f = made_open(path, true);
    assert_int_equal(bytes_alloc(&big, LOG_ENTRY_MAX + 1, NULL), 0);
    assert_int_equal(log_file_append(f, bytes_view(&big), NULL, &err), -COFRE_USAGE);
    assert_int_equal(log_file_append(f, (struct view){big.data, LOG_ENTRY_MAX}, NULL, NULL), 0);
    assert_int_equal(log_file_commit(f, NULL), 0);
    log_file_close(f);
    f = made_open(path, false);
    CLEAN_BYTES again = {0}, none = {0};
    assert_int_equal(log_file_entry(f, 1, &again, NULL), 0);
    assert_int_equal(again.len, LOG_ENTRY_MAX);
    assert_int_equal(log_file_entry(f, 2, &none, &err), -COFRE_USAGE);
    log_file_close(f);
}

static void all_heads_are_checked_when_asked_for(void **state)
{
    (void)state;
    unsigned checks = 0;
    struct log_file *f = made_open(path, true);
    made_grow(f, 6, (uint64_t[]){2, 3, 6, 0});
    log_file_close(f);
    struct log_heads heads = made_heads(false, &checks);
    assert_int_equal(log_file_open(&f, path, &heads, NULL), 0);
    log_file_close(f);
    assert_int_equal(checks, 1);
    heads.check_all = true;
    assert_int_equal(log_file_open(&f, path, &heads, NULL), 0);
    log_file_close(f);
    assert_int_equal(checks, 5);
}

/* Entries of up to 300 bytes, and where each head ends. */
static void make_small(struct bytes *file, uint64_t ends[8])
{
    struct log_file *f = made_open(path, true);
    ends[1] = log_file_length(f);
    for (uint64_t size = 2; size <= 7; size++) {
        made_grow(f, size, (uint64_t[]){3, 4, 7, 0});
        ends[size] = log_file_length(f);
    }
    log_file_close(f);
    assert_int_equal(file_read(file, path, 1 << 20, NULL), 0);
}

static void clear_committed(struct bytes *file)
{
    uint8_t header[LOG_HEADER_SIZE];
    log_header_write(header, 0);
    memcpy(file->data, header, sizeof header);
}

/* As a crash leaves it that comes before anything is noted as committed. */
static void a_file_cut_anywhere_is_the_log_up_to_a_head(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    uint64_t ends[8], size;
    struct stat st;
    make_small(&file, ends);
    clear_committed(&file);
    for (size_t len = 0; len <= file.len; len++) {
        uint64_t want = 0;
        for (uint64_t s = 1; s <= 7; s++)
            want = ends[s] <= len && (s == 1 || ends[s] != ends[s - 1]) ? s : want;
        write_other((struct view){file.data, len});
        int rc = try_open(other, true, true, &size, NULL);
        assert_int_equal(rc, want ? 0 : -COFRE_MALFORMED);
        if (!want)
            continue;
        assert_int_equal(size, want);
        assert_int_equal(stat(other, &st), 0);
        assert_int_equal(st.st_size, ends[want]);
        struct log_file *f = made_open(other, false); /* what was found is noted */
        made_check(f, want);
        log_file_close(f);
    }
}

static void a_file_cut_below_what_was_committed_is_refused(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    uint64_t ends[8];
    struct cofre_err err;
    make_small(&file, ends);
    for (size_t len = 0; len < file.len; len++) {
        write_other((struct view){file.data, len});
        assert_int_equal(try_open(other, true, false, NULL, &err), -COFRE_MALFORMED);
        assert_non_null(strstr(err.text, len < LOG_HEADER_SIZE ? "it is no log" : "it is damaged at byte"));
        assert_int_equal(try_open(other, false, false, NULL, &err), -COFRE_MALFORMED);
    }
}

static void each_changed_byte_is_noticed(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0};
    uint64_t ends[8];
    struct cofre_err err;
    make_small(&file, ends);
    for (size_t i = 0; i < file.len; i++) {
        /* Told less than was committed, the file is as whole as before. */
        bool may_open = i > LOG_HEADER_COMMITTED && i < LOG_HEADER_SIZE;
        file.data[i] ^= (uint8_t)(1u << i % 8);
        write_other(bytes_view(&file));
        if (try_open(other, true, true, NULL, &err) == 0 && !may_open)
            fail_msg("a changed byte %zu is not noticed", i);
        file.data[i] ^= (uint8_t)(1u << i % 8);
    }
}

/* The file with entry 2 of seven as its hash only; returns where that is. */
static size_t remove_an_entry(struct bytes *out, const struct bytes *file)
{
    uint8_t prefix[LOG_ITEM_PREFIX_MAX];
    struct log_item item;
    size_t at = LOG_HEADER_SIZE, entries = 0;
    for (;; at += item.prefix + item.len) {
        assert_int_equal(log_item_read(&item, (struct view){file->data + at, file->len - at}, NULL), 1);
        if (item.kind == LOG_ITEM_ENTRY && entries++ == 2)
            break;
    }
    CLEAN_HASHER h = {0};
    struct log_hash leaf;
    const struct view entry = {file->data + at + item.prefix, item.len};
    assert_int_equal(log_hasher_init(&h, NULL), 0);
    assert_int_equal(log_hash_leaf(&h, &leaf, entry, NULL), 0);
    const size_t len = log_item_prefix(prefix, LOG_ITEM_REMOVED, sizeof leaf);
    const size_t behind = at + item.prefix + item.len;
    assert_int_equal(bytes_alloc(out, at + len + sizeof leaf + file->len - behind, NULL), 0);
    memcpy(out->data, file->data, at);
    memcpy(out->data + at, prefix, len);
    memcpy(out->data + at + len, &leaf, sizeof leaf);
    memcpy(out->data + at + len + sizeof leaf, file->data + behind, file->len - behind);
    log_header_write(out->data, out->len);
    return at;
}

static void an_entry_may_have_been_removed_and_its_hash_not(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0}, less = {0}, entry = {0};
    CLEAN_LOG_FILE *f = NULL;
    uint64_t ends[8];
    struct cofre_err err;
    make_small(&file, ends);
    const size_t at = remove_an_entry(&less, &file);
    write_other(bytes_view(&less));
    f = made_open(other, false);
    assert_int_equal(log_file_state(f)->size, 7);
    assert_int_equal(log_file_entry(f, 2, &entry, &err), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "entry 2 was removed"));
    assert_int_equal(log_file_entry(f, 3, &entry, &err), 0);
    for (size_t i = at; i < at + 3 + LOG_HASH_SIZE; i++) {
        less.data[i] ^= 1;
        write_other(bytes_view(&less));
        assert_true(try_open(other, false, true, NULL, &err) < 0);
        less.data[i] ^= 1;
    }
}

static void rubbish_behind_what_was_committed_is_cut_off(void **state)
{
    (void)state;
    CLEAN_BYTES file = {0}, more = {0};
    uint64_t ends[8], size;
    make_small(&file, ends);
    static const uint8_t fills[] = {0x00, 0x40, 0x41, 0x5b, 0xa0, 0xd8, 0xff};
    for (size_t i = 0; i < sizeof fills; i++)
        for (size_t len = 1; len < 40; len++) {
            bytes_free(&more);
            assert_int_equal(bytes_alloc(&more, file.len + len, NULL), 0);
            memcpy(more.data, file.data, file.len);
            memset(more.data + file.len, fills[i], len);
            write_other(bytes_view(&more));
            assert_int_equal(try_open(other, true, true, &size, NULL), 0);
            assert_int_equal(size, 7);
        }
}

static void files_that_are_no_logs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {{"", 0},
                 {"\x6b"
                  "cofre-log-2\x1b\0\0\0\0\0\0\0\0",
                  21},
                 {"\x6b"
                  "cofre-log-1\x1b\0\0\0\0\0\0\0\0\x41x",
                  23}};
    struct cofre_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_other((struct view){(const uint8_t *)cases[i].bytes, cases[i].len});
        assert_int_equal(try_open(other, false, false, NULL, &err), -COFRE_MALFORMED);
    }
    assert_int_equal(unlink(other), 0);
    assert_int_equal(try_open(other, false, false, NULL, &err), -COFRE_USAGE);
}

#define IN_A_LOG(test) cmocka_unit_test_setup_teardown(test, fresh, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_LOG(a_new_log_has_its_first_entry_under_a_head),
        IN_A_LOG(a_log_is_not_created_over_a_file),
        IN_A_LOG(what_was_committed_is_there_again),
        IN_A_LOG(what_no_head_covers_is_gone),
        IN_A_LOG(one_process_writes_and_others_read),
        IN_A_LOG(a_head_that_could_not_be_signed_can_be_tried_again),
        IN_A_LOG(entries_have_a_bound),
        IN_A_LOG(all_heads_are_checked_when_asked_for),
        IN_A_LOG(a_file_cut_anywhere_is_the_log_up_to_a_head),
        IN_A_LOG(a_file_cut_below_what_was_committed_is_refused),
        IN_A_LOG(each_changed_byte_is_noticed),
        IN_A_LOG(an_entry_may_have_been_removed_and_its_hash_not),
        IN_A_LOG(rubbish_behind_what_was_committed_is_cut_off),
        IN_A_LOG(files_that_are_no_logs_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
