#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tdx/signer.h"

static struct tdx_signer met;
static uint32_t number; /* the bytes of one */

static int make(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        met.certs.cert[met.certs.count++] = X509_new();
    met.chain = (struct tdx_chain){met.certs.cert[0], met.certs.cert[1], met.certs.cert[2]};
    met.attestation_key = EVP_EC_gen("P-256");
    met.bytes = (struct view){(const uint8_t *)&number, sizeof number};
    return met.attestation_key ? 0 : -1;
}

static int release(void **state)
{
    (void)state;
    x509_certs_free(&met.certs);
    EVP_PKEY_free(met.attestation_key);
    return 0;
}

static void add(struct tdx_signers *signers, uint32_t n)
{
    number = n;
    met.pck.pce_svn = (uint16_t)n;
    tdx_signers_add(signers, &met);
}

static bool knows(struct tdx_signers *signers, uint32_t n)
{
    const struct tdx_signer *found = tdx_signers_find(signers, (struct view){(const uint8_t *)&n, sizeof n});
    if (found)
        assert_int_equal(found->pck.pce_svn, n);
    return found;
}

static void the_one_not_met_for_longest_makes_room(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    for (uint32_t n = 0; n < TDX_SIGNERS_MAX; n++)
        add(&signers, n);
    assert_int_equal(signers.count, TDX_SIGNERS_MAX);
    assert_true(knows(&signers, 0)); /* and so 1 is the last */
    add(&signers, TDX_SIGNERS_MAX);
    assert_int_equal(signers.count, TDX_SIGNERS_MAX);
    assert_false(knows(&signers, 1));
    assert_true(knows(&signers, 0));
    for (uint32_t n = 2; n <= TDX_SIGNERS_MAX; n++)
        assert_true(knows(&signers, n));
}

static void each_is_there_once(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    add(&signers, 1);
    add(&signers, 1);
    assert_int_equal(signers.count, 1);
}

static void all_bytes_count(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    uint8_t bytes[sizeof number + 1] = {7};
    add(&signers, 7);
    assert_non_null(tdx_signers_find(&signers, (struct view){bytes, sizeof number}));
    assert_null(tdx_signers_find(&signers, (struct view){bytes, sizeof number + 1}));
    assert_null(tdx_signers_find(&signers, (struct view){bytes, sizeof number - 1}));
    bytes[3] = 1;
    assert_null(tdx_signers_find(&signers, (struct view){bytes, sizeof number}));
}

static void what_is_remembered_is_its_own(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    add(&signers, 1);
    number = 2; /* the bytes were copied */
    assert_true(knows(&signers, 1));
    assert_false(knows(&signers, 2));
}

static void only_whole_chains_of_its_own_certificates_are_remembered(void **state)
{
    (void)state;
    CLEAN_SIGNERS signers = {0};
    const struct tdx_signer good = met;
    X509 *stranger = X509_new();
    X509 **const members[] = {&met.chain.leaf, &met.chain.intermediate, &met.chain.root};
    X509 *const wrong[] = {NULL, stranger};
    for (size_t m = 0; m < 3; m++)
        for (size_t w = 0; w < 2; w++) {
            *members[m] = wrong[w];
            add(&signers, 1);
            met = good;
        }
    met.attestation_key = NULL;
    add(&signers, 1);
    met = good;
    assert_int_equal(signers.count, 0);
    add(&signers, 1);
    assert_int_equal(signers.count, 1);
    X509_free(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_not_met_for_longest_makes_room),
        cmocka_unit_test(each_is_there_once),
        cmocka_unit_test(all_bytes_count),
        cmocka_unit_test(what_is_remembered_is_its_own),
        cmocka_unit_test(only_whole_chains_of_its_own_certificates_are_remembered),
    };
    return cmocka_run_group_tests(tests, make, release);
}
