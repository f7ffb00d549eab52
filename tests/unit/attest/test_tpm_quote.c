/* A TPM's quote against what is expected of it, each respect of it broken alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <tss2/tss2_mu.h>

#include "tests/unit/attest/made_quote.h"

static const struct view nonce = {(const uint8_t *)"what nobody asked before", 24};
static struct made_key keys[MADE_SCHEMES], another;

/* An exchange that is good until a test changes something. */
struct exchange {
    enum made_scheme scheme;
    struct made_key key; /* whose public part is known */
    struct made_key *by; /* who signs */
    TPMS_ATTEST said;
    struct tpm_quote_pcrs expected;
    struct view nonce;
    struct made_quote quote;
};

static void init(struct exchange *x, enum made_scheme scheme)
{
    *x = (struct exchange){.scheme = scheme, .key = keys[scheme], .by = &keys[scheme], .nonce = nonce};
    made_pcrs(&x->expected, 1u << 0 | 1u << 7 | 1u << 23, scheme == MADE_ECDSA_P384 ? 48 : 32);
    made_attest(&x->said, nonce, &x->expected, scheme);
}

static void sign(struct exchange *x)
{
    made_signed(&x->quote, &x->said, x->by, x->scheme);
}

static int check(const struct exchange *x, struct cofre_err *err)
{
    CLEAN_TPM_PUBLIC public;
    made_ak_public(&public, &x->key);
    return tpm_quote_check(&public, (struct view){x->quote.message, x->quote.message_len},
                           (struct view){x->quote.signature, x->quote.signature_len}, x->nonce, &x->expected,
                           err);
}

static void must_be(int code, const struct exchange *x, const char *because)
{
    struct cofre_err err = {""};
    int rc = check(x, &err);
    if (rc != -code || (because && !strstr(err.text, because)))
        fail_msg("%d, not %d, or \"%s\" does not say \"%s\"", -rc, code, err.text, because);
}

static void refused(struct exchange *x, const char *because)
{
    sign(x);
    must_be(COFRE_NEGATIVE, x, because);
}

static void quotes_by_every_kind_of_key_pass(void **state)
{
    (void)state;
    for (enum made_scheme scheme = 0; scheme < MADE_SCHEMES; scheme++) {
        struct exchange x;
        init(&x, scheme);
        sign(&x);
        must_be(0, &x, NULL);
        x.quote.signature[x.quote.signature_len - 1] ^= 1;
        must_be(COFRE_NEGATIVE, &x, NULL);
    }
}

/* What a TPM's restricted key signs for its user is anything that does not begin so. */
static void what_the_tpm_did_not_say_itself_is_refused(void **state)
{
    (void)state;
    struct exchange x;
    init(&x, MADE_ECDSA_P256);
    x.said.magic = 0x00544347;
    refused(&x, "does not begin as what a TPM says itself");
    init(&x, MADE_ECDSA_P256);
    x.said.type = TPM2_ST_ATTEST_CERTIFY;
    x.said.attested.certify = (TPMS_CERTIFY_INFO){.name.size = 2};
    refused(&x, "something else with it than a quote");
}

static void another_question_is_refused(void **state)
{
    (void)state;
    struct exchange x;
    init(&x, MADE_ECDSA_P256);
    x.said.extraData.buffer[3] ^= 1;
    refused(&x, "not over the nonce");
    init(&x, MADE_ECDSA_P256);
    x.said.extraData.size--;
    refused(&x, "not over the nonce");
    init(&x, MADE_ECDSA_P256);
    x.said.extraData.size++;
    refused(&x, "not over the nonce");
    init(&x, MADE_ECDSA_P256);
    x.said.extraData.size = 0;
    refused(&x, "not over the nonce");
}

