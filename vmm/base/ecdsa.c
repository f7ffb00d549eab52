#include "vmm/base/ecdsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#define DER_SIG_MAX 112 /* SEQUENCE of two INTEGERs of at most 49 bytes, and room */

#define CLEANUP(name, type, release)                                                                         \
    static void cleanup_##name(type **p)                                                                     \
    {                                                                                                        \
        release(*p);                                                                                         \
    }
CLEANUP(sig, ECDSA_SIG, ECDSA_SIG_free)
CLEANUP(md, EVP_MD_CTX, EVP_MD_CTX_free)
CLEANUP(pctx, EVP_PKEY_CTX, EVP_PKEY_CTX_free)
#define CLEAN(name) __attribute__((cleanup(cleanup_##name)))

const struct ecdsa_curve ecdsa_p256 = {
    "P-256", NID_X9_62_prime256v1, 32, EVP_sha256, {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                                    0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51}};
const struct ecdsa_curve ecdsa_p384 = {
    "P-384", NID_secp384r1, 48, EVP_sha384, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37,
                                             0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a,
                                             0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73}};

bool ecdsa_is_key(const struct ecdsa_curve *curve, const EVP_PKEY *key)
{
    char group[32];
    return key && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
           (strcmp(group, OBJ_nid2sn(curve->nid)) == 0 || strcmp(group, curve->name) == 0);
}

static int other_curve(const struct ecdsa_curve *curve, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_MALFORMED, "the key is not an EC key of %s", curve->name);
}

int ecdsa_check_scalar(const struct ecdsa_curve *curve, const uint8_t *number, const char *what,
                       struct cofre_err *err)
{
    if (bytes_are_zero(number, curve->size))
        return cofre_fail(err, COFRE_NEGATIVE, "%s is zero: nobody signed", what);
    return memcmp(number, curve->order, curve->size) < 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "%s is not below the order of %s", what, curve->name);
}

/* The DER form that OpenSSL verifies; 0 without memory. */
static size_t to_der(uint8_t der[DER_SIG_MAX], const struct ecdsa_curve *curve, const uint8_t *signature)
{
    CLEAN(sig) ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, (int)curve->size, NULL);
    BIGNUM *s = BN_bin2bn(signature + curve->size, (int)curve->size, NULL);
    if (!sig || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return 0;
    }
    int len = i2d_ECDSA_SIG(sig, NULL);
    return len > 0 && len <= DER_SIG_MAX ? (size_t)i2d_ECDSA_SIG(sig, &der) : 0;
}

int ecdsa_verify(const struct ecdsa_curve *curve, const uint8_t *signature, EVP_PKEY *key,
                 struct view message, struct cofre_err *err)
{
    uint8_t der[DER_SIG_MAX];
    if (!ecdsa_is_key(curve, key))
        return other_curve(curve, err);
    size_t len = to_der(der, curve, signature);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    CLEAN(pctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    if (!len || !ctx || EVP_PKEY_verify_init(ctx) != 1 ||
        EVP_Digest(message.data, message.len, digest, &digest_len, curve->md(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL could not begin to verify a signature");
    bool good = EVP_PKEY_verify(ctx, der, len, digest, digest_len) == 1;
    ERR_clear_error();
    return good ? 0 : cofre_fail(err, COFRE_NEGATIVE, "the signature is not one of these bytes by this key");
}

int ecdsa_sign(uint8_t *signature, const struct ecdsa_curve *curve, EVP_PKEY *key, struct view message,
               struct cofre_err *err)
{
    uint8_t der[DER_SIG_MAX];
    size_t der_len = sizeof der;
    const uint8_t *p = der;
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!ecdsa_is_key(curve, key))
        return other_curve(curve, err);
    if (!md || EVP_DigestSignInit(md, NULL, curve->md(), NULL, key) != 1 ||
        EVP_DigestSign(md, der, &der_len, message.data, message.len) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL could not sign with the key; is it a private key?");
    CLEAN(sig) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    int size = (int)curve->size;
    if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, size) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + size, size) < 0)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL made a signature that is not one of %s", curve->name);
    return 0;
}

int ecdsa_key_import(EVP_PKEY **out, const struct ecdsa_curve *curve, const uint8_t *point,
                     struct cofre_err *err)
{
    uint8_t encoded[1 + 2 * ECDSA_SIZE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[32];
    strncpy(group, OBJ_nid2sn(curve->nid), sizeof group - 1);
    group[sizeof group - 1] = 0;
    memcpy(encoded + 1, point, 2 * curve->size);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded, 1 + 2 * curve->size),
        OSSL_PARAM_construct_end(),
    };
    CLEAN(pctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *made = NULL;
    bool on_curve = ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
                    EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params) == 1;
    ERR_clear_error();
    if (!on_curve)
        return cofre_fail(err, COFRE_MALFORMED, "the key is not a point of %s", curve->name);
    *out = made;
    return 0;
}

static bool export_coordinate(uint8_t *out, const struct ecdsa_curve *curve, const EVP_PKEY *key,
                              const char *which)
{
    BIGNUM *made = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, which, &made) == 1 && BN_bn2binpad(made, out, (int)curve->size) >= 0;
    BN_free(made);
    return ok;
}

int ecdsa_key_export(uint8_t *point, const struct ecdsa_curve *curve, const EVP_PKEY *key,
                     struct cofre_err *err)
{
    if (!ecdsa_is_key(curve, key))
        return other_curve(curve, err);
    if (!export_coordinate(point, curve, key, OSSL_PKEY_PARAM_EC_PUB_X) ||
        !export_coordinate(point + curve->size, curve, key, OSSL_PKEY_PARAM_EC_PUB_Y))
        return cofre_fail(err, COFRE_FAILED, "OpenSSL could not give the public half of the key");
    return 0;
}
