#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "sev/ecdsa.h"
#include "sev/id_block.h"
#include "sev/policy.h"

static EVP_PKEY *id_key, *author_key;
static struct snp_id_block block;
static struct snp_id_auth auth;

static int make_keys(void **state)
{
    (void)state;
    id_key = EVP_EC_gen("P-384");
    author_key = EVP_EC_gen("P-384");
    return id_key && author_key ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(id_key);
    EVP_PKEY_free(author_key);
    return 0;
}

/* A block and its authentication, both good: what each test then spoils. */
static int make_signed(void **state)
{
    (void)state;
    memset(&block, 0, sizeof block);
    memset(block.launch_digest, 0xd1, sizeof block.launch_digest);
    put_le32(&block.version, 1);
    put_le32(&block.guest_svn, 3);
    put_le64(&block.policy, SNP_POLICY_DEFAULT);
    return snp_id_auth_sign(&auth, &block, id_key, author_key, NULL);
}

static struct view auth_view(void)
{
    return (struct view){(const uint8_t *)&auth, sizeof auth};
}

static int verify(bool with_author)
{
    return snp_id_auth_verify(&auth, &block, with_author, NULL);
}

static void what_was_signed_parses_and_verifies(void **state)
{
    (void)state;
    struct snp_id_auth parsed;
    struct snp_id_block parsed_block;
    struct cofre_err err;
    assert_int_equal(snp_id_auth_parse(&parsed, auth_view(), &err), 0);
    assert_int_equal(
        snp_id_block_parse(&parsed_block, (struct view){(const uint8_t *)&block, sizeof block}, &err), 0);
    assert_true(snp_id_auth_has_author(&parsed));
    assert_int_equal(snp_id_auth_verify(&parsed, &parsed_block, true, &err), 0);
    assert_int_equal(snp_id_auth_verify(&parsed, &parsed_block, false, &err), 0);
}

static void without_an_author_key_only_the_block_verifies(void **state)
{
    (void)state;
    assert_int_equal(snp_id_auth_sign(&auth, &block, id_key, NULL, NULL), 0);
    assert_false(snp_id_auth_has_author(&auth));
    assert_int_equal(verify(false), 0);
    assert_int_equal(verify(true), -COFRE_MALFORMED);
}

static void a_changed_byte_of_the_block_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof block; i++) {
        ((uint8_t *)&block)[i] ^= 0x40;
        assert_int_equal(verify(false), -COFRE_NEGATIVE);
        ((uint8_t *)&block)[i] ^= 0x40;
    }
    assert_int_equal(verify(true), 0);
}

static void a_changed_signature_is_noticed(void **state)
{
    (void)state;
    uint8_t *const places[] = {&auth.id_block_sig.r[0],  &auth.id_block_sig.r[47],
                               &auth.id_block_sig.r[48], &auth.id_block_sig.s[71],
                               &auth.id_block_sig.s[20], &auth.id_block_sig.reserved[367],
                               &auth.id_key_sig.r[1],    &auth.id_key_sig.s[60]};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        *places[i] ^= 1;
        assert_int_equal(verify(true), -COFRE_NEGATIVE);
        *places[i] ^= 1;
    }
    memset(&auth.id_block_sig, 0, sizeof auth.id_block_sig);
    assert_int_equal(verify(false), -COFRE_NEGATIVE);
}

static void a_key_that_did_not_sign_is_noticed(void **state)
{
    (void)state;
    struct snp_ecdsa_key other = auth.author_key;
    auth.author_key = auth.id_key;
    assert_int_equal(verify(true), -COFRE_NEGATIVE);
    auth.author_key = other;
    auth.id_key = other;
    assert_int_equal(verify(false), -COFRE_NEGATIVE);
}

static void a_key_off_the_curve_is_refused(void **state)
{
    (void)state;
    auth.id_key.qx[0] ^= 1;
    assert_int_equal(verify(false), -COFRE_MALFORMED);
    auth.id_key.qx[0] ^= 1;
    auth.id_key.qy[50] = 1;
    assert_int_equal(verify(false), -COFRE_MALFORMED);
    auth.id_key.qy[50] = 0;
    auth.id_key.curve = 1;
    assert_int_equal(verify(false), -COFRE_MALFORMED);
    memset(&auth.id_key, 0, sizeof auth.id_key);
    auth.id_key.curve = SNP_CURVE_P384;
    assert_int_equal(verify(false), -COFRE_MALFORMED);
}