static void other_values_of_pcrs_are_refused(void **state)
{
    (void)state;
    static const unsigned of[] = {0, 7, 23};
    for (size_t i = 0; i < 3; i++) {
        struct exchange x;
        init(&x, MADE_RSASSA);
        sign(&x);
        x.expected.value[of[i]][31] ^= 1;
        must_be(COFRE_NEGATIVE, &x, "other values");
    }
    struct exchange x;
    init(&x, MADE_ECDSA_P256);
    x.said.attested.quote.pcrDigest.size = 31;
    refused(&x, "other values");
    init(&x, MADE_ECDSA_P256);
    x.said.attested.quote.pcrDigest.size = 0;
    refused(&x, "other values");
}

/* The digest alone does not say of which PCRs it is. */
static void a_quote_of_other_pcrs_is_refused(void **state)
{
    (void)state;
    struct exchange x;
    TPMS_PCR_SELECTION *of = &x.said.attested.quote.pcrSelect.pcrSelections[0];
    init(&x, MADE_ECDSA_P256);
    of->pcrSelect[0] = 1 << 0 | 1 << 6; /* the digest is as expected, of PCR 6 instead of 7 */
    refused(&x, "of other PCRs");
    init(&x, MADE_ECDSA_P256);
    of->pcrSelect[1] = 1;
    refused(&x, "of other PCRs");
    init(&x, MADE_ECDSA_P256);
    of->pcrSelect[2] = 0;
    refused(&x, "of other PCRs");
    init(&x, MADE_ECDSA_P256);
    of->sizeofSelect = 4;
    of->pcrSelect[3] = 0x80;
    refused(&x, "of other PCRs");
    init(&x, MADE_ECDSA_P256);
    of->hash = TPM2_ALG_SHA1;
    refused(&x, "not of PCRs of SHA-256 alone");
    init(&x, MADE_ECDSA_P256);
    of->hash = TPM2_ALG_SHA384;
    refused(&x, "not of PCRs of SHA-256 alone");
    init(&x, MADE_ECDSA_P384);
    of->hash = TPM2_ALG_SHA256;
    refused(&x, "not of PCRs of SHA-384 alone");
    init(&x, MADE_ECDSA_P256);
    x.said.attested.quote.pcrSelect.count = 0;
    refused(&x, "not of PCRs of SHA-256 alone");
    init(&x, MADE_ECDSA_P256);
    x.said.attested.quote.pcrSelect.count = 2;
    x.said.attested.quote.pcrSelect.pcrSelections[1] = *of;
    refused(&x, "not of PCRs of SHA-256 alone");
}

static void another_key_s_signature_is_refused(void **state)
{
    (void)state;
    struct exchange x;
    init(&x, MADE_ECDSA_P256);
    x.by = &another;
    refused(&x, NULL);
    init(&x, MADE_ECDSA_P256); /* the message was changed behind the signature */
    sign(&x);
    x.quote.message[20] ^= 1;
    must_be(COFRE_NEGATIVE, &x, NULL);
    init(&x, MADE_ECDSA_P256); /* by a key of another kind */
    sign(&x);
    x.key = keys[MADE_RSASSA];
    must_be(COFRE_NEGATIVE, &x, "not by such a key");
    init(&x, MADE_RSASSA);
    sign(&x);
    x.key = keys[MADE_ECDSA_P256];
    must_be(COFRE_NEGATIVE, &x, "not by such a key");
    init(&x, MADE_RSASSA); /* PKCS#1 v1.5 said to be PSS */
    sign(&x);
    x.quote.signature[1] = TPM2_ALG_RSAPSS;
    must_be(COFRE_NEGATIVE, &x, "not one of this quote");
    init(&x, MADE_RSASSA); /* by a hash that is not known here */
    sign(&x);
    x.quote.signature[3] = TPM2_ALG_SHA1;
    must_be(COFRE_NEGATIVE, &x, "not by such a key");
    init(&x, MADE_ECDSA_P256);
    sign(&x);
    x.quote.signature[3] = TPM2_ALG_SHA384;
    must_be(COFRE_NEGATIVE, &x, "not by such a key");
}

