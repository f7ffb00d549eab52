/* Tokens of either form from anybody, and their claims without a signature: what is accepted is whole, comes out of the other
 * form as it went in, and what was not signed does not verify. */
#include <openssl/evp.h>
#include <string.h>

#include "attest/token/token.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/json.h"

enum { CWT, JWT, CBOR, SEEDS };

static struct bytes made[SEEDS];
static struct cose_keys published;
static json_t *signed_claims;

static void make_tokens(void)
{
    const struct verdict v = {
        .tee = "tdx",
        .product = "90c06f000000",
        .root = "Intel",
        .check = {{.id = "tdx.mrtd", .outcome = CHECK_FAILED}, {.id = "tdx.xfam", .outcome = CHECK_UNJUDGED}},
        .count = 2,
        .tcb_status = "OutOfDate",
        .advisories = json_pack("[s]", "INTEL-SA-00828")};
    const struct ear_occasion o = {.policy_id = "policy",
                                   .policy_version = 2,
                                   .nonce = {(const uint8_t *)"01234567", 8},
                                   .id = {(const uint8_t *)"id", 2},
                                   .issuer = "issuer",
                                   .build = "0",
                                   .at = FUZZ_NOW,
                                   .lifetime = 300};
    CLEAN_EAR ear = {0};
    CLEAN_BYTES keys = {0};
    CLEAN_KEY_SET set = {0};
    EVP_PKEY *key = NULL;
    FUZZ_CHECK(key_generate(&key, "ES256", NULL) == 0 && key_set_add(&set, key, KEY_CURRENT, 0, NULL) == 0);
    FUZZ_CHECK(key_set_jwks(&keys, &set, 0, NULL) == 0 &&
               keys_read(&published, bytes_view(&keys), NULL) == 0);
    FUZZ_CHECK(ear_make(&ear, &v, &o, NULL) == 0);
    FUZZ_CHECK(cwt_sign(&made[CWT], &ear, key, NULL) == 0 && jwt_sign(&made[JWT], &ear, key, NULL) == 0);
    FUZZ_CHECK(ear_cbor(&made[CBOR], &ear, NULL) == 0);
    signed_claims = ear_json(&ear);
    json_decref(v.advisories);
}

static void check_ear(const struct ear *ear)
{
    CLEAN_JSON *claims = ear_json(ear), *again = NULL;
    CLEAN_BYTES cbor = {0};
    CLEAN_EAR by_json = {0}, by_cbor = {0};
    FUZZ_CHECK(claims && ear->submods >= 1 && ear->submods <= EAR_SUBMODS_MAX);
    FUZZ_CHECK(ear_from_json(&by_json, claims, NULL) == 0);
    FUZZ_CHECK(ear_cbor(&cbor, ear, NULL) == 0 && ear_from_cbor(&by_cbor, bytes_view(&cbor), NULL) == 0);
    again = ear_json(&by_cbor);
    FUZZ_CHECK(json_equal(claims, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view in = {data, size};
    CLEAN_EAR read = {0}, verified = {0};
    struct cofre_err err = {""};
    if (!signed_claims)
        make_tokens();
    int rc = jwt_recognises(in)   ? jwt_parse(&read, in, &err)
             : cwt_recognises(in) ? cwt_parse(&read, in, &err)
                                  : ear_from_cbor(&read, in, &err);
    FUZZ_CHECK(rc == 0 || *err.text);
    if (rc == 0)
        check_ear(&read);
    if (token_verify(&verified, in, &published, &err) < 0)
        return 0;
    CLEAN_JSON *claims = ear_json(&verified);
    FUZZ_CHECK(json_equal(claims, signed_claims));
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (!signed_claims)
        make_tokens();
    if (index >= SEEDS)
        return 0;
    memcpy(out, made[index].data, made[index].len);
    return made[index].len;
}
