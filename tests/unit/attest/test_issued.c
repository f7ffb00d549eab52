#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509.h>

#include "sev/certs.h"
#include "tests/unit/attest/fake_amd.h"
#include "vmm/base/x509_issued.h"

struct chain {
    X509 *root, *intermediate;
};

static struct chain make_chain(long serial)
{
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.cert[FAKE_ASK].serial = serial;
    return (struct chain){fake_cert_make(&f.cert[FAKE_ARK], NULL, NULL),
                          fake_cert_make(&f.cert[FAKE_ASK], NULL, NULL)};
}

static void chain_free(struct chain *chain)
{
    X509_free(chain->root);
    X509_free(chain->intermediate);
}
#define CLEAN_CHAIN __attribute__((cleanup(chain_free))) struct chain

/* Another object, of the same bytes but the last, of the signature, which is changed by these bits. */
static X509 *decode(X509 *cert, unsigned char change)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    assert_true(len > 0);
    der[len - 1] ^= change;
    const unsigned char *at = der;
    X509 *decoded = d2i_X509(NULL, &at, len);
    OPENSSL_free(der);
    assert_non_null(decoded);
    return decoded;
}

static int make_keys(void **state)
{
    (void)state;
    fake_keys_make();
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    fake_keys_free();
    return 0;
}

static unsigned keys_looked_at;

static bool count_key(EVP_PKEY *key)
{
    keys_looked_at++;
    return snp_scheme.is_key(key);
}