static void keys_that_sign_for_their_user_are_refused(void **state)
{
    (void)state;
    static const struct {
        TPMA_OBJECT without, with;
        const char *because;
    } wrong[] = {
        {TPMA_OBJECT_FIXEDTPM, 0, "other TPMs"},
        {TPMA_OBJECT_FIXEDPARENT, 0, "other TPMs"},
        {TPMA_OBJECT_SENSITIVEDATAORIGIN, 0, "not made by the TPM"},
        {TPMA_OBJECT_RESTRICTED, 0, "no restricted signing key"},
        {TPMA_OBJECT_SIGN_ENCRYPT, 0, "no restricted signing key"},
        {0, TPMA_OBJECT_DECRYPT, "no restricted signing key"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct exchange x;
        init(&x, MADE_ECDSA_P256);
        x.key.area.objectAttributes = (x.key.area.objectAttributes & ~wrong[i].without) | wrong[i].with;
        refused(&x, wrong[i].because);
    }
}

static void each_end_and_what_is_behind_it_is_malformed(void **state)
{
    (void)state;
    struct exchange x;
    init(&x, MADE_ECDSA_P256);
    sign(&x);
    const struct made_quote good = x.quote;
    for (x.quote.message_len = 0; x.quote.message_len < good.message_len; x.quote.message_len++)
        must_be(COFRE_MALFORMED, &x, "quote");
    x.quote.message_len = good.message_len + 1;
    must_be(COFRE_MALFORMED, &x, "behind it");
    x.quote = good;
    for (x.quote.signature_len = 0; x.quote.signature_len < good.signature_len; x.quote.signature_len++)
        must_be(COFRE_MALFORMED, &x, "signature");
    x.quote.signature_len = good.signature_len + 1;
    must_be(COFRE_MALFORMED, &x, "signature");
}

static void public_parts_are_read_with_their_size(void **state)
{
    (void)state;
    CLEAN_TPM_PUBLIC public;
    TPM2B_PUBLIC sized = {.publicArea = keys[MADE_ECDSA_P256].area};
    uint8_t data[TPM_PUBLIC_MAX];
    size_t len = 0;
    assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Marshal(&sized, data, sizeof data, &len), TSS2_RC_SUCCESS);
    assert_int_equal(tpm_public_read_sized(&public, (struct view){data, len}, NULL), 0);
    assert_string_equal(public.kind, "ECC P-256, SHA-256");
    uint8_t digest[32];
    assert_int_equal(EVP_Digest(data + 2, len - 2, digest, NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(public.name_len, 34);
    assert_memory_equal(public.name + 2, digest, 32);
    for (size_t n = 0; n < len; n++) {
        CLEAN_TPM_PUBLIC none;
        assert_int_equal(tpm_public_read_sized(&none, (struct view){data, n}, NULL), -COFRE_MALFORMED);
    }
    CLEAN_TPM_PUBLIC none;
    assert_int_equal(tpm_public_read_sized(&none, (struct view){data + 2, len - 2}, NULL), -COFRE_MALFORMED);
}

static int setup(void **state)
{
    (void)state;
    for (enum made_scheme scheme = 0; scheme < MADE_SCHEMES; scheme++)
        made_ak(&keys[scheme], scheme);
    made_ak(&another, MADE_ECDSA_P256);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (enum made_scheme scheme = 0; scheme < MADE_SCHEMES; scheme++)
        made_ak_free(&keys[scheme]);
    made_ak_free(&another);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_by_every_kind_of_key_pass),
        cmocka_unit_test(what_the_tpm_did_not_say_itself_is_refused),
        cmocka_unit_test(another_question_is_refused),
        cmocka_unit_test(other_values_of_pcrs_are_refused),
        cmocka_unit_test(a_quote_of_other_pcrs_is_refused),
        cmocka_unit_test(another_key_s_signature_is_refused),
        cmocka_unit_test(keys_that_sign_for_their_user_are_refused),
        cmocka_unit_test(each_end_and_what_is_behind_it_is_malformed),
        cmocka_unit_test(public_parts_are_read_with_their_size),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
