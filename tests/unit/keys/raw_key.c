#include "tests/unit/keys/raw_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

EVP_PKEY *raw_key(enum hpke_kem kem, const char *private_key, const char *public_key)
{
    uint8_t d[32], q[HPKE_PUBLIC_MAX];
    EVP_PKEY *key = NULL;
    if (!hex_decode(d, sizeof d, private_key))
        abort();
    if (kem == HPKE_X25519)
        return EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, d, sizeof d);
    if (!hex_decode(q, sizeof q, public_key))
        abort();
    BIGNUM *number = BN_bin2bn(d, sizeof d, NULL);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, number);
    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, q, sizeof q);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (EVP_PKEY_fromdata_init(c) != 1 || EVP_PKEY_fromdata(c, &key, EVP_PKEY_KEYPAIR, params) != 1)
        abort();
    EVP_PKEY_CTX_free(c);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    BN_free(number);
    return key;
}
