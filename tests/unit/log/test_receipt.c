/* Signed heads and receipts: what is made verifies, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/log/signed_log.h"

static struct signed_log log256, log384, other;

static int make(void **state)
{
    (void)state;
    return signed_log_make(&log256, "P-256", 0) && signed_log_make(&log384, "P-384", 0) &&
                   signed_log_make(&other, "P-256", 0xff)
               ? 0
               : -1;
}

static int drop(void **state)
{
    (void)state;
    signed_log_free(&log256);
    signed_log_free(&log384);
    signed_log_free(&other);
    return 0;
}

static int verify_entry(struct signed_log *log, struct view receipt, uint8_t entry, struct cofre_err *err)
{
    struct log_receipt proof;
    return log_receipt_verify_inclusion(&proof, receipt, (struct view){&entry, 1}, &log->keys, err);
}

/* From the head of size1, which must verify. */
static int verify_growth(struct signed_log *log, struct view receipt, uint64_t size1, struct log_head *newer,
                         struct cofre_err *err)
{
    CLEAN_BYTES message = {0};
    struct log_receipt proof;
    struct log_head older;
    assert_true(signed_log_head(log, size1, &message));
    assert_int_equal(log_head_verify(&older, bytes_view(&message), &log->keys, NULL), 0);
    int rc = log_receipt_verify_consistency(&proof, receipt, &older, &log->keys, err);
    if (rc == 0)
        *newer = proof.head;
    return rc;
}

static void a_head_says_what_was_signed(void **state)
{
    (void)state;
    struct signed_log *const logs[] = {&log256, &log384};
    for (size_t i = 0; i < 2; i++) {
        CLEAN_BYTES message = {0};
        struct log_head head;
        struct log_hash root;
        assert_true(signed_log_head(logs[i], 7, &message));
        assert_true(message.len <= LOG_HEAD_MAX);
        assert_int_equal(log_head_verify(&head, bytes_view(&message), &logs[i]->keys, NULL), 0);
        assert_int_equal(log_tree_root(&logs[i]->tree, 7, &root, NULL), 0);
        assert_int_equal(head.state.size, 7);
        assert_true(log_hash_equal(&head.state.root, &root));
        assert_true(log_hash_equal(&head.state.id, &logs[i]->id));
        assert_int_equal(head.time, 1717200007);
        assert_string_equal(head.name, "test log");
    }
}

static void every_entry_has_a_receipt_in_every_size(void **state)
{
    (void)state;
    for (uint64_t size = 2; size <= SIGNED_LOG_SIZE; size++)
        for (uint64_t index = 0; index < size; index++) {
            CLEAN_BYTES receipt = {0};
            struct cofre_err err;
            assert_true(signed_log_inclusion(&log256, index, size, &receipt));
            if (verify_entry(&log256, bytes_view(&receipt), (uint8_t)index, &err) < 0)
                fail_msg("%s", err.text);
            assert_int_equal(verify_entry(&log256, bytes_view(&receipt), (uint8_t)(index + 1), &err),
                             -COFRE_NEGATIVE);
        }
}

static void every_size_grew_out_of_every_smaller_one(void **state)
{
    (void)state;
    for (uint64_t size2 = 2; size2 <= SIGNED_LOG_SIZE; size2 += 3)
        for (uint64_t size1 = 1; size1 < size2; size1++) {
            CLEAN_BYTES receipt = {0};
            struct log_head newer;
            struct log_hash root;
            assert_true(signed_log_consistency(&log384, size1, size2, &receipt));
            assert_int_equal(verify_growth(&log384, bytes_view(&receipt), size1, &newer, NULL), 0);
            assert_int_equal(newer.state.size, size2);
            assert_int_equal(log_tree_root(&log384.tree, size2, &root, NULL), 0);
            assert_true(log_hash_equal(&newer.state.root, &root));
        }
}

static void what_has_an_empty_path_has_no_receipt(void **state)
{
    (void)state;
    CLEAN_BYTES receipt = {0};
    assert_false(signed_log_inclusion(&log256, 0, 1, &receipt));
    assert_false(signed_log_consistency(&log256, 5, 5, &receipt));
}

static void a_receipt_is_not_made_for_another_size(void **state)
{
    (void)state;
    CLEAN_BYTES head = {0}, out = {0};
    struct cofre_err err;
    struct log_receipt proof = {.kind = LOG_RECEIPT_INCLUSION, .inclusion = {.size = 6, .index = 2}};
    assert_true(signed_log_head(&log256, 7, &head));
    assert_int_equal(log_tree_prove_inclusion(&log256.tree, &proof.inclusion, NULL), 0);
    assert_int_equal(log_receipt_make(&out, bytes_view(&head), &proof, &err), -COFRE_USAGE);
}

