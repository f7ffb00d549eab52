#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/cose/sign1.h"
#include "tests/unit/cose/hex.h"
#include "vmm/base/clean_openssl.h"

/* The key "11" of RFC 9052's and the working group's examples (github.com/cose-wg/Examples). */
#define KEY_11                                                                                               \
    "a401022001215820bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"                       \
    "22582020138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
/* Their key "P384". */
#define KEY_P384                                                                                             \
    "a4010220022158309132723f6292b010619dbe248d698c17b58756c639e7150f81bee4eb8ac37236ad0a1a19d67be32a66263e" \
    "1e524d129c"                                                                                             \
    "22583098cd3078c554d832ac603c4326410ff61662459b41f1f3df5dbcc83598ff7c5ed8411ca735679d1c4cb3009397d9ef2c"
#define CONTENT "546869732069732074686520636f6e74656e742e" /* "This is the content." */

static EVP_PKEY *p256, *p384;

static int make_keys(void **state)
{
    (void)state;
    p256 = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    return p256 && p384 ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    return 0;
}

/* Verifies a message in hexadecimal by a COSE_Key; the code of whatever fails first. */
static int verify(const char *message, const char *key, const char *payload, const char *external,
                  struct cofre_err *err)
{
    CLEAN_BYTES bytes = from_hex(message), key_file = from_hex(key), aad = from_hex(external),
                detached = from_hex(payload ? payload : "");
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_COSE_SIGN1 m = {0};
    assert_int_equal(cose_keys_parse(&keys, bytes_view(&key_file), err), 0);
    int rc = cose_sign1_parse(&m, bytes_view(&bytes), NULL, err);
    return rc < 0 ? rc
                  : cose_sign1_verify(&m, keys.key[0].key, payload ? bytes_view(&detached) : (struct view){0},
                                      bytes_view(&aad), err);
}

#define SIG_C21                                                                                              \
    "58408eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444" \
    "547e01f11d3b0916e5a4c345cacb36"
#define SIG_PASS_02                                                                                          \
    "5840eae868ecc176883766c5dc5ba5b8dca25dab3c2e56a551ce5705b793914348e155388b10c4f1b59a6733eab416870a9451" \
    "11a4b2fbdbef33a77234b1deff2f9b"
#define SIG_FAIL                                                                                             \
    "5840eae868ecc176883766c5dc5ba5b8dca25dab3c2e56a551ce5705b793914348e19f43d6c6ba654472da301b645b293c9ba9" \
    "39295b97c4bdb847782bff384c5794"

