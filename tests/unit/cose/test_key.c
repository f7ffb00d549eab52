#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/cose/key.h"
#include "tests/unit/cose/hex.h"
#include "vmm/base/clean_openssl.h"

/* The key of RFC 9679, section 6. */
#define RFC9679_X "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"
#define RFC9679_Y "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c"

static EVP_PKEY *p256, *p384, *p521;

static int make_keys(void **state)
{
    (void)state;
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    p521 = EVP_EC_gen("P-521");
    return p256 && p384 && p521 ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
    return 0;
}

static void a_thumbprint_is_rfc_9679_s(void **state)
{
    (void)state;
    CLEAN_COSE_KEYS keys = {0};
    uint8_t thumbprint[COSE_THUMBPRINT_SIZE];
    CLEAN_BYTES file = from_hex("a401022001"
                                "215820" RFC9679_X "225820" RFC9679_Y);
    assert_int_equal(cose_keys_parse(&keys, bytes_view(&file), NULL), 0);
    assert_int_equal(keys.count, 1);
    assert_string_equal(keys.key[0].alg->name, "ES256");
    assert_int_equal(keys.key[0].kid_len, 0);
    assert_int_equal(cose_key_thumbprint(thumbprint, keys.key[0].key, NULL), 0);
    assert_hex((struct view){thumbprint, sizeof thumbprint},
               "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec");
    assert_int_equal(cose_key_thumbprint(thumbprint, p521, NULL), -COFRE_MALFORMED);
}

static void a_set_is_read_back(void **state)
{
    (void)state;
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES file = {0};
    CLEAN_COSE_KEYS keys = {0};
    const struct view one = {(const uint8_t *)"one", 3}, two = {(const uint8_t *)"two", 3};
    cose_begin(&w);
    cose_put_key(&w, p256, one);
    cose_put_key(&w, p384, two);
    cose_end_array(&w);
    assert_int_equal(cose_take(&file, &w, NULL), 0);
    assert_int_equal(cose_keys_parse(&keys, bytes_view(&file), NULL), 0);
    assert_int_equal(keys.count, 2);
    assert_int_equal(EVP_PKEY_eq(cose_keys_find(&keys, one)->key, p256), 1);
    assert_int_equal(EVP_PKEY_eq(cose_keys_find(&keys, two)->key, p384), 1);
    assert_int_equal(cose_keys_find(&keys, two)->alg->id, -35);
    assert_null(cose_keys_find(&keys, (struct view){(const uint8_t *)"on", 2}));
    assert_null(cose_keys_find(&keys, (struct view){0}));
}

static void no_private_part_is_written(void **state)
{
    (void)state;
    CLEAN_COSE_WRITER w = {0}, other = {0};
    CLEAN_BYTES file = {0}, none = {0};
    CLEAN_COSE_DOC doc = {0};
    cose_put_key(&w, p384, (struct view){0});
    assert_int_equal(cose_take(&file, &w, NULL), 0);
    assert_int_equal(cose_read(&doc, bytes_view(&file), NULL), 0);
    assert_null(cose_at(doc.item, -4));
    assert_null(cose_at(doc.item, 2));
    cose_put_key(&other, p521, (struct view){0});
    assert_int_equal(cose_take(&none, &other, NULL), -COFRE_FAILED);
}

#define XY "215820" RFC9679_X "225820" RFC9679_Y
static void what_is_no_key_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *why;
    } cases[] = {
        {"80", "no key to verify"},
        {"a0", "key type"},
        {"81"
         "01",
         "key type"},
        {"a1016145", "key type"},
        {"a5"
         "01022001" XY "235820" RFC9679_X,
         "private key"},
        {"81a5"
         "01022001" XY "235820" RFC9679_X,
         "key 0: it holds a private key"},
        {"a5"
         "01022001033822" XY,
         "curve is not that of ES384"},
        {"a4"
         "01022002" XY,
         "48 bytes"},
        {"a4"
         "01022001"
         "21"
         "581f"
         "eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"
         "225820" RFC9679_Y,
         "32 bytes"},
        {"a4"
         "01022001"
         "215820" RFC9679_X "22f5",
         "32 bytes"}, /* compressed */
        {"a3"
         "01022001"
         "215820" RFC9679_X,
         "32 bytes"},
        {"a4"
         "01022001"
         "215820" RFC9679_X "225820" RFC9679_X,
         "not a point"},
        {"a5"
         "01022001"
         "026161" XY,
         "kid"},
        {"a4"
         "01012006" XY,
         "no key to verify"}, /* OKP */
        {"a5"
         "0102200103383a" XY,
         "no key to verify"}, /* another algorithm */
        {"a5"
         "010220010481"
         "01" XY,
         "no key to verify"}, /* for signing only */
        {"a5"
         "0102200104"
         "02" XY,
         "no key to verify"},
        {"a501022001" XY "0101", "key twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BYTES file = from_hex(cases[i].hex);
        CLEAN_COSE_KEYS keys = {0};
        struct cofre_err err = {""};
        if (cose_keys_parse(&keys, bytes_view(&file), &err) != -COFRE_MALFORMED)
            fail_msg("%s was read", cases[i].hex);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%s: \"%s\" is not \"%s\"", cases[i].hex, err.text, cases[i].why);
        assert_int_equal(keys.count, 0);
    }
}

static void keys_for_others_are_passed_over(void **state)
{
    (void)state;
    /* a symmetric key, one for ES512, and one of ours for ESP256 that may verify and more */
    CLEAN_BYTES file = from_hex("83"
                                "a2010420"
                                "4101"
                                "a301022003033823"
                                "a6010220010328"
                                "0482"
                                "0102" XY);
    CLEAN_COSE_KEYS keys = {0};
    assert_int_equal(cose_keys_parse(&keys, bytes_view(&file), NULL), 0);
    assert_int_equal(keys.count, 1);
    assert_string_equal(keys.key[0].alg->name, "ESP256");
}

static void too_many_keys_are_refused(void **state)
{
    (void)state;
    CLEAN_COSE_WRITER w = {0};
    CLEAN_BYTES file = {0};
    CLEAN_COSE_KEYS keys = {0};
    struct cofre_err err;
    cose_begin(&w);
    for (int i = 0; i < COSE_KEYS_MAX; i++)
        cose_put_key(&w, p256, (struct view){0});
    cose_end_array(&w);
    assert_int_equal(cose_take(&file, &w, NULL), 0);
    assert_int_equal(cose_keys_parse(&keys, bytes_view(&file), NULL), 0);
    assert_int_equal(cose_keys_parse(&keys, bytes_view(&file), &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "more than 64 keys"));
    assert_int_equal(keys.count, COSE_KEYS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thumbprint_is_rfc_9679_s),      cmocka_unit_test(a_set_is_read_back),
        cmocka_unit_test(no_private_part_is_written),      cmocka_unit_test(what_is_no_key_is_named),
        cmocka_unit_test(keys_for_others_are_passed_over), cmocka_unit_test(too_many_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