/* An entry number 0 in 3 has the same path as in 4, up to the root: only the signed size tells. */
static void the_size_in_the_proof_must_be_the_signed_one(void **state)
{
    (void)state;
    CLEAN_BYTES receipt = {0};
    struct cofre_err err;
    assert_true(signed_log_inclusion(&log256, 0, 4, &receipt));
    uint8_t *proof = memmem(receipt.data, receipt.len, "\x83\x04\x00\x82\x58\x20", 6);
    assert_non_null(proof);
    proof[1] = 3;
    assert_int_equal(verify_entry(&log256, bytes_view(&receipt), 0, &err), -COFRE_MALFORMED);
    assert_string_equal(err.text, "its proof is for 3 entries, and signed are 4");
}

static void each_changed_bit_is_noticed(void **state)
{
    (void)state;
    CLEAN_BYTES head = {0}, inclusion = {0}, consistency = {0};
    struct log_head read;
    assert_true(signed_log_head(&log256, 11, &head));
    assert_true(signed_log_inclusion(&log256, 4, 11, &inclusion));
    assert_true(signed_log_consistency(&log256, 6, 11, &consistency));
    for (size_t bit = 0; bit < 8 * head.len; bit++) {
        head.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(log_head_verify(&read, bytes_view(&head), &log256.keys, NULL), 0);
        head.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * inclusion.len; bit++) {
        inclusion.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(verify_entry(&log256, bytes_view(&inclusion), 4, NULL), 0);
        inclusion.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t i = 0; i < consistency.len; i++) {
        consistency.data[i] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(verify_growth(&log256, bytes_view(&consistency), 6, &read, NULL), 0);
        consistency.data[i] ^= (uint8_t)(1u << i % 8);
    }
}

static void a_cut_or_longer_message_is_refused(void **state)
{
    (void)state;
    CLEAN_BYTES receipt = {0}, longer = {0};
    assert_true(signed_log_inclusion(&log256, 4, 11, &receipt));
    for (size_t len = 0; len < receipt.len; len++)
        assert_int_equal(verify_entry(&log256, (struct view){receipt.data, len}, 4, NULL), -COFRE_MALFORMED);
    assert_int_equal(bytes_alloc(&longer, receipt.len + 1, NULL), 0);
    memcpy(longer.data, receipt.data, receipt.len);
    assert_int_equal(verify_entry(&log256, bytes_view(&longer), 4, NULL), -COFRE_MALFORMED);
}

static void another_key_did_not_sign_it(void **state)
{
    (void)state;
    CLEAN_BYTES receipt = {0};
    struct cofre_err err;
    static const struct cose_keys none;
    struct log_receipt proof;
    uint8_t entry = 4;
    assert_true(signed_log_inclusion(&log256, 4, 11, &receipt));
    assert_int_equal(verify_entry(&other, bytes_view(&receipt), 4, &err), -COFRE_NEGATIVE);
    assert_int_equal(verify_entry(&log384, bytes_view(&receipt), 4, &err), -COFRE_NEGATIVE);
    assert_int_equal(
        log_receipt_verify_inclusion(&proof, bytes_view(&receipt), (struct view){&entry, 1}, &none, &err),
        -COFRE_NEGATIVE);
    assert_string_equal(err.text, "it is signed by none of the keys given");
}

static void a_log_does_not_grow_out_of_another(void **state)
{
    (void)state;
    CLEAN_BYTES receipt = {0}, message = {0};
    struct log_receipt proof;
    struct log_head older, newer;
    struct cofre_err err;
    assert_true(signed_log_consistency(&log256, 6, 11, &receipt));
    assert_true(signed_log_head(&other, 6, &message));
    assert_int_equal(log_head_read(&older, bytes_view(&message), NULL), 0);
    assert_int_equal(log_receipt_verify_consistency(&proof, bytes_view(&receipt), &older, &log256.keys, &err),
                     -COFRE_NEGATIVE);
    assert_string_equal(err.text, "it is of another log");
    assert_int_equal(verify_growth(&log256, bytes_view(&receipt), 7, &newer, &err), -COFRE_NEGATIVE);
    assert_string_equal(err.text, "it starts from 6 entries, and the older head has 7");
    bytes_free(&message);
    assert_true(signed_log_head(&log256, 6, &message));
    assert_int_equal(log_head_read(&older, bytes_view(&message), NULL), 0);
    older.state.root.data[0] ^= 1; /* a view that the log's signer gave to somebody else */
    assert_int_equal(log_receipt_verify_consistency(&proof, bytes_view(&receipt), &older, &log256.keys, &err),
                     -COFRE_NEGATIVE);
}

