#include "keys/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

static int derive(uint8_t *out, size_t len, int mode, struct view key, const char *other, struct view value,
                  struct cofre_err *err)
{
    static char sha256[] = "SHA256", none[] = "";
    OSSL_PARAM params[] = {
        OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, sizeof sha256 - 1),
        OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, key.len ? (void *)key.data : none, key.len),
        OSSL_PARAM_octet_string(other, value.len ? (void *)value.data : none, value.len), OSSL_PARAM_END};
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *c = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    const bool good = c && EVP_KDF_derive(c, out, len, params) == 1;
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(hkdf);
    return good ? 0 : cofre_fail(err, COFRE_FAILED, "HKDF failed");
}

int hkdf_extract(uint8_t out[static HKDF_SIZE], struct view salt, struct view secret, struct cofre_err *err)
{
    return derive(out, HKDF_SIZE, EVP_KDF_HKDF_MODE_EXTRACT_ONLY, secret, OSSL_KDF_PARAM_SALT, salt, err);
}

int hkdf_expand(uint8_t *out, size_t len, const uint8_t key[static HKDF_SIZE], struct view info,
                struct cofre_err *err)
{
    return derive(out, len, EVP_KDF_HKDF_MODE_EXPAND_ONLY, (struct view){key, HKDF_SIZE}, OSSL_KDF_PARAM_INFO,
                  info, err);
}
