#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "attest/cose/sign1.h"
#include "attest/token/token.h"
#include "tests/unit/token/made_verdict.h"
#include "vmm/base/json.h"

static EVP_PKEY *p256, *p384;

static int make_keys(void **state)
{
    (void)state;
    return key_generate(&p256, "ES256", NULL) + key_generate(&p384, "ES384", NULL);
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    return 0;
}

/* The public half, as it would be fetched. */
static void publish(struct cose_keys *out, EVP_PKEY *key)
{
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES file = {0};
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    assert_int_equal(cose_key_thumbprint(kid, key, NULL), 0);
    cose_put_key(&w, key, (struct view){kid, sizeof kid});
    assert_int_equal(cose_take(&file, &w, NULL), 0);
    assert_int_equal(keys_read(out, bytes_view(&file), NULL), 0);
}

static void assert_same(const struct ear *a, const struct ear *b)
{
    CLEAN_JSON *one = ear_json(a), *two = ear_json(b);
    assert_non_null(one);
    assert_true(json_equal(one, two));
}

static void what_is_signed_is_read_back(void **state)
{
    (void)state;
    static const char *const tees[] = {"snp", "tdx"};
    EVP_PKEY *const keys[] = {p256, p384};
    for (int i = 0; i < 4; i++) {
        CLEAN_EAR ear = {0}, read = {0}, parsed = {0};
        CLEAN_BYTES token = {0}, tagged = {0};
        CLEAN_COSE_KEYS published = {0}, other = {0};
        made_ear(&ear, tees[i / 2]);
        publish(&published, keys[i % 2]);
        publish(&other, keys[1 - i % 2]);
        assert_int_equal(cwt_sign(&token, &ear, keys[i % 2], NULL), 0);
        assert_true(cwt_recognises(bytes_view(&token)));
        assert_int_equal(cwt_verify(&read, bytes_view(&token), &published, NULL), 0);
        assert_same(&ear, &read);
        ear_free(&read);
        assert_int_equal(bytes_alloc(&tagged, token.len + 2, NULL), 0);
        memcpy(tagged.data, "\xd8\x3d", 2);
        memcpy(tagged.data + 2, token.data, token.len);
        assert_true(cwt_recognises(bytes_view(&tagged)));
        assert_int_equal(token_verify(&read, bytes_view(&tagged), &published, NULL), 0);
        assert_int_equal(cwt_parse(&parsed, bytes_view(&token), NULL), 0);
        assert_same(&read, &parsed);
        ear_free(&read);
        assert_int_equal(cwt_verify(&read, bytes_view(&token), &other, NULL), -COFRE_NEGATIVE);
        assert_int_equal(read.submods, 0);
    }
}

static void the_header_names_algorithm_key_and_type(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0};
    CLEAN_BYTES token = {0};
    CLEAN_COSE_SIGN1 m = {0};
    uint8_t kid[COSE_THUMBPRINT_SIZE];
    made_ear(&ear, "snp");
    assert_int_equal(cwt_sign(&token, &ear, p384, NULL), 0);
    assert_int_equal(cose_sign1_parse(&m, bytes_view(&token), NULL, NULL), 0);
    assert_int_equal(cose_key_thumbprint(kid, p384, NULL), 0);
    assert_int_equal(m.alg->id, -35);
    assert_true(view_equal(cose_sign1_kid(&m), (struct view){kid, sizeof kid}));
    assert_true(cose_is_text(cose_sign1_header(&m, COSE_HEADER_TYP), "application/eat+cwt"));
}

static int sign_claims(struct bytes *out, struct view claims, EVP_PKEY *key)
{
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES header = {0};
    cose_begin(&w);
    cose_put_int(&w, COSE_HEADER_ALG);
    cose_put_int(&w, cose_alg_of_key(key)->id);
    cose_end_map(&w);
    assert_int_equal(cose_take(&header, &w, NULL), 0);
    struct cose_to_sign in = {.protected = bytes_view(&header), .payload = claims};
    return cose_sign1_sign(out, &in, key, NULL);
}

static void without_a_kid_every_key_is_tried(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0}, read = {0};
    CLEAN_BYTES claims = {0}, token = {0};
    CLEAN_COSE_KEYS published = {0};
    made_ear(&ear, "snp");
    assert_int_equal(ear_cbor(&claims, &ear, NULL), 0);
    assert_int_equal(sign_claims(&token, bytes_view(&claims), p384), 0);
    publish(&published, p384);
    assert_int_equal(cwt_verify(&read, bytes_view(&token), &published, NULL), 0);
}

