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

static void what_was_found_once_is_known(void **state)
{
    (void)state;
    static struct x509_issued issued;
    CLEAN_CHAIN chain = make_chain(1);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(issued.count, 1);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(issued.count, 1);
    assert_int_equal(x509_issued_check(NULL, &snp_scheme, chain.intermediate, chain.root, NULL), 0);
}

static void a_failure_is_found_again_each_time(void **state)
{
    (void)state;
    static struct x509_issued issued;
    struct cofre_err err;
    CLEAN_CHAIN chain = make_chain(1);
    for (int i = 0; i < 2; i++)
        assert_true(x509_issued_check(&issued, &snp_scheme, chain.root, chain.intermediate, &err) < 0);
    assert_int_equal(issued.count, 0);
}

/* The same names, the same keys, another signature: another certificate. */
static void another_certificate_of_the_same_name_and_key_is_not_known(void **state)
{
    (void)state;
    static struct x509_issued issued;
    CLEAN_CHAIN chain = make_chain(1);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, chain.intermediate, chain.root, NULL), 0);
    unsigned char *der = NULL;
    int len = i2d_X509(chain.intermediate, &der);
    assert_true(len > 0);
    der[len - 1] ^= 1; /* of the signature */
    const unsigned char *at = der;
    X509 *altered = d2i_X509(NULL, &at, len);
    OPENSSL_free(der);
    assert_non_null(altered);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, altered, chain.root, NULL), -COFRE_NEGATIVE);
    assert_int_equal(issued.count, 1);
    X509_free(altered);
}

static void what_one_vendors_rules_found_says_nothing_by_anothers(void **state)
{
    (void)state;
    static struct x509_issued issued;
    struct x509_scheme other = snp_scheme;
    CLEAN_CHAIN chain = make_chain(1);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(x509_issued_check(&issued, &other, chain.intermediate, chain.root, NULL), 0);
    assert_int_equal(issued.count, 2);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    static struct x509_issued issued;
    CLEAN_CHAIN first = make_chain(1), last = make_chain(2);
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, first.intermediate, first.root, NULL), 0);
    issued.count = X509_ISSUED_MAX; /* the others are pairs that nobody has */
    assert_int_equal(x509_issued_check(&issued, &snp_scheme, last.intermediate, last.root, NULL), 0);
    assert_int_equal(issued.count, X509_ISSUED_MAX);
    assert_int_equal(issued.oldest, 1);
    uint8_t expected[32];
    assert_int_equal(X509_digest(last.intermediate, EVP_sha256(), expected, NULL), 1);
    assert_memory_equal(issued.pair[0].cert, expected, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_found_once_is_known),
        cmocka_unit_test(a_failure_is_found_again_each_time),
        cmocka_unit_test(another_certificate_of_the_same_name_and_key_is_not_known),
        cmocka_unit_test(what_one_vendors_rules_found_says_nothing_by_anothers),
        cmocka_unit_test(the_oldest_makes_room),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
