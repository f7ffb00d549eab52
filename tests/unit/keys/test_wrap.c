/* Keys at rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "keys/gcm.h"
#include "keys/hkdf.h"
#include "keys/wrap.h"

static const uint8_t root[KEY_ROOT_SIZE] = {1, 2, 3}, terms[KEY_TERMS_SIZE] = {4};
static const struct key_place place = {"disk", 3, terms};
static const struct view value = {(const uint8_t *)"thirty-two bytes of a secret key", 32};

/* GCM's specification of 2005 (McGrew and Viega), appendix B: test cases 4 and 16. */
static void gcm_is_as_its_specification_has_it(void **state)
{
    static const struct {
        const char *key, *sealed;
    } cases[] = {
        {"feffe9928665731c6d6a8f9467308308", "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12"
                                             "e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d"
                                             "58e0915bc94fbc3221a5db94fae95ae7121a47"},
        {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f"
         "61e6393ba7a0abc"
         "c9f66276fc6ece0f4e1768cddf8853bb2d551b"},
    };
    uint8_t key[32], nonce[12], aad[20], text[60], wanted[76], sealed[76], opened[60];
    (void)state;
    assert_true(hex_decode(nonce, 12, "cafebabefacedbaddecaf888"));
    assert_true(hex_decode(aad, 20, "feedfacedeadbeeffeedfacedeadbeefabaddad2"));
    assert_true(hex_decode(text, 60,
                           "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532"
                           "fcf0e2449a6b525b16aedf5aa"
                           "0de657ba637b39"));
    for (size_t i = 0; i < 2; i++) {
        const struct gcm gcm = {{key, strlen(cases[i].key) / 2}, nonce, {aad, sizeof aad}};
        assert_true(hex_decode(key, gcm.key.len, cases[i].key));
        assert_true(hex_decode(wanted, sizeof wanted, cases[i].sealed));
        assert_int_equal(gcm_seal(sealed, &gcm, (struct view){text, sizeof text}, NULL), 0);
        assert_memory_equal(sealed, wanted, sizeof wanted);
        assert_int_equal(gcm_open(opened, &gcm, (struct view){sealed, sizeof sealed}, NULL), 0);
        assert_memory_equal(opened, text, sizeof text);
    }
}

/* RFC 5869, appendix A.1. */
static void hkdf_is_as_the_rfc_has_it(void **state)
{
    uint8_t secret[22], salt[13], info[10], prk[32], wanted[42], out[42];
    (void)state;
    assert_true(hex_decode(secret, 22, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"));
    assert_true(hex_decode(salt, 13, "000102030405060708090a0b0c"));
    assert_true(hex_decode(info, 10, "f0f1f2f3f4f5f6f7f8f9"));
    assert_true(hex_decode(
        wanted, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
    assert_int_equal(hkdf_extract(prk, (struct view){salt, 13}, (struct view){secret, 22}, NULL), 0);
    assert_int_equal(hkdf_expand(out, 42, prk, (struct view){info, 10}, NULL), 0);
    assert_memory_equal(out, wanted, 42);
}

static void what_was_wrapped_is_unwrapped_at_its_place_alone(void **state)
{
    uint8_t wrapped[32 + KEY_WRAP_OVERHEAD], out[32], other_terms[KEY_TERMS_SIZE] = {5},
                                                      other_root[32] = {1, 2};
    const struct view w = {wrapped, sizeof wrapped};
    struct cofre_err err;
    (void)state;
    assert_int_equal(key_wrap(wrapped, root, &place, value, NULL), 0);
    assert_int_equal(key_unwrap(out, root, &place, w, NULL), 0);
    assert_memory_equal(out, value.data, 32);
    const struct key_place others[] = {{"disc", 3, terms}, {"disk", 4, terms}, {"disk", 3, other_terms}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(key_unwrap(out, root, &others[i], w, &err), -COFRE_FAILED);
        assert_true(bytes_are_zero(out, sizeof out));
    }
    assert_int_equal(key_unwrap(out, other_root, &place, w, &err), -COFRE_FAILED);
    assert_int_equal(key_unwrap(out, root, &place, (struct view){wrapped, KEY_WRAP_OVERHEAD - 1}, &err),
                     -COFRE_FAILED);
    for (size_t i = 0; i < sizeof wrapped; i++) {
        wrapped[i] ^= 1;
        assert_int_equal(key_unwrap(out, root, &place, w, &err), -COFRE_FAILED);
        wrapped[i] ^= 1;
    }
}

static void it_is_never_wrapped_twice_alike(void **state)
{
    uint8_t one[32 + KEY_WRAP_OVERHEAD], other[32 + KEY_WRAP_OVERHEAD];
    (void)state;
    assert_int_equal(key_wrap(one, root, &place, value, NULL), 0);
    assert_int_equal(key_wrap(other, root, &place, value, NULL), 0);
    assert_memory_not_equal(one, other, GCM_NONCE_SIZE);
    assert_memory_not_equal(one + GCM_NONCE_SIZE, other + GCM_NONCE_SIZE, 32);
}

static void each_purpose_has_a_key_of_its_own(void **state)
{
    uint8_t one[32], other[32];
    (void)state;
    assert_int_equal(key_derive(one, root, "one", NULL), 0);
    assert_int_equal(key_derive(other, root, "other", NULL), 0);
    assert_memory_not_equal(one, other, 32);
    assert_memory_not_equal(one, root, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcm_is_as_its_specification_has_it),
        cmocka_unit_test(hkdf_is_as_the_rfc_has_it),
        cmocka_unit_test(what_was_wrapped_is_unwrapped_at_its_place_alone),
        cmocka_unit_test(it_is_never_wrapped_twice_alike),
        cmocka_unit_test(each_purpose_has_a_key_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
