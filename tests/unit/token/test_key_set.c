#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "attest/token/token.h"
#include "tests/unit/token/made_verdict.h"

static EVP_PKEY *fresh(const char *alg)
{
    EVP_PKEY *key = NULL;
    assert_int_equal(key_generate(&key, alg, NULL), 0);
    return key;
}

static void make_set(struct key_set *set)
{
    assert_int_equal(key_set_add(set, fresh("ES384"), KEY_CURRENT, 0, NULL), 0);
    assert_int_equal(key_set_add(set, fresh("ES256"), KEY_NEXT, 0, NULL), 0);
}

static void fetch(struct cose_keys *out, const struct key_set *set, bool jwks, int64_t at)
{
    CLEAN_BYTES file = {0};
    assert_int_equal((jwks ? key_set_jwks : key_set_cose)(&file, set, at, NULL), 0);
    assert_int_equal(jwks ? keys_recognise_jwks(bytes_view(&file)) : keys_recognise_cose(bytes_view(&file)),
                     true);
    assert_int_equal(jwks ? keys_recognise_cose(bytes_view(&file)) : keys_recognise_jwks(bytes_view(&file)),
                     false);
    assert_int_equal(keys_read(out, bytes_view(&file), NULL), 0);
}

static void a_thumbprint_is_rfc_7638_s_kind(void **state)
{
    (void)state;
    /* the P-256 key of RFC 7517, A.1; its thumbprint was made with the npm package jose */
    static const char jwk[] =
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"use\":\"sig\",\"kid\":\"1\"}";
    CLEAN_COSE_KEYS keys = {0};
    char text[JWK_THUMBPRINT_TEXT];
    assert_int_equal(keys_read(&keys, (struct view){(const uint8_t *)jwk, sizeof jwk - 1}, NULL), 0);
    assert_int_equal(jwk_thumbprint(text, keys.key[0].key, NULL), 0);
    assert_string_equal(text, "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    assert_true(key_is_named(&keys.key[0], (struct view){(const uint8_t *)"1", 1}));
    assert_false(key_is_named(&keys.key[0], (struct view){(const uint8_t *)"2", 1}));
    assert_false(key_is_named(&keys.key[0], (struct view){0}));
}

/* Tokens under way survive: whoever fetched either set before a rotation, or fetches it after, verifies both. */
static void a_rotation_breaks_no_token(void **state)
{
    (void)state;
    CLEAN_KEY_SET set = {0};
    CLEAN_EAR ear = {0};
    make_set(&set);
    made_ear(&ear, "snp");
    for (int jwks = 0; jwks < 2; jwks++) {
        CLEAN_COSE_KEYS before = {0}, after = {0};
        CLEAN_BYTES old_cwt = {0}, old_jwt = {0}, new_cwt = {0}, new_jwt = {0};
        fetch(&before, &set, jwks, MADE_AT);
        assert_int_equal(cwt_sign(&old_cwt, &ear, key_set_current(&set), NULL), 0);
        assert_int_equal(jwt_sign(&old_jwt, &ear, key_set_current(&set), NULL), 0);
        assert_int_equal(key_set_rotate(&set, fresh("ES384"), MADE_AT, MADE_LIFETIME, NULL), 0);
        assert_int_equal(cwt_sign(&new_cwt, &ear, key_set_current(&set), NULL), 0);
        assert_int_equal(jwt_sign(&new_jwt, &ear, key_set_current(&set), NULL), 0);
        fetch(&after, &set, jwks, MADE_AT + MADE_LIFETIME - 1);
        const struct cose_keys *sets[] = {&before, &after};
        const struct bytes *tokens[] = {&old_cwt, &old_jwt, &new_cwt, &new_jwt};
        for (int s = 0; s < 2; s++)
            for (int t = 0; t < 4; t++) {
                CLEAN_EAR read = {0};
                assert_int_equal(token_verify(&read, bytes_view(tokens[t]), sets[s], NULL), 0);
            }
        cose_keys_free(&after);
        fetch(&after, &set, jwks, MADE_AT + MADE_LIFETIME); /* the last token of the old key has expired */
        CLEAN_EAR read = {0};
        struct cofre_err err;
        assert_int_equal(token_verify(&read, bytes_view(&old_cwt), &after, &err), -COFRE_NEGATIVE);
        assert_non_null(strstr(err.text, "none of the keys"));
        assert_int_equal(token_verify(&read, bytes_view(&new_jwt), &after, NULL), 0);
        ear_free(&read);
    }
}

static void old_keys_go_and_states_hold(void **state)
{
    (void)state;
    CLEAN_KEY_SET set = {0};
    make_set(&set);
    for (int i = 0; i < 40; i++) {
        EVP_PKEY *was_next = set.key[set.count - 1].key;
        assert_int_equal(key_set_rotate(&set, fresh("ES256"), MADE_AT + 100 * i, 250, NULL), 0);
        assert_ptr_equal(key_set_current(&set), was_next);
        assert_true(set.count <= 5); /* next, current, and three whose tokens are under way */
    }
}

static void what_is_no_key_of_a_set_is_refused(void **state)
{
    (void)state;
    CLEAN_KEY_SET set = {0}, lone = {0};
    struct cofre_err err;
    EVP_PKEY *key = NULL, *same;
    make_set(&set);
    assert_int_equal(key_generate(&key, "RS256", &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "RS256"));
    assert_int_equal(key_set_add(&set, EVP_EC_gen("P-521"), KEY_RETIRED, 1, &err), -COFRE_USAGE);
    assert_int_equal(key_set_add(&set, fresh("ES256"), KEY_CURRENT, 0, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "a current key already"));
    same = key_set_current(&set);
    EVP_PKEY_up_ref(same);
    assert_int_equal(key_set_add(&set, same, KEY_RETIRED, 1, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "there already"));
    assert_int_equal(key_set_add(&lone, fresh("ES256"), KEY_CURRENT, 0, NULL), 0);
    assert_int_equal(key_set_rotate(&lone, fresh("ES256"), 0, 1, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "no next key"));
    assert_int_equal(lone.count, 1);
    for (int i = 2; i < KEY_SET_MAX; i++)
        assert_int_equal(key_set_add(&set, fresh("ES256"), KEY_RETIRED, INT64_MAX, NULL), 0);
    assert_int_equal(key_set_add(&set, fresh("ES256"), KEY_RETIRED, 1, &err), -COFRE_USAGE);
    assert_int_equal(key_set_rotate(&set, fresh("ES256"), 0, 1, &err), -COFRE_USAGE);
    assert_non_null(strstr(err.text, "16 keys already"));
}

#define X  "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\""
#define Y  "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\""
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\","
static void what_is_no_json_key_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{}", "key 0: it is no JWK"},
        {"{\"keys\":[]}", "no key to verify"},
        {"{\"keys\":[1]}", "key 0: it is no JWK"},
        {"{\"keys\":{}}", "no key to verify"},
        {"{" EC X "," Y ",\"d\":\"AA\"}", "private or secret"},
        {"{\"kty\":\"oct\",\"k\":\"AA\"}", "private or secret"},
        {"{" EC X ",\"y\":1}", "32 bytes"},
        {"{" EC X ",\"y\":\"AA\"}", "32 bytes"},
        {"{" EC X ",\"y\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\"}", "not a point"},
        {"{" EC X "," Y ",\"kid\":1}", "kid"},
        {"{" EC X "," Y ",\"use\":\"enc\"}", "no key to verify"},
        {"{" EC X "," Y ",\"key_ops\":[\"sign\"]}", "no key to verify"},
        {"{" EC X "," Y ",\"alg\":\"ES384\"}", "no key to verify"},
        {"{" EC X "," Y ",\"alg\":\"none\"}", "no key to verify"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\"," X "," Y "}", "no key to verify"},
        {"{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AQAB\"}", "no key to verify"},
        {"{\"keys\":[], \"keys\":[]}", "duplicate"},
        {" ", "no COSE_Key"}, /* -1 */
        {"", "no CBOR"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_COSE_KEYS keys = {0};
        struct cofre_err err = {""};
        if (keys_read(&keys, (struct view){(const uint8_t *)cases[i].text, strlen(cases[i].text)}, &err) !=
            -COFRE_MALFORMED)
            fail_msg("%s was read", cases[i].text);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%s: \"%s\"", cases[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thumbprint_is_rfc_7638_s_kind),
        cmocka_unit_test(a_rotation_breaks_no_token),
        cmocka_unit_test(old_keys_go_and_states_hold),
        cmocka_unit_test(what_is_no_key_of_a_set_is_refused),
        cmocka_unit_test(what_is_no_json_key_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