/* By who looks at the issuer's key. The other pair's objects are others, of the same certificates. */
static void what_is_remembered_is_not_computed_again(void **state)
{
    (void)state;
    CLEAN_ISSUED issued = {0};
    struct x509_scheme scheme = snp_scheme;
    CLEAN_CHAIN chain = make_chain(1), again = {decode(chain.root, 0), decode(chain.intermediate, 0)};
    scheme.is_key = count_key;
    assert_int_equal(x509_issued_check(&issued, &scheme, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(keys_looked_at, 1);
    x509_issued_add(&issued, &scheme, chain.intermediate, chain.root);
    assert_int_equal(x509_issued_check(&issued, &scheme, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(x509_issued_check(&issued, &scheme, again.intermediate, again.root, NULL), 0);
    assert_int_equal(keys_looked_at, 1);
    x509_issued_add(&issued, &scheme, again.intermediate, again.root);
    assert_int_equal(issued.count, 1);
    assert_int_equal(x509_issued_check(NULL, &scheme, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(keys_looked_at, 2);
}

/* The same names, the same keys, another signature: another certificate. */
static void another_certificate_of_the_same_name_and_key_is_not_known(void **state)
{
    (void)state;
    CLEAN_ISSUED issued = {0};
    CLEAN_CHAIN chain = make_chain(1), altered = {decode(chain.root, 1), decode(chain.intermediate, 1)};
    x509_issued_add(&issued, &snp_scheme, chain.intermediate, chain.root);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, altered.intermediate, chain.root, NULL),
                     -COFRE_NEGATIVE);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, chain.root, chain.intermediate, NULL),
                     -COFRE_NEGATIVE);
    x509_issued_add(&issued, &snp_scheme, chain.intermediate, altered.root);
    assert_int_equal(issued.count, 2);
}

static void what_one_vendors_rules_found_says_nothing_by_anothers(void **state)
{
    (void)state;
    CLEAN_ISSUED issued = {0};
    struct x509_scheme other = snp_scheme;
    CLEAN_CHAIN chain = make_chain(1);
    other.is_key = count_key;
    keys_looked_at = 0;
    x509_issued_add(&issued, &snp_scheme, chain.intermediate, chain.root);
    assert_int_equal(x509_issued_check(&issued, &other, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(keys_looked_at, 1);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    static struct x509_scheme scheme[X509_ISSUED_MAX + 1];
    CLEAN_ISSUED issued = {0};
    CLEAN_CHAIN chain = make_chain(1);
    keys_looked_at = 0;
    for (size_t i = 0; i < X509_ISSUED_MAX + 1; i++) {
        scheme[i] = snp_scheme;
        scheme[i].is_key = count_key;
        x509_issued_add(&issued, &scheme[i], chain.intermediate, chain.root);
    }
    assert_int_equal(issued.count, X509_ISSUED_MAX);
    for (size_t i = 1; i < X509_ISSUED_MAX + 1; i++)
        assert_int_equal(x509_issued_check(&issued, &scheme[i], chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(keys_looked_at, 0);
    assert_int_equal(x509_issued_check(&issued, &scheme[0], chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(keys_looked_at, 1);
}

static void only_the_very_bytes_are_not_decoded_again(void **state)
{
    (void)state;
    CLEAN_ISSUED issued = {0};
    CLEAN_CERTS certs = {0};
    CLEAN_CHAIN chain = make_chain(1);
    x509_issued_add(&issued, &snp_scheme, chain.intermediate, chain.root);
    unsigned char *der = NULL;
    int len = i2d_X509(chain.intermediate, &der);
    struct view file = {der, (size_t)len};
    assert_int_equal(x509_certs_add_issued(&certs, file, &issued, NULL), 0);
    der[len - 1] ^= 1; /* of the signature */
    assert_int_equal(x509_certs_add_issued(&certs, file, &issued, NULL), 0);
    OPENSSL_free(der);
    assert_ptr_equal(certs.cert[0], chain.intermediate);
    assert_ptr_not_equal(certs.cert[1], chain.intermediate);
}

static unsigned lists_looked_at;

static bool count_list(const X509_ALGOR *algorithm)
{
    lists_looked_at++;
    return snp_scheme.is_algorithm(algorithm);
}

/* The draft of a list by the root, and what counts how often its signature is looked at. */
static struct x509_scheme counting(struct fake *f)
{
    struct x509_scheme scheme = snp_scheme;
    fake_init(f, SNP_PRODUCT_MILAN, 3);
    scheme.is_algorithm = count_list;
    lists_looked_at = 0;
    return scheme;
}

static void a_list_that_is_held_is_verified_once(void **state)
{
    (void)state;
    struct fake f;
    const struct x509_scheme scheme = counting(&f);
    CLEAN_ISSUED issued = {0};
    CLEAN_CHAIN chain = make_chain(1), again = {decode(chain.root, 0), decode(chain.intermediate, 0)};
    CLEAN_CRLS held = {.crl = {fake_crl_make(&f.crl, EVP_sha384()), fake_crl_make(&f.crl, EVP_sha384())},
                       .count = 2};
    assert_true(x509_issued_is_by(&issued, &scheme, held.crl[0], chain.root));
    assert_true(x509_issued_is_by(&issued, &scheme, held.crl[0], again.root));
    assert_int_equal(lists_looked_at, 1);
    assert_true(x509_issued_is_by(&issued, &scheme, held.crl[1], chain.root)); /* another object */
    assert_true(x509_issued_is_by(NULL, &scheme, held.crl[0], chain.root));
    assert_true(x509_issued_is_by(&issued, &snp_scheme, held.crl[0], chain.root)); /* another's rules */
    assert_int_equal(lists_looked_at, 3);
    assert_int_equal(issued.lists, 3);
}

static void a_list_that_another_signed_is_not_remembered(void **state)
{
    (void)state;
    struct fake f;
    const struct x509_scheme scheme = counting(&f);
    CLEAN_ISSUED issued = {0};
    CLEAN_CHAIN chain = make_chain(1);
    f.crl.key = f.cert[FAKE_ASK].key;
    CLEAN_CRLS held = {.crl = {fake_crl_make(&f.crl, EVP_sha384())}, .count = 1};
    for (unsigned i = 1; i <= 2; i++) {
        assert_false(x509_issued_is_by(&issued, &scheme, held.crl[0], chain.root));
        assert_int_equal(lists_looked_at, i);
    }
    assert_int_equal(issued.lists, 0);
}

static void a_remembered_list_still_revokes_and_runs_out(void **state)
{
    (void)state;
    struct fake f;
    const struct x509_scheme scheme = counting(&f);
    CLEAN_ISSUED issued = {0};
    CLEAN_CHAIN chain = make_chain(1), revoked = make_chain(2);
    f.crl.revoked_serial = 2;
    CLEAN_CRLS held = {.crl = {fake_crl_make(&f.crl, EVP_sha384())}, .count = 1};
    const int64_t at = f.crl.from + 1;
    assert_int_equal(x509_check_revocation(&scheme, chain.intermediate, chain.root, &held, &issued, at, NULL),
                     0);
    assert_int_equal(
        x509_check_revocation(&scheme, revoked.intermediate, chain.root, &held, &issued, at, NULL),
        -COFRE_NEGATIVE);
    assert_int_equal(
        x509_check_revocation(&scheme, chain.intermediate, chain.root, &held, &issued, f.crl.to, NULL),
        -COFRE_LACKING);
    assert_int_equal(lists_looked_at, 1);
}

static void the_oldest_list_makes_room(void **state)
{
    (void)state;
    struct fake f;
    const struct x509_scheme scheme = counting(&f);
    CLEAN_ISSUED issued = {0};
    CLEAN_CHAIN chain = make_chain(1);
    CLEAN_CRLS held = {0}, last = {.crl = {fake_crl_make(&f.crl, EVP_sha384())}, .count = 1};
    while (held.count < X509_CRLS_MAX)
        held.crl[held.count++] = fake_crl_make(&f.crl, EVP_sha384());
    for (size_t i = 0; i < held.count; i++)
        assert_true(x509_issued_is_by(&issued, &scheme, held.crl[i], chain.root));
    assert_true(x509_issued_is_by(&issued, &scheme, last.crl[0], chain.root));
    assert_int_equal(issued.lists, X509_CRLS_MAX);
    lists_looked_at = 0;
    for (size_t i = 1; i < held.count; i++)
        assert_true(x509_issued_is_by(&issued, &scheme, held.crl[i], chain.root));
    assert_int_equal(lists_looked_at, 0);
    assert_true(x509_issued_is_by(&issued, &scheme, held.crl[0], chain.root));
    assert_int_equal(lists_looked_at, 1);
}

/* Strangers, who have chains of their own, cannot push out those that are known. */
static void chains_of_reports_that_pass_are_remembered(void **state)
{
    (void)state;
    CLEAN_ISSUED issued = {0};
    CLEAN_VERDICT stranger = {0}, first = {0}, second = {0};
    struct fake f;
    fake_init(&f, SNP_PRODUCT_MILAN, 3);
    f.issued = &issued;
    f.trust_root = false;
    assert_int_equal(fake_appraise(&stranger, &f, NULL), 0);
    assert_int_equal(verdict_outcome(&stranger), CHECK_FAILED);
    assert_int_equal(issued.count, 0);
    f.trust_root = true;
    assert_int_equal(fake_appraise(&first, &f, NULL), 0);
    assert_int_equal(verdict_outcome(&first), CHECK_PASSED);
    assert_int_equal(issued.count, 3);
    f.trust_root = false; /* trust in the root is judged each time */
    assert_int_equal(fake_appraise(&second, &f, NULL), 0);
    assert_int_equal(verdict_check(&second, "snp.ark")->outcome, CHECK_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_remembered_is_not_computed_again),
        cmocka_unit_test(another_certificate_of_the_same_name_and_key_is_not_known),
        cmocka_unit_test(what_one_vendors_rules_found_says_nothing_by_anothers),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(only_the_very_bytes_are_not_decoded_again),
        cmocka_unit_test(a_list_that_is_held_is_verified_once),
        cmocka_unit_test(a_list_that_another_signed_is_not_remembered),
        cmocka_unit_test(a_remembered_list_still_revokes_and_runs_out),
        cmocka_unit_test(the_oldest_list_makes_room),
        cmocka_unit_test(chains_of_reports_that_pass_are_remembered),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
