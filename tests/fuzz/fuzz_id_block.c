/* ID block and ID authentication, one after the other: what was not signed so must not verify. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>

#include "sev/id_block.h"
#include "sev/policy.h"
#include "tests/fuzz/fuzz.h"

struct signed_block {
    struct snp_id_block block;
    struct snp_id_auth auth;
};

/* [0] without, [1] with an author key. */
static const struct signed_block *genuine(unsigned with_author)
{
    static struct signed_block made[2];
    if (made[0].block.version == 0) {
        EVP_PKEY *id = EVP_EC_gen("P-384"), *author = EVP_EC_gen("P-384");
        for (int i = 0; i < 2; i++) {
            made[i].block = (struct snp_id_block){.version = 1, .policy = SNP_POLICY_DEFAULT};
            FUZZ_CHECK(snp_id_auth_sign(&made[i].auth, &made[i].block, id, i ? author : NULL, NULL) == 0);
        }
        EVP_PKEY_free(id);
        EVP_PKEY_free(author);
    }
    return &made[with_author];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct signed_block in = {0};
    size_t first = size < sizeof in.block ? size : sizeof in.block;
    if (snp_id_block_parse(&in.block, (struct view){data, first}, NULL) < 0 ||
        snp_id_auth_parse(&in.auth, (struct view){data + first, size - first}, NULL) < 0)
        return 0;
    bool with_author = snp_id_auth_has_author(&in.auth);
    const struct signed_block *made = genuine(with_author); /* before anything else takes random bytes */
    if (snp_id_auth_verify(&in.auth, &in.block, with_author, NULL) == 0)
        FUZZ_CHECK(memcmp(&in, made, sizeof in) == 0);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (index > 1)
        return 0;
    memcpy(out, genuine(index), sizeof(struct signed_block));
    return sizeof(struct signed_block);
}
