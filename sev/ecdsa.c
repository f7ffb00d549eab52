#include "sev/ecdsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <string.h>

#define COORD       48  /* bytes of a P-384 coordinate or scalar */
#define DER_SIG_MAX 112 /* SEQUENCE of two INTEGERs of at most 49 bytes, and room */

#define CLEANUP(name, type, release)                                                                         \
    static void cleanup_##name(type **p)                                                                     \
    {                                                                                                        \
        release(*p);                                                                                         \
    }
CLEANUP(sig, ECDSA_SIG, ECDSA_SIG_free)
CLEANUP(md, EVP_MD_CTX, EVP_MD_CTX_free)
CLEANUP(pctx, EVP_PKEY_CTX, EVP_PKEY_CTX_free)
CLEANUP(pkey, EVP_PKEY, EVP_PKEY_free)
CLEANUP(bio, BIO, BIO_free_all)
#define CLEAN(name) __attribute__((cleanup(cleanup_##name)))

static bool is_p384(EVP_PKEY *key)
{
    char group[32];
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
           (strcmp(group, SN_secp384r1) == 0 || strcmp(group, "P-384") == 0);
}

int snp_ecdsa_sign(struct snp_signature *out, EVP_PKEY *key, struct view message, struct cofre_err *err)
{
    uint8_t der[DER_SIG_MAX];
    size_t der_len = sizeof der;
    const uint8_t *p = der;
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!is_p384(key))
        return cofre_fail(err, COFRE_MALFORMED, "the signing key is not an EC key of P-384");
    if (!md || EVP_DigestSignInit(md, NULL, EVP_sha384(), NULL, key) != 1 ||
        EVP_DigestSign(md, der, &der_len, message.data, message.len) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL could not sign with the key; is it a private key?");
    CLEAN(sig) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    memset(out, 0, sizeof *out);
    if (!sig || BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), out->r, sizeof out->r) < 0 ||
        BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), out->s, sizeof out->s) < 0)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL made a signature that is not one of P-384");
    return 0;
}

/* The DER form that OpenSSL verifies; 0 where R or S is longer than a scalar of the curve can be. */
static size_t signature_to_der(uint8_t der[DER_SIG_MAX], const struct snp_signature *in)
{
    if (!bytes_are_zero(in->r + COORD, sizeof in->r - COORD) ||
        !bytes_are_zero(in->s + COORD, sizeof in->s - COORD) ||
        !bytes_are_zero(in->reserved, sizeof in->reserved))
        return 0;
    CLEAN(sig) ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_lebin2bn(in->r, COORD, NULL);
    BIGNUM *s = BN_lebin2bn(in->s, COORD, NULL);
    if (!sig || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return 0;
    }
    int len = i2d_ECDSA_SIG(sig, NULL);
    return len > 0 && len <= DER_SIG_MAX ? (size_t)i2d_ECDSA_SIG(sig, &der) : 0;
}

int snp_ecdsa_verify(const struct snp_signature *signature, EVP_PKEY *key, struct view message,
                     struct cofre_err *err)
{
    uint8_t der[DER_SIG_MAX];
    if (!is_p384(key))
        return cofre_fail(err, COFRE_MALFORMED, "the verifying key is not an EC key of P-384");
    size_t len = signature_to_der(der, signature);
    if (len == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the signature has bytes set where one of P-384 has none");
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!md || EVP_DigestVerifyInit(md, NULL, EVP_sha384(), NULL, key) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL could not begin to verify a signature");
    if (EVP_DigestVerify(md, der, len, message.data, message.len) != 1)
        return cofre_fail(err, COFRE_NEGATIVE, "the signature is not one of these bytes by this key");
    return 0;
}

static void reverse(uint8_t *out, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = in[len - 1 - i];
}

int snp_ecdsa_key_import(EVP_PKEY **out, const struct snp_ecdsa_key *key, struct cofre_err *err)
{
    uint8_t point[1 + 2 * COORD] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[] = SN_secp384r1;
    if (le32(&key->curve) != SNP_CURVE_P384)
        return cofre_fail(err, COFRE_MALFORMED, "the key's curve is %u and not %d (P-384)", le32(&key->curve),
                          SNP_CURVE_P384);
    if (!bytes_are_zero(key->qx + COORD, sizeof key->qx - COORD) ||
        !bytes_are_zero(key->qy + COORD, sizeof key->qy - COORD) ||
        !bytes_are_zero(key->reserved, sizeof key->reserved))
        return cofre_fail(err, COFRE_MALFORMED, "the key has bytes set where one of P-384 has none");
    reverse(point + 1, key->qx, COORD);
    reverse(point + 1 + COORD, key->qy, COORD);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end(),
    };
    CLEAN(pctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *made = NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return cofre_fail(err, COFRE_MALFORMED, "the key is not a point of P-384");
    *out = made;
    return 0;
}

static bool export_coordinate(uint8_t out[72], EVP_PKEY *key, const char *which)
{
    BIGNUM *made = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, which, &made) == 1 && BN_bn2lebinpad(made, out, 72) == 72;
    BN_free(made);
    return ok;
}

int snp_ecdsa_key_export(struct snp_ecdsa_key *out, EVP_PKEY *key, struct cofre_err *err)
{
    if (!is_p384(key))
        return cofre_fail(err, COFRE_MALFORMED, "the key is not an EC key of P-384");
    memset(out, 0, sizeof *out);
    put_le32(&out->curve, SNP_CURVE_P384);
    if (!export_coordinate(out->qx, key, OSSL_PKEY_PARAM_EC_PUB_X) ||
        !export_coordinate(out->qy, key, OSSL_PKEY_PARAM_EC_PUB_Y))
        return cofre_fail(err, COFRE_FAILED, "OpenSSL could not give the public half of the key");
    return 0;
}

/* No prompt: a key under a passphrase is refused with a sentence. */
static int no_passphrase(char *buf, int size, int writing, void *data)
{
    (void)buf, (void)size, (void)writing;
    *(bool *)data = true;
    return -1;
}

int snp_ecdsa_key_read(EVP_PKEY **out, struct view pem, const char *name, struct cofre_err *err)
{
    bool wanted_passphrase = false;
    CLEAN(bio) BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    CLEAN(pkey)
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &wanted_passphrase) : NULL;
    if (wanted_passphrase)
        return cofre_fail(err, COFRE_MALFORMED,
                          "%s: the key is under a passphrase; give it in the clear (openssl pkey -in %s)",
                          name, name);
    if (!key)
        return cofre_fail(err, COFRE_MALFORMED, "%s: there is no private key in PEM in it", name);
    if (!is_p384(key))
        return cofre_fail(err, COFRE_MALFORMED,
                          "%s: the key is not of P-384 (openssl ecparam -name secp384r1 -genkey makes one)",
                          name);
    *out = key;
    key = NULL;
    return 0;
}

int snp_ecdsa_key_digest(uint8_t out[SNP_DIGEST_SIZE], const struct snp_ecdsa_key *key, struct cofre_err *err)
{
    if (EVP_Digest(key, sizeof *key, out, NULL, EVP_sha384(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "key digest: SHA-384 is not available in this OpenSSL");
    return 0;
}