static void a_changed_byte_is_noticed(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0};
    CLEAN_BYTES token = {0};
    CLEAN_COSE_KEYS published = {0};
    made_ear(&ear, "snp");
    publish(&published, p256);
    assert_int_equal(cwt_sign(&token, &ear, p256, NULL), 0);
    for (size_t i = 0; i < token.len; i++) {
        CLEAN_EAR read = {0};
        token.data[i] ^= 0x01;
        if (cwt_verify(&read, bytes_view(&token), &published, NULL) == 0)
            fail_msg("byte %zu", i);
        token.data[i] ^= 0x01;
    }
}

static void a_token_with_its_claims_elsewhere_or_too_long_is_refused(void **state)
{
    (void)state;
    static const uint8_t detached[] = {0xd2, 0x84, 0x43, 0xa1, 0x01, 0x26, 0xa0, 0xf6, 0x58, 0x40};
    CLEAN_BYTES token = {0}, huge = {0};
    CLEAN_EAR read = {0};
    struct cofre_err err;
    assert_int_equal(bytes_alloc(&token, sizeof detached + 64, NULL), 0);
    memcpy(token.data, detached, sizeof detached);
    assert_int_equal(cwt_parse(&read, bytes_view(&token), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "no claims in it"));
    assert_int_equal(bytes_alloc(&huge, EAR_TOKEN_MAX + 1, NULL), 0);
    assert_int_equal(cwt_parse(&read, bytes_view(&huge), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "none is longer"));
}

/* Claims by key, each left out or of another kind in turn. */
enum change { LEFT_OUT, AN_ARRAY, A_NUMBER };

static void copy_changed(struct cose_writer *w, const struct cose_item *map, const int64_t *path,
                         enum change change)
{
    cose_begin(w);
    const struct cose_item *key = cose_first(map);
    for (uint64_t i = 0; i < map->number; i++, key = cose_behind(key + 1)) {
        int64_t number = 0;
        bool here = *path == 0 ? key->kind == COSE_TEXT : cose_int(&number, key) && number == *path;
        if (!here) {
            cose_put_encoded(w, key->whole);
            cose_put_encoded(w, key[1].whole);
        } else if (path[1] != -1) {
            cose_put_encoded(w, key->whole);
            copy_changed(w, key + 1, path + 1, change);
        } else if (change != LEFT_OUT) {
            cose_put_encoded(w, key->whole);
            cose_put_encoded(w, (struct view){(const uint8_t *)(change == AN_ARRAY ? "\x80" : "\x19\x03\xe7"),
                                              change == AN_ARRAY ? 1 : 3});
        }
    }
    cose_end_map(w);
}

static void a_claim_that_is_not_what_it_should_be_is_named(void **state)
{
    (void)state;
    static const struct {
        int64_t path[5]; /* 0: whatever text; ended by -1 */
        bool required, may_be_number;
        const char *named;
    } claims[] = {
        {{1, -1}, false, false, "iss (1)"},
        {{4, -1}, true, true, "exp (4)"},
        {{6, -1}, true, true, "iat (6)"},
        {{7, -1}, false, false, "jti (7)"},
        {{10, -1}, false, false, "eat_nonce (10)"},
        {{265, -1}, true, false, "eat_profile (265)"},
        {{266, -1}, true, false, "submods (266)"},
        {{1000, -1}, false, false, "ear_status (1000)"},
        {{1004, -1}, true, false, "ear_verifier_id (1004)"},
        {{1004, 1, -1}, true, false, "build (1)"},
        {{266, 0, -1}, true, false, "submod"},
        {{266, 0, 10, -1}, false, false, "eat_nonce (10)"},
        {{266, 0, 1000, -1}, true, false, "ear_status (1000)"},
        {{266, 0, 1001, -1}, false, false, "ear_trustworthiness_vector (1001)"},
        {{266, 0, 1001, 4, -1}, false, false, "hardware"},
        {{266, 0, 1003, -1}, false, false, "ear_appraisal_policy_ids (1003)"},
        {{266, 0, 1005, -1}, false, false, "ear_attester_claims (1005)"},
        {{266, 0, 1005, -65539, -1}, false, false, "cofre_measurement (-65539)"},
        {{266, 0, 1006, -1}, false, false, "ear_verifier_claims (1006)"},
        {{266, 0, 1006, -65557, -1}, false, false, "cofre_emulated (-65557)"},
        {{266, 0, 1006, -65559, -1}, false, false, "cofre_evidence_digest (-65559)"},
        {{266, 0, 1006, -65562, -1}, false, true, "cofre_policy_version (-65562)"},
    };
    CLEAN_EAR ear = {0};
    CLEAN_BYTES whole = {0};
    CLEAN_COSE_DOC doc = {0};
    made_ear(&ear, "snp");
    assert_int_equal(ear_cbor(&whole, &ear, NULL), 0);
    assert_int_equal(cose_read(&doc, bytes_view(&whole), NULL), 0);
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        for (enum change change = LEFT_OUT; change <= A_NUMBER; change++) {
            CLEAN_COSE_WRITER w = {0};
            CLEAN_BYTES changed = {0};
            CLEAN_EAR read = {0};
            struct cofre_err err = {""};
            bool good =
                change == LEFT_OUT ? !claims[i].required : change == A_NUMBER && claims[i].may_be_number;
            copy_changed(&w, doc.item, claims[i].path, change);
            assert_int_equal(cose_take(&changed, &w, NULL), 0);
            assert_false(view_equal(bytes_view(&changed), bytes_view(&whole)));
            if (ear_from_cbor(&read, bytes_view(&changed), &err) != (good ? 0 : -COFRE_MALFORMED))
                fail_msg("%s, change %d: %s", claims[i].named, change, err.text);
            if (!good && !strstr(err.text, change == AN_ARRAY && strcmp(claims[i].named, "hardware") == 0
                                               ? "vector of numbers"
                                               : claims[i].named))
                fail_msg("%s, change %d: \"%s\"", claims[i].named, change, err.text);
        }
}

