#include "keys/gcm.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static void cleanup_cipher(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
}
#define CLEAN_CIPHER __attribute__((cleanup(cleanup_cipher))) EVP_CIPHER_CTX

/* Up to the text: key, nonce, additional data. */
static bool begin(EVP_CIPHER_CTX *c, const struct gcm *gcm, int sealing)
{
    const EVP_CIPHER *cipher = gcm->key.len == 16   ? EVP_aes_128_gcm()
                               : gcm->key.len == 32 ? EVP_aes_256_gcm()
                                                    : NULL;
    int n;
    return c && cipher && gcm->aad.len <= GCM_TEXT_MAX &&
           EVP_CipherInit_ex(c, cipher, NULL, gcm->key.data, gcm->nonce, sealing) == 1 &&
           (gcm->aad.len == 0 || EVP_CipherUpdate(c, NULL, &n, gcm->aad.data, (int)gcm->aad.len) == 1);
}

static bool work(EVP_CIPHER_CTX *c, uint8_t *out, struct view text)
{
    int n;
    return text.len == 0 || EVP_CipherUpdate(c, out, &n, text.data, (int)text.len) == 1;
}

int gcm_seal(uint8_t *out, const struct gcm *gcm, struct view text, struct cofre_err *err)
{
    CLEAN_CIPHER *c = EVP_CIPHER_CTX_new();
    uint8_t none[16];
    int n;
    const bool good = text.len <= GCM_TEXT_MAX && begin(c, gcm, 1) && work(c, out, text) &&
                      EVP_CipherFinal_ex(c, none, &n) == 1 &&
                      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, GCM_TAG_SIZE, out + text.len) == 1;
    return good ? 0 : cofre_fail(err, COFRE_FAILED, "AES-GCM failed");
}

int gcm_open(uint8_t *out, const struct gcm *gcm, struct view sealed, struct cofre_err *err)
{
    CLEAN_CIPHER *c = EVP_CIPHER_CTX_new();
    uint8_t none[16], tag[GCM_TAG_SIZE];
    int n;
    if (sealed.len < GCM_TAG_SIZE || sealed.len > GCM_TEXT_MAX + GCM_TAG_SIZE)
        return cofre_fail(err, COFRE_NEGATIVE, "%zu bytes are nothing that was sealed", sealed.len);
    const struct view text = {sealed.data, sealed.len - GCM_TAG_SIZE};
    memcpy(tag, sealed.data + text.len, sizeof tag);
    if (!begin(c, gcm, 0) || !work(c, out, text) ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, GCM_TAG_SIZE, tag) != 1) {
        OPENSSL_cleanse(out, text.len);
        return cofre_fail(err, COFRE_FAILED, "AES-GCM failed");
    }
    if (EVP_CipherFinal_ex(c, none, &n) == 1)
        return 0;
    OPENSSL_cleanse(out, text.len);
    return cofre_fail(err, COFRE_NEGATIVE, "what was sealed was changed, or is another's");
}
