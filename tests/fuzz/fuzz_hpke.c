/*
 * HPKE's opening end, in every suite: only what was sealed to the key opens, to what was sealed. The first byte of an input is the
 * suite, then comes the encapsulated key, then the sealed text.
 */
#include <openssl/evp.h>
#include <string.h>

#include "keys/hpke.h"
#include "tests/fuzz/fuzz.h"

#define SUITES 4
#define TEXT   "what a guest is given, and nobody else"

static struct {
    struct hpke_about about;
    EVP_PKEY *key;
    size_t public_size;
    uint8_t seed[1 + HPKE_PUBLIC_MAX + sizeof TEXT + HPKE_OVERHEAD];
    size_t len;
} ends[SUITES];

static void make_ends(void)
{
    static const struct hpke_suite suites[SUITES] = {{HPKE_P256, HPKE_AES_128_GCM},
                                                     {HPKE_P256, HPKE_AES_256_GCM},
                                                     {HPKE_X25519, HPKE_AES_128_GCM},
                                                     {HPKE_X25519, HPKE_AES_256_GCM}};
    const struct view text = {(const uint8_t *)TEXT, sizeof TEXT};
    for (unsigned i = 0; i < SUITES; i++) {
        struct hpke_public public, enc;
        uint8_t sealed[sizeof TEXT + HPKE_OVERHEAD];
        ends[i].about =
            (struct hpke_about){suites[i], {(const uint8_t *)"info", 4}, {(const uint8_t *)"aad", 3}};
        FUZZ_CHECK(hpke_key_new(&ends[i].key, suites[i].kem, NULL) == 0);
        FUZZ_CHECK(hpke_public_of(&public, suites[i].kem, ends[i].key, NULL) == 0);
        FUZZ_CHECK(
            hpke_seal(&enc, sealed, &ends[i].about, (struct view){public.data, public.len}, text, NULL) == 0);
        ends[i].public_size = public.len;
        ends[i].seed[0] = (uint8_t)i;
        memcpy(ends[i].seed + 1, enc.data, enc.len);
        memcpy(ends[i].seed + 1 + enc.len, sealed, sizeof sealed);
        ends[i].len = 1 + enc.len + sizeof sealed;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t text[FUZZ_SEED_MAX];
    struct cofre_err err = {""};
    if (!ends[0].key)
        make_ends();
    if (size == 0 || size > sizeof text)
        return 0;
    const unsigned i = data[0] % SUITES;
    const size_t n = size - 1 < ends[i].public_size ? size - 1 : ends[i].public_size;
    const struct view enc = {data + 1, n}, sealed = {data + 1 + n, size - 1 - n};
    const bool is_key = hpke_public_check(ends[i].about.suite.kem, enc, NULL) == 0;
    memset(text, 0xff, sizeof text);
    if (hpke_open(text, &ends[i].about, ends[i].key, enc, sealed, &err) < 0) {
        FUZZ_CHECK(*err.text);
        FUZZ_CHECK(sealed.len < HPKE_OVERHEAD || bytes_are_zero(text, sealed.len - HPKE_OVERHEAD));
        return 0;
    }
    FUZZ_CHECK(is_key);
    FUZZ_CHECK(sealed.len == sizeof TEXT + HPKE_OVERHEAD && memcmp(text, TEXT, sizeof TEXT) == 0);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    if (!ends[0].key)
        make_ends();
    if (index >= SUITES)
        return 0;
    memcpy(out, ends[index].seed, ends[index].len);
    return ends[index].len;
}