static void a_status_better_than_its_vector_is_refused(void **state)
{
    (void)state;
    for (int m = 0; m < EAR_MEMBERS; m++) {
        CLEAN_EAR ear = {0}, read = {0};
        CLEAN_BYTES claims = {0};
        struct cofre_err err;
        made_ear(&ear, "snp");
        ear.submod[0].vector = (struct ear_vector){.has = {[1] = true}, .value = {[1] = 2}};
        ear.submod[0].status = EAR_AFFIRMING;
        ear.submod[0].vector.has[m] = true;
        ear.submod[0].vector.value[m] = 33;
        assert_int_equal(ear_cbor(&claims, &ear, NULL), 0);
        assert_int_equal(ear_from_cbor(&read, bytes_view(&claims), &err), -COFRE_MALFORMED);
        assert_non_null(strstr(err.text, "better than its"));
        bytes_free(&claims);
        ear.submod[0].status = EAR_CONTRAINDICATED; /* worse is the issuer's right */
        ear.status = EAR_CONTRAINDICATED;
        assert_int_equal(ear_cbor(&claims, &ear, NULL), 0);
        assert_int_equal(ear_from_cbor(&read, bytes_view(&claims), NULL), 0);
    }
}

static void unknown_claims_are_passed_over(void **state)
{
    (void)state;
    CLEAN_EAR ear = {0}, read = {0};
    CLEAN_BYTES whole = {0}, more = {0};
    CLEAN_COSE_DOC doc = {0};
    CLEAN_COSE_WRITER w = {0};
    made_ear(&ear, "snp");
    assert_int_equal(ear_cbor(&whole, &ear, NULL), 0);
    assert_int_equal(cose_read(&doc, bytes_view(&whole), NULL), 0);
    cose_begin(&w);
    cose_put_encoded(
        &w, (struct view){doc.item[1].whole.data, (size_t)(whole.data + whole.len - doc.item[1].whole.data)});
    cose_put_int(&w, -70000);
    cose_begin(&w);
    cose_put_text(&w, "anything");
    cose_end_array(&w);
    cose_end_map(&w);
    assert_int_equal(cose_take(&more, &w, NULL), 0);
    assert_int_equal(ear_from_cbor(&read, bytes_view(&more), NULL), 0);
    assert_same(&ear, &read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_signed_is_read_back),
        cmocka_unit_test(the_header_names_algorithm_key_and_type),
        cmocka_unit_test(without_a_kid_every_key_is_tried),
        cmocka_unit_test(a_changed_byte_is_noticed),
        cmocka_unit_test(a_token_with_its_claims_elsewhere_or_too_long_is_refused),
        cmocka_unit_test(a_claim_that_is_not_what_it_should_be_is_named),
        cmocka_unit_test(a_status_better_than_its_vector_is_refused),
        cmocka_unit_test(unknown_claims_are_passed_over),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
