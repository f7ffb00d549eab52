/* HPKE by the RFC's vectors, and what it refuses. tests/interop has another implementation open ours, and ours open its. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "keys/hpke.h"
#include "tests/unit/keys/raw_key.h"
#include "tests/unit/keys/rfc9180.h"

#define TEXT "a key that nobody else may have.."

static struct view hex(uint8_t *to, const char *text)
{
    const size_t len = strlen(text) / 2;
    assert_true(hex_decode(to, len, text));
    return (struct view){to, len};
}

/* One vector's bytes. */
struct taken {
    uint8_t bytes[6][256];
    struct hpke_about about;
    struct view to, enc, text, sealed;
};

static void take(struct taken *t, const struct rfc9180 *v)
{
    t->about = (struct hpke_about){v->suite, hex(t->bytes[0], v->info), hex(t->bytes[1], v->aad)};
    t->to = hex(t->bytes[2], v->recipient_public);
    t->enc = hex(t->bytes[3], v->enc);
    t->text = hex(t->bytes[4], v->text);
    t->sealed = hex(t->bytes[5], v->sealed);
}

static void seals_as_the_rfc_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rfc9180 / sizeof *rfc9180; i++) {
        struct taken t;
        uint8_t sealed[256];
        take(&t, &rfc9180[i]);
        EVP_PKEY *ephemeral = raw_key(t.about.suite.kem, rfc9180[i].ephemeral, rfc9180[i].enc);
        assert_int_equal(hpke_seal_by(ephemeral, sealed, &t.about, t.to, t.text, NULL), 0);
        assert_memory_equal(sealed, t.sealed.data, t.sealed.len);
        assert_int_equal(t.sealed.len, t.text.len + HPKE_OVERHEAD);
        EVP_PKEY_free(ephemeral);
    }
}

static void opens_what_the_rfc_sealed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rfc9180 / sizeof *rfc9180; i++) {
        struct taken t;
        uint8_t text[256];
        take(&t, &rfc9180[i]);
        EVP_PKEY *key = raw_key(t.about.suite.kem, rfc9180[i].recipient, rfc9180[i].recipient_public);
        assert_int_equal(hpke_open(text, &t.about, key, t.enc, t.sealed, NULL), 0);
        assert_memory_equal(text, t.text.data, t.text.len);
        EVP_PKEY_free(key);
    }
}

/* A message to a key of its own. */
struct message {
    struct hpke_about about;
    EVP_PKEY *key;
    struct hpke_public to, enc;
    uint8_t sealed[sizeof TEXT + HPKE_OVERHEAD], text[sizeof TEXT];
};

static struct message message_new(struct hpke_suite suite)
{
    struct message m = {.about = {suite, {(const uint8_t *)"info", 4}, {(const uint8_t *)"aad", 3}}};
    assert_int_equal(hpke_key_new(&m.key, suite.kem, NULL), 0);
    assert_int_equal(hpke_public_of(&m.to, suite.kem, m.key, NULL), 0);
    assert_int_equal(hpke_seal(&m.enc, m.sealed, &m.about, (struct view){m.to.data, m.to.len},
                               (struct view){(const uint8_t *)TEXT, sizeof TEXT}, NULL),
                     0);
    return m;
}

static int open_message(struct message *m)
{
    memset(m->text, 0xff, sizeof m->text);
    int rc = hpke_open(m->text, &m->about, m->key, (struct view){m->enc.data, m->enc.len},
                       (struct view){m->sealed, sizeof m->sealed}, NULL);
    assert_true(rc == 0 ||
                bytes_are_zero(m->text, sizeof m->text)); /* nothing that is not genuine gets out */
    return rc;
}

static const struct hpke_suite suites[] = {{HPKE_P256, HPKE_AES_128_GCM},
                                           {HPKE_P256, HPKE_AES_256_GCM},
                                           {HPKE_X25519, HPKE_AES_128_GCM},
                                           {HPKE_X25519, HPKE_AES_256_GCM}};
#define SUITES (sizeof suites / sizeof *suites)

static void opens_what_it_sealed_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUITES; i++) {
        struct message m = message_new(suites[i]);
        assert_int_equal(open_message(&m), 0);
        assert_string_equal((const char *)m.text, TEXT);
        EVP_PKEY_free(m.key);
    }
}

