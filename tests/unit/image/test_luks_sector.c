/* Sectors are what dm-crypt would have written; decrypted and authenticated here by other calls of OpenSSL's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "vmm/image/luks_sector.h"

static uint8_t key[LUKS_VOLUME_KEY_MAX], clear[LUKS_SECTOR_SIZE];

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * 7 + 1);
    for (unsigned i = 0; i < sizeof clear; i++)
        clear[i] = (uint8_t)(i / 16);
    return 0;
}

static void is_decrypted_by(const uint8_t *sector, const uint8_t iv[16])
{
    uint8_t out[LUKS_SECTOR_SIZE];
    int len;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_DecryptInit_ex2(ctx, EVP_aes_256_xts(), key, iv, NULL), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, out, &len, sector, sizeof out), 1);
    EVP_CIPHER_CTX_free(ctx);
    assert_memory_equal(out, clear, sizeof clear);
}

/* Over the sector's number in sectors of 512 bytes, the IV, and what was encrypted to. */
static void mac_of(uint8_t out[32], uint64_t sector512, const uint8_t *iv, const uint8_t *sector)
{
    uint8_t all[8 + 16 + LUKS_SECTOR_SIZE];
    for (unsigned i = 0; i < 8; i++)
        all[i] = (uint8_t)(sector512 >> (8 * i));
    memcpy(all + 8, iv, 16);
    memcpy(all + 24, sector, LUKS_SECTOR_SIZE);
    assert_non_null(HMAC(EVP_sha256(), key + 64, 32, all, sizeof all, out, NULL));
}

static struct luks_sealer *sealer(bool integrity)
{
    struct luks_sealer *s;
    assert_int_equal(luks_sealer_make(&s, key, integrity, NULL), 0);
    return s;
}

static void without_integrity_the_iv_is_the_number(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 4097, (1ull << 45) + 3};
    struct luks_sealer *s = sealer(false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint8_t sector[LUKS_SECTOR_SIZE], iv[16] = {0}, tag[LUKS_TAG_SIZE] = {0};
        memcpy(sector, clear, sizeof sector);
        assert_true(luks_sector_seal(s, sector, numbers[i], tag));
        put_le64(iv, 8 * numbers[i]);
        is_decrypted_by(sector, iv);
        assert_true(bytes_are_zero(tag, sizeof tag));
    }
    luks_sealer_free(s);
}

static void with_integrity_the_tag_has_mac_and_iv(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 4097, (1ull << 45) + 3};
    struct luks_sealer *s = sealer(true);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint8_t sector[LUKS_SECTOR_SIZE], tag[LUKS_TAG_SIZE], mac[32];
        memcpy(sector, clear, sizeof sector);
        assert_true(luks_sector_seal(s, sector, numbers[i], tag));
        is_decrypted_by(sector, tag + 32);
        mac_of(mac, 8 * numbers[i], tag + 32, sector);
        assert_memory_equal(tag, mac, 32);
        mac_of(mac, 8 * numbers[i] + 8, tag + 32, sector);
        assert_memory_not_equal(tag, mac, 32);
    }
    luks_sealer_free(s);
}

static void no_two_are_encrypted_alike(void **state)
{
    (void)state;
    struct luks_sealer *s = sealer(true);
    uint8_t one[LUKS_SECTOR_SIZE], other[LUKS_SECTOR_SIZE], tag[2][LUKS_TAG_SIZE];
    memcpy(one, clear, sizeof one);
    memcpy(other, clear, sizeof other);
    assert_true(luks_sector_seal(s, one, 5, tag[0]) && luks_sector_seal(s, other, 5, tag[1]));
    assert_memory_not_equal(tag[0] + 32, tag[1] + 32, 16);
    assert_memory_not_equal(one, other, sizeof one);
    luks_sealer_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_integrity_the_iv_is_the_number),
        cmocka_unit_test(with_integrity_the_tag_has_mac_and_iv),
        cmocka_unit_test(no_two_are_encrypted_alike),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