static void the_examples_of_the_rfc_and_the_working_group_are_judged_rightly(void **state)
{
    (void)state;
    static const struct {
        const char *title, *message, *external;
        int rc;
    } cases[] = {
        {"RFC 9052 C.2.1",
         "d28443a10126a1044231"
         "3154" CONTENT SIG_C21,
         "", 0},
        {"sign-pass-02",
         "d28443a10126a1044231"
         "3154" CONTENT SIG_PASS_02,
         "11aa22bb33cc44dd55006699", 0},
        {"sign-pass-02 without its external data",
         "d28443a10126a1044231"
         "3154" CONTENT SIG_PASS_02,
         "", -COFRE_NEGATIVE},
        {"sign-fail-02",
         "d28443a10126a1044231"
         "3154"
         "546869732069732074686520636f6e74656e742f" SIG_FAIL,
         "", -COFRE_NEGATIVE},
        {"its original",
         "d28443a10126a1044231"
         "3154" CONTENT SIG_FAIL,
         "", 0},
        {"sign-fail-06",
         "d28445a201260300a1044231"
         "3154" CONTENT SIG_FAIL,
         "", -COFRE_NEGATIVE},
        {"CWT A.3, by another key",
         "d28447a20319fde80126a05853a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f6"
         "1703a2f"
         "2f6c696768742e6578616d706c652e636f6d04c11a5612aeb005c11a5610d9f006c11a5610d9f007420b7158408caad9ebd"
         "60e5f41"
         "cd683771e8a02cade07d894dd1cfaf3a23c6481546e78febc0c13e8f649096f347480db3e8c16cddc04116a3874cf0a4da2"
         "f4cb2d6"
         "7c8eb0",
         "", -COFRE_NEGATIVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        if (verify(cases[i].message, KEY_11, NULL, cases[i].external, &err) != cases[i].rc)
            fail_msg("%s: %s", cases[i].title, err.text);
    }
}

static void the_example_of_a_signed_cwt_verifies(void **state)
{
    (void)state;
    assert_int_equal(verify("d28447a20319fde80126a05853a70175636f61703a2f2f61732e6578616d706c652e636f6d026565"
                            "72696b77037818636f6170"
                            "3a2f2f6c696768742e6578616d706c652e636f6d04c11a5612aeb005c11a5610d9f006c11a5610d9"
                            "f007420b7158408caad9eb"
                            "d60e5f41cd683771e8a02cade07d894dd1cfaf3a23c6481546e78febc0c13e8f649096f347480db3"
                            "e8c16cddc04116a3874cf0"
                            "a4da2f4cb2d67c8eb0",
                            "a401022001215820c4f9160fc22682991c59c4d96e8accc2da3cc7b7a9bc197c7c1e1bc6d0c1dc61"
                            "225820feb11ca73b028a10cf77d58a2dfdf2a11eab8ffeeeaaeeb03097ffee9f3ef2fc",
                            NULL, "", NULL),
                     0);
}

static void p_384_s_example_verifies(void **state)
{
    (void)state;
    assert_int_equal(
        verify("d28444a1013822a1044450333834"
               "54" CONTENT "5860b8f85eff78c88f5351ced2f1887b79b296490795594b62e41e22529bb90208b7d8cddd4a46d0"
               "e9c986464d83d0a5d1edf39b"
               "3e2c5750364230d0e8d76460d8808e76c83830fbbd1978cc174066eb437f17887979ecf027dcc9d51baf6c4fd8c0",
               KEY_P384, NULL, "", NULL),
        0);
}

/* The map {1: alg}. */
static struct bytes header_of(int64_t alg)
{
    CLEAN_COSE_WRITER w = {0};
    struct bytes out;
    cose_begin(&w);
    cose_put_int(&w, COSE_HEADER_ALG);
    cose_put_int(&w, alg);
    cose_end_map(&w);
    assert_int_equal(cose_take(&out, &w, NULL), 0);
    return out;
}

static void what_is_signed_verifies_for_each_algorithm(void **state)
{
    (void)state;
    const struct {
        int64_t alg;
        EVP_PKEY *key, *other;
    } cases[] = {{-7, p256, p384}, {-9, p256, p384}, {-35, p384, p256}, {-51, p384, p256}};
    const struct view payload = {(const uint8_t *)"payload", 7}, aad = {(const uint8_t *)"aad", 3},
                      none = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int detach = 0; detach < 2; detach++) {
            CLEAN_BYTES header = header_of(cases[i].alg), out = {0};
            CLEAN_COSE_SIGN1 m = {0};
            struct cose_to_sign in = {
                .protected = bytes_view(&header), .payload = payload, .external_aad = aad, .detach = detach};
            assert_int_equal(cose_sign1_sign(&out, &in, cases[i].key, NULL), 0);
            assert_int_equal(cose_sign1_parse(&m, bytes_view(&out), NULL, NULL), 0);
            assert_int_equal(m.alg->id, cases[i].alg);
            assert_int_equal(m.detached, detach);
            struct view given = detach ? payload : none, wrong = {(const uint8_t *)"payloae", 7};
            assert_int_equal(cose_sign1_verify(&m, cases[i].key, given, aad, NULL), 0);
            assert_int_equal(cose_sign1_verify(&m, cases[i].key, given, none, NULL), -COFRE_NEGATIVE);
            assert_int_equal(cose_sign1_verify(&m, cases[i].key, detach ? none : payload, aad, NULL),
                             -COFRE_NEGATIVE);
            assert_int_equal(cose_sign1_verify(&m, cases[i].key, wrong, aad, NULL), -COFRE_NEGATIVE);
            assert_int_equal(cose_sign1_verify(&m, cases[i].other, given, aad, NULL), -COFRE_NEGATIVE);
            assert_int_equal(cose_sign1_sign(&out, &in, cases[i].other, NULL), -COFRE_MALFORMED);
        }
}

static void a_changed_byte_is_noticed_wherever_it_is(void **state)
{
    (void)state;
    CLEAN_BYTES header = header_of(-35), out = {0};
    struct cose_to_sign in = {.protected = bytes_view(&header), .payload = {(const uint8_t *)"payload", 7}};
    assert_int_equal(cose_sign1_sign(&out, &in, p384, NULL), 0);
    for (size_t i = 0; i < out.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            CLEAN_COSE_SIGN1 m = {0};
            out.data[i] ^= (uint8_t)(1 << bit);
            if (cose_sign1_parse(&m, bytes_view(&out), NULL, NULL) == 0 &&
                cose_sign1_verify(&m, p384, (struct view){0}, (struct view){0}, NULL) == 0)
                fail_msg("bit %d of byte %zu", bit, i);
            out.data[i] ^= (uint8_t)(1 << bit);
        }
}