static void one_kind_of_receipt_is_not_the_other(void **state)
{
    (void)state;
    CLEAN_BYTES inclusion = {0}, consistency = {0}, head = {0};
    struct log_head newer;
    struct log_receipt proof;
    struct cofre_err err;
    assert_true(signed_log_inclusion(&log256, 4, 11, &inclusion));
    assert_true(signed_log_consistency(&log256, 6, 11, &consistency));
    assert_true(signed_log_head(&log256, 11, &head));
    assert_int_equal(verify_entry(&log256, bytes_view(&consistency), 4, &err), -COFRE_NEGATIVE);
    assert_int_equal(verify_growth(&log256, bytes_view(&inclusion), 6, &newer, &err), -COFRE_NEGATIVE);
    assert_int_equal(log_receipt_read(&proof, bytes_view(&head), &err), -COFRE_MALFORMED);
    assert_int_equal(log_head_read(&newer, bytes_view(&inclusion), &err), -COFRE_MALFORMED);
}

/* Messages signed by the log's own key that are not what they should be. */
static void a_header_that_is_not_complete_is_refused(void **state)
{
    (void)state;
    struct signed_log *log = &log256;
    const struct {
        int64_t vds, size, time;
        const char *id;
        bool kid;
    } cases[] = {
        {2, 5, 1, "0000000000000000000000000000000000000000000000000000000000000000", true},
        {1, 0, 1, "0000000000000000000000000000000000000000000000000000000000000000", true},
        {1, -1, 1, "0000000000000000000000000000000000000000000000000000000000000000", true},
        {1, INT64_MAX, 1, "0000000000000000000000000000000000000000000000000000000000000000", true},
        {1, 5, -1, "0000000000000000000000000000000000000000000000000000000000000000", true},
        {1, 5, 1, "000000000000000000000000000000000000000000000000000000000000000A", true},
        {1, 5, 1, "00", true},
        {1, 5, 1, "0000000000000000000000000000000000000000000000000000000000000000", false},
        {1, 5, 1, "0000000000000000000000000000000000000000000000000000000000000000", true}, /* right */
    };
    size_t count = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < count; i++) {
        CLEAN_COSE_WRITER w = {0};
        CLEAN_BYTES header = {0}, message = {0};
        struct log_head head;
        uint8_t root[LOG_HASH_SIZE] = {0};
        cose_begin(&w);
        cose_put_int(&w, COSE_HEADER_ALG);
        cose_put_int(&w, -7);
        if (cases[i].kid) {
            cose_put_int(&w, COSE_HEADER_KID);
            cose_put_bytes(&w, (struct view){log->keys.key[0].kid, 3});
        }
        cose_put_int(&w, COSE_HEADER_CWT_CLAIMS);
        cose_begin(&w);
        cose_put_int(&w, 1);
        cose_put_text(&w, "test log");
        cose_put_int(&w, 2);
        cose_put_text(&w, cases[i].id);
        cose_put_int(&w, 6);
        cose_put_int(&w, cases[i].time);
        cose_put_int(&w, LOG_CLAIM_SIZE);
        cose_put_int(&w, cases[i].size);
        cose_end_map(&w);
        cose_put_int(&w, LOG_HEADER_VDS);
        cose_put_int(&w, cases[i].vds);
        cose_end_map(&w);
        assert_int_equal(cose_take(&header, &w, NULL), 0);
        struct cose_to_sign in = {.protected = bytes_view(&header), .payload = {root, sizeof root}};
        assert_int_equal(cose_sign1_sign(&message, &in, log->keys.key[0].key, NULL), 0);
        int rc = log_head_verify(&head, bytes_view(&message), &log->keys, NULL);
        assert_int_equal(rc, i == count - 1 ? 0 : -COFRE_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_says_what_was_signed),
        cmocka_unit_test(every_entry_has_a_receipt_in_every_size),
        cmocka_unit_test(every_size_grew_out_of_every_smaller_one),
        cmocka_unit_test(what_has_an_empty_path_has_no_receipt),
        cmocka_unit_test(a_receipt_is_not_made_for_another_size),
        cmocka_unit_test(the_size_in_the_proof_must_be_the_signed_one),
        cmocka_unit_test(each_changed_bit_is_noticed),
        cmocka_unit_test(a_cut_or_longer_message_is_refused),
        cmocka_unit_test(another_key_did_not_sign_it),
        cmocka_unit_test(a_log_does_not_grow_out_of_another),
        cmocka_unit_test(one_kind_of_receipt_is_not_the_other),
        cmocka_unit_test(a_header_that_is_not_complete_is_refused),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
