/* CoRIMs from anybody: what is accepted is whole, is written and read again as it was, and what was not signed does not verify. */
#include <openssl/evp.h>
#include <string.h>

#include "attest/token/key_set.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/corim/made.h"

enum { SNP, TDX, SIGNED, SEEDS };

static struct bytes made[SEEDS];
static struct cose_keys keys;

static void make_all(void)
{
    struct reference snp = made_snp(), tdx = made_tdx();
    const struct corim in[] = {made_corim(&snp, 1), made_corim(&tdx, 1)};
    struct cose_key *slot = &keys.key[keys.count++];
    FUZZ_CHECK(key_generate(&slot->key, "ES256", NULL) == 0);
    slot->alg = cose_alg_of_key(slot->key);
    FUZZ_CHECK(corim_write(&made[SNP], &in[0], NULL) == 0 && corim_write(&made[TDX], &in[1], NULL) == 0);
    FUZZ_CHECK(corim_sign(&made[SIGNED], &in[0], slot->key, NULL) == 0);
}

static void check_whole(const struct corim *c)
{
    FUZZ_CHECK(c->values.count >= 1 && c->values.count <= CORIM_VALUES_MAX && c->id[0]);
    for (size_t i = 0; i < c->values.count; i++) {
        const struct reference *r = &c->values.item[i];
        FUZZ_CHECK(r->tee == c->tee && reference_check(r, NULL) == 0);
        FUZZ_CHECK(reference_name_is_valid((struct view){(const uint8_t *)r->name, strlen(r->name)}));
        for (int f = 0; f < REFERENCE_FIELDS; f++)
            for (size_t b = 0; b < reference_kinds[f].size; b++)
                FUZZ_CHECK(!(r->field[f].value[b] & ~r->field[f].mask[b]));
    }
}

static void check_again(struct corim *c)
{
    CLEAN_BYTES once = {0}, twice = {0};
    CLEAN_CORIM back = {0};
    if (c->until == INT64_MAX)
        c->from = 0; /* no form to write it in */
    FUZZ_CHECK(corim_write(&once, c, NULL) == 0 && corim_read(&back, bytes_view(&once), NULL) == 0);
    FUZZ_CHECK(back.values.count == c->values.count);
    FUZZ_CHECK(corim_write(&twice, &back, NULL) == 0 && view_equal(bytes_view(&once), bytes_view(&twice)));
    for (size_t i = 0; i < back.values.count; i++)
        FUZZ_CHECK(memcmp(back.values.item[i].field, c->values.item[i].field,
                          sizeof back.values.item[i].field) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view in = {data, size};
    CLEAN_CORIM read = {0}, verified = {0};
    uint8_t signer[COSE_THUMBPRINT_SIZE];
    struct cofre_err err = {""};
    if (!keys.count)
        make_all();
    int rc = corim_read(&read, in, &err);
    FUZZ_CHECK(rc == 0 || *err.text);
    if (rc == 0) {
        FUZZ_CHECK(corim_recognises(in));
        check_whole(&read);
        check_again(&read);
    }
    if (corim_verify(&verified, signer, in, &keys, &err) < 0)
        return 0;
    FUZZ_CHECK(verified.is_signed && strcmp(verified.signer, "build.example") == 0);
    FUZZ_CHECK(verified.values.count == 1 && verified.values.item[0].version == 3);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (!keys.count)
        make_all();
    if (index >= SEEDS)
        return 0;
    memcpy(out, made[index].data, made[index].len);
    return made[index].len;
}
