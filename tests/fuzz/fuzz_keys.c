/* Published key sets of either form: what is read is a public key of a curve that is known, and can be published again. */
#include <openssl/evp.h>
#include <string.h>

#include "attest/token/key_set.h"
#include "tests/fuzz/fuzz.h"

static struct bytes made[2];

static void make_sets(void)
{
    CLEAN_KEY_SET set = {0};
    EVP_PKEY *one = NULL, *two = NULL;
    FUZZ_CHECK(key_generate(&one, "ES256", NULL) == 0 && key_set_add(&set, one, KEY_CURRENT, 0, NULL) == 0);
    FUZZ_CHECK(key_generate(&two, "ES384", NULL) == 0 && key_set_add(&set, two, KEY_NEXT, 0, NULL) == 0);
    FUZZ_CHECK(key_set_cose(&made[0], &set, 0, NULL) == 0 && key_set_jwks(&made[1], &set, 0, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_COSE_KEYS keys = {0};
    struct view in = {data, size};
    struct cofre_err err = {""};
    (void)keys_recognise_cose(in);
    (void)keys_recognise_jwks(in);
    if (keys_read(&keys, in, &err) < 0) {
        FUZZ_CHECK(*err.text && keys.count == 0);
        return 0;
    }
    FUZZ_CHECK(keys.count >= 1 && keys.count <= COSE_KEYS_MAX);
    for (size_t i = 0; i < keys.count; i++) {
        uint8_t kid[COSE_THUMBPRINT_SIZE];
        FUZZ_CHECK(keys.key[i].kid_len <= COSE_KID_MAX &&
                   ecdsa_is_key(keys.key[i].alg->curve, keys.key[i].key));
        FUZZ_CHECK(cose_key_thumbprint(kid, keys.key[i].key, NULL) == 0);
        FUZZ_CHECK(key_is_named(&keys.key[i], (struct view){kid, sizeof kid}));
    }
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (!made[0].data)
        make_sets();
    if (index >= 2)
        return 0;
    memcpy(out, made[index].data, made[index].len);
    return made[index].len;
}