#define ZEROS64                                                                                              \
    "58400000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"  \
    "0000000000000000000000000000000"
static void what_is_no_message_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *why;
    } cases[] = {
        {"80", "no COSE_Sign1"},
        {"8443a10126a040" ZEROS64, "no COSE_Sign1"},   /* without its tag */
        {"d18443a10126a040" ZEROS64, "no COSE_Sign1"}, /* a MAC's tag */
        {"d28343a10126a040", "no COSE_Sign1"},
        {"d28543a10126a040" ZEROS64 "00", "no COSE_Sign1"},
        {"d2a0", "no COSE_Sign1"},
        {"d284a10126a040" ZEROS64, "another type"}, /* the protected header not in a byte string */
        {"d28443a101268040" ZEROS64, "another type"},
        {"d28443a10126a060" ZEROS64, "another type"},
        {"d28443a10126a04060", "another type"},
        {"d28440a040" ZEROS64, "no algorithm"},
        {"d28441a0a1012640" ZEROS64, "no algorithm"}, /* sign-pass-01: only unprotected */
        {"d2844101a040" ZEROS64, "the protected header: it is no map"},
        {"d28444a1012600a040" ZEROS64, "the protected header: bytes follow"},
        {"d28445a201260126a040" ZEROS64, "the protected header: a map has a key twice"},
        {"d28443a10126a1012640" ZEROS64, "both protected and not"},
        {"d28444a1013823a040" ZEROS64, "neither ES256"}, /* ES512 */
        {"d28443a10105a040" ZEROS64, "neither ES256"},   /* HMAC */
        {"d28448a101654553323536a040" ZEROS64, "neither ES256"},
        {"d28443a10126a040"
         "40",
         "the signature has 0 bytes"},
        {"d28444a1013822a040" ZEROS64, "ES384's have 96"},
        {"d28443a10126a102810140" ZEROS64, "\"crit\" is not in the protected header"},
        {"d28446a20126028001a040" ZEROS64, "bytes follow"},
        {"d28445a201260280a040" ZEROS64, "no list"},
        {"d28445a201260201a040" ZEROS64, "no list"},
        {"d28446a201260281"
         "03a040" ZEROS64,
         "not in the protected header"},
        {"d28446a201260281"
         "04a104413140" ZEROS64,
         "not in the protected header"},
        {"d28448a3012602810a0a00a040" ZEROS64, "not understood"},
        {"d28447a20126028161"
         "78a040" ZEROS64,
         "not understood"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cofre_err err = {""};
        if (verify(cases[i].hex, KEY_11, NULL, "", &err) != -COFRE_MALFORMED)
            fail_msg("%zu: %s was read (%s)", i, cases[i].hex, err.text);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%zu: %s: \"%s\" is not \"%s\"", i, cases[i].hex, err.text, cases[i].why);
    }
}

static void a_critical_header_that_the_caller_understands_is_taken(void **state)
{
    (void)state;
    static const int64_t understood[] = {10, 0}, other[] = {11, 0};
    CLEAN_BYTES right = from_hex("d2844ba4012602820a030a000300a104413140" ZEROS64);
    CLEAN_COSE_SIGN1 m = {0};
    assert_int_equal(cose_sign1_parse(&m, bytes_view(&right), other, NULL), -COFRE_MALFORMED);
    assert_int_equal(cose_sign1_parse(&m, bytes_view(&right), understood, NULL), 0);
    assert_hex(cose_sign1_kid(&m), "31");
    assert_non_null(cose_sign1_header(&m, 10));
    assert_null(cose_sign1_header(&m, COSE_HEADER_KID)); /* it is not protected */
    assert_hex(m.protected, "a4012602820a030a000300");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_and_the_working_group_are_judged_rightly),
        cmocka_unit_test(the_example_of_a_signed_cwt_verifies),
        cmocka_unit_test(p_384_s_example_verifies),
        cmocka_unit_test(what_is_signed_verifies_for_each_algorithm),
        cmocka_unit_test(a_changed_byte_is_noticed_wherever_it_is),
        cmocka_unit_test(what_is_no_message_is_named),
        cmocka_unit_test(a_critical_header_that_the_caller_understands_is_taken),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