static void no_two_messages_are_alike(void **state)
{
    (void)state;
    struct message one = message_new(suites[1]), other = message_new(suites[1]);
    assert_memory_not_equal(one.enc.data, other.enc.data, one.enc.len);
    EVP_PKEY_free(one.key);
    EVP_PKEY_free(other.key);
}

static void any_bit_that_is_changed_is_noticed(void **state)
{
    (void)state;
    struct message m = message_new(suites[3]);
    for (size_t bit = 0; bit < 8 * sizeof m.sealed; bit++) {
        m.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_message(&m), -COFRE_NEGATIVE);
        m.sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(open_message(&m), 0);
    EVP_PKEY_free(m.key);
}

static void what_it_is_about_is_part_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUITES; i++) {
        struct message m = message_new(suites[i]);
        const struct hpke_about about = m.about;
        m.about.info.len--;
        assert_int_equal(open_message(&m), -COFRE_NEGATIVE);
        m.about = about;
        m.about.aad.len--;
        assert_int_equal(open_message(&m), -COFRE_NEGATIVE);
        m.about = about;
        m.about.suite.aead = m.about.suite.aead == HPKE_AES_128_GCM ? HPKE_AES_256_GCM : HPKE_AES_128_GCM;
        assert_int_equal(open_message(&m), -COFRE_NEGATIVE);
        EVP_PKEY_free(m.key);
    }
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUITES; i++) {
        struct message m = message_new(suites[i]), other = message_new(suites[i]);
        EVP_PKEY *own = m.key;
        m.key = other.key;
        assert_int_equal(open_message(&m), -COFRE_NEGATIVE);
        EVP_PKEY_free(own);
        EVP_PKEY_free(other.key);
    }
}

static void points_that_are_none_are_refused(void **state)
{
    (void)state;
    struct message m = message_new(suites[1]);
    struct hpke_public bad = m.enc;
    bad.data[64] ^= 1; /* beside the curve */
    assert_int_equal(hpke_public_check(HPKE_P256, (struct view){bad.data, 65}, NULL), -COFRE_MALFORMED);
    bad = m.enc;
    bad.data[0] = (uint8_t)(2 + (bad.data[64] & 1)); /* the same point, compressed */
    assert_int_equal(hpke_public_check(HPKE_P256, (struct view){bad.data, 33}, NULL), -COFRE_MALFORMED);
    assert_int_equal(hpke_public_check(HPKE_P256, (struct view){(const uint8_t[1]){0}, 1}, NULL),
                     -COFRE_MALFORMED);
    assert_int_equal(hpke_public_check(HPKE_P256, (struct view){m.enc.data, 64}, NULL), -COFRE_MALFORMED);
    assert_int_equal(hpke_public_check(HPKE_P256, (struct view){m.enc.data, 65}, NULL), 0);
    EVP_PKEY_free(m.key);
}

/* RFC 9180 section 7.1.4: points of small order bring all keys to the same secret. */
static void an_exchange_that_comes_to_zero_is_refused(void **state)
{
    (void)state;
    static const uint8_t small[2][32] = {{0}, {1}};
    struct message m = message_new(suites[3]);
    for (size_t i = 0; i < 2; i++) {
        memcpy(m.enc.data, small[i], 32);
        assert_int_equal(open_message(&m), -COFRE_MALFORMED);
        assert_int_equal(hpke_seal(&m.enc, m.sealed, &m.about, (struct view){small[i], 32},
                                   (struct view){(const uint8_t *)TEXT, sizeof TEXT}, NULL),
                         -COFRE_MALFORMED);
    }
    EVP_PKEY_free(m.key);
}

static void keys_of_another_kind_are_refused(void **state)
{
    (void)state;
    struct hpke_public out;
    struct cofre_err err;
    EVP_PKEY *key = EVP_EC_gen("P-384");
    assert_int_equal(hpke_public_of(&out, HPKE_P256, key, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "it is no P-256 key");
    assert_int_equal(hpke_public_of(&out, HPKE_X25519, key, &err), -COFRE_USAGE);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals_as_the_rfc_does),
        cmocka_unit_test(opens_what_the_rfc_sealed),
        cmocka_unit_test(opens_what_it_sealed_itself),
        cmocka_unit_test(no_two_messages_are_alike),
        cmocka_unit_test(any_bit_that_is_changed_is_noticed),
        cmocka_unit_test(what_it_is_about_is_part_of_it),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(points_that_are_none_are_refused),
        cmocka_unit_test(an_exchange_that_comes_to_zero_is_refused),
        cmocka_unit_test(keys_of_another_kind_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
