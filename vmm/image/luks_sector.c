#include "vmm/image/luks_sector.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

struct luks_sealer {
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac; /* NULL without integrity */
};

void luks_sealer_free(struct luks_sealer *s)
{
    if (!s)
        return;
    EVP_CIPHER_CTX_free(s->cipher);
    EVP_MAC_CTX_free(s->mac);
    free(s);
}

static bool make_mac(struct luks_sealer *s, const uint8_t key[LUKS_INTEGRITY_KEY_SIZE])
{
    char digest[] = LUKS_HASH;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    s->mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); /* the context has a reference of its own */
    return s->mac && EVP_MAC_init(s->mac, key, LUKS_INTEGRITY_KEY_SIZE, params);
}

static bool make(struct luks_sealer *s, const uint8_t *key, bool integrity)
{
    s->cipher = EVP_CIPHER_CTX_new();
    return s->cipher && EVP_EncryptInit_ex2(s->cipher, EVP_aes_256_xts(), key, NULL, NULL) &&
           (!integrity || make_mac(s, key + LUKS_CIPHER_KEY_SIZE));
}

int luks_sealer_make(struct luks_sealer **out, const uint8_t *key, bool integrity, struct cofre_err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out && make(*out, key, integrity))
        return 0;
    luks_sealer_free(*out);
    *out = NULL;
    return cofre_fail(err, COFRE_FAILED, "OpenSSL has no AES-XTS, or no HMAC");
}

static bool encrypt(EVP_CIPHER_CTX *cipher, const uint8_t iv[LUKS_IV_SIZE], uint8_t sector[LUKS_SECTOR_SIZE])
{
    int len = 0;
    return EVP_EncryptInit_ex2(cipher, NULL, NULL, iv, NULL) &&
           EVP_EncryptUpdate(cipher, sector, &len, sector, LUKS_SECTOR_SIZE) && len == LUKS_SECTOR_SIZE;
}

/* Of what was encrypted, and of where: dm-crypt counts sectors of 512 bytes, even where they are larger. */
static bool authenticate(EVP_MAC_CTX *mac, uint64_t number, const uint8_t iv[LUKS_IV_SIZE],
                         const uint8_t sector[LUKS_SECTOR_SIZE], uint8_t out[LUKS_MAC_SIZE])
{
    uint8_t where[8];
    size_t len = 0;
    put_le64(where, number * (LUKS_SECTOR_SIZE / 512));
    return EVP_MAC_init(mac, NULL, 0, NULL) && EVP_MAC_update(mac, where, sizeof where) &&
           EVP_MAC_update(mac, iv, LUKS_IV_SIZE) && EVP_MAC_update(mac, sector, LUKS_SECTOR_SIZE) &&
           EVP_MAC_final(mac, out, &len, LUKS_MAC_SIZE) && len == LUKS_MAC_SIZE;
}

bool luks_sector_seal(struct luks_sealer *s, uint8_t sector[LUKS_SECTOR_SIZE], uint64_t number, uint8_t *tag)
{
    uint8_t plain64[LUKS_IV_SIZE] = {0}, *iv = s->mac ? tag + LUKS_MAC_SIZE : plain64;
    if (!s->mac) {
        put_le64(plain64, number * (LUKS_SECTOR_SIZE / 512));
        return encrypt(s->cipher, iv, sector);
    }
    return RAND_bytes(iv, LUKS_IV_SIZE) == 1 && encrypt(s->cipher, iv, sector) &&
           authenticate(s->mac, number, iv, sector, tag);
}