static void an_authentication_of_another_form_is_refused(void **state)
{
    (void)state;
    struct snp_id_auth out;
    const struct view v = auth_view();
    assert_true(snp_id_auth_parse(&out, (struct view){v.data, v.len - 1}, NULL) < 0);
    assert_true(snp_id_auth_parse(&out, (struct view){v.data, 0}, NULL) < 0);
    uint8_t *const reserved[] = {&auth.reserved_008[0],  &auth.reserved_008[55], &auth.reserved_644[0],
                                 &auth.reserved_644[59], &auth.reserved_c84[0],  &auth.reserved_c84[891]};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        *reserved[i] = 1;
        assert_int_equal(snp_id_auth_parse(&out, v, NULL), -COFRE_MALFORMED);
        *reserved[i] = 0;
    }
    auth.id_key_algo = 2;
    assert_int_equal(snp_id_auth_parse(&out, v, NULL), -COFRE_MALFORMED);
    auth.id_key_algo = 1;
    auth.author_key_algo = 2;
    assert_int_equal(snp_id_auth_parse(&out, v, NULL), -COFRE_MALFORMED);
    auth.author_key_algo = 0; /* while an author key is there */
    assert_int_equal(snp_id_auth_parse(&out, v, NULL), -COFRE_MALFORMED);
}

static void a_block_of_another_form_is_refused(void **state)
{
    (void)state;
    struct snp_id_block out;
    struct view v = {(const uint8_t *)&block, sizeof block};
    assert_int_equal(snp_id_block_parse(&out, (struct view){v.data, 95}, NULL), -COFRE_MALFORMED);
    block.version = 2;
    assert_int_equal(snp_id_block_parse(&out, v, NULL), -COFRE_MALFORMED);
    block.version = 1;
    block.policy = 0x10000;
    assert_int_equal(snp_id_block_parse(&out, v, NULL), -COFRE_MALFORMED);
}

/* The digest covers the whole structure of 1028 bytes: checked against the bytes laid out by hand. */
static void the_key_digest_is_that_of_the_whole_structure(void **state)
{
    (void)state;
    uint8_t raw[1028] = {2}, point[97], expected[48], got[48];
    size_t len = 0;
    assert_int_equal(EVP_PKEY_get_octet_string_param(id_key, "encoded-pub-key", point, sizeof point, &len),
                     1);
    assert_int_equal(len, 97);
    for (int i = 0; i < 48; i++) {
        raw[4 + i] = point[1 + 47 - i];
        raw[4 + 72 + i] = point[1 + 48 + 47 - i];
    }
    EVP_Digest(raw, sizeof raw, expected, NULL, EVP_sha384(), NULL);
    assert_int_equal(snp_ecdsa_key_digest(got, &auth.id_key, NULL), 0);
    assert_memory_equal(got, expected, 48);
}

static struct view pem_of(BIO *bio)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    return (struct view){(const uint8_t *)text, (size_t)len};
}

static void only_a_plain_private_key_of_the_curve_is_read(void **state)
{
    (void)state;
    struct cofre_err err;
    EVP_PKEY *key = NULL, *p256 = EVP_EC_gen("P-256");
    BIO *plain = BIO_new(BIO_s_mem()), *locked = BIO_new(BIO_s_mem()), *wrong = BIO_new(BIO_s_mem()),
        *public = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(plain, id_key, NULL, NULL, 0, NULL, NULL);
    PEM_write_bio_PrivateKey(locked, id_key, EVP_aes_256_cbc(), (const unsigned char *)"pass", 4, NULL, NULL);
    PEM_write_bio_PrivateKey(wrong, p256, NULL, NULL, 0, NULL, NULL);
    PEM_write_bio_PUBKEY(public, id_key);

    assert_int_equal(snp_ecdsa_key_read(&key, pem_of(plain), "plain", &err), 0);
    assert_int_equal(EVP_PKEY_eq(key, id_key), 1);
    EVP_PKEY_free(key);
    assert_int_equal(snp_ecdsa_key_read(&key, pem_of(locked), "locked", &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "passphrase"));
    assert_int_equal(snp_ecdsa_key_read(&key, pem_of(wrong), "wrong", &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, "P-384"));
    assert_int_equal(snp_ecdsa_key_read(&key, pem_of(public), "public", &err), -COFRE_MALFORMED);
    assert_int_equal(snp_ecdsa_key_read(&key, (struct view){NULL, 0}, "empty", &err), -COFRE_MALFORMED);

    struct snp_id_auth out;
    assert_int_equal(snp_id_auth_sign(&out, &block, p256, NULL, &err), -COFRE_MALFORMED);
    EVP_PKEY_free(p256);
    BIO_free_all(plain), BIO_free_all(locked), BIO_free_all(wrong), BIO_free_all(public);
}

#define SIGNED(f) cmocka_unit_test_setup(f, make_signed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNED(what_was_signed_parses_and_verifies),
        SIGNED(without_an_author_key_only_the_block_verifies),
        SIGNED(a_changed_byte_of_the_block_is_noticed),
        SIGNED(a_changed_signature_is_noticed),
        SIGNED(a_key_that_did_not_sign_is_noticed),
        SIGNED(a_key_off_the_curve_is_refused),
        SIGNED(an_authentication_of_another_form_is_refused),
        SIGNED(a_block_of_another_form_is_refused),
        SIGNED(the_key_digest_is_that_of_the_whole_structure),
        SIGNED(only_a_plain_private_key_of_the_curve_is_read),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
