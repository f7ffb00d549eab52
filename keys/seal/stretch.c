#include "keys/seal/stretch.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

int stretch(uint8_t out[static STRETCH_SIZE], struct view text, unsigned cost, struct view salt,
            struct cofre_err *err)
{
    uint64_t n = UINT64_C(1) << cost, room = 2 * n * 128 * STRETCH_R;
    uint32_t r = STRETCH_R, p = STRETCH_P;
    OSSL_PARAM params[] = {OSSL_PARAM_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)text.data, text.len),
                           OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt.data, salt.len),
                           OSSL_PARAM_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
                           OSSL_PARAM_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
                           OSSL_PARAM_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
                           OSSL_PARAM_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &room),
                           OSSL_PARAM_END};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    const bool good = c && EVP_KDF_derive(c, out, STRETCH_SIZE, params) == 1;
    EVP_KDF_CTX_free(c);
    EVP_KDF_free(kdf);
    return good ? 0
                : cofre_fail(err, COFRE_FAILED, "scrypt failed; it takes %llu MiB of memory",
                             (unsigned long long)(n * 128 * STRETCH_R >> 20));
}
