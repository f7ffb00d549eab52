#include "sev/ecdsa.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "vmm/base/ecdsa.h"

#define COORD 48 /* bytes of a P-384 coordinate or scalar; fields have 72 */

static void cleanup_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
static void cleanup_bio(BIO **p)
{
    BIO_free_all(*p);
}
#define CLEAN(name) __attribute__((cleanup(cleanup_##name)))

static void reverse(uint8_t *out, const uint8_t *in)
{
    for (size_t i = 0; i < COORD; i++)
        out[i] = in[COORD - 1 - i];
}

int snp_ecdsa_sign(struct snp_signature *out, EVP_PKEY *key, struct view message, struct cofre_err *err)
{
    uint8_t made[2 * COORD];
    int rc = ecdsa_sign(made, &ecdsa_p384, key, message, err);
    if (rc < 0)
        return rc;
    memset(out, 0, sizeof *out);
    reverse(out->r, made);
    reverse(out->s, made + COORD);
    return 0;
}

int snp_ecdsa_verify(const struct snp_signature *signature, EVP_PKEY *key, struct view message,
                     struct cofre_err *err)
{
    uint8_t plain[2 * COORD];
    if (!bytes_are_zero(signature->r + COORD, sizeof signature->r - COORD) ||
        !bytes_are_zero(signature->s + COORD, sizeof signature->s - COORD) ||
        !bytes_are_zero(signature->reserved, sizeof signature->reserved))
        return cofre_fail(err, COFRE_NEGATIVE, "the signature has bytes set where one of P-384 has none");
    reverse(plain, signature->r);
    reverse(plain + COORD, signature->s);
    return ecdsa_verify(&ecdsa_p384, plain, key, message, err);
}

int snp_ecdsa_check_scalar(const uint8_t field[72], const char *what, struct cofre_err *err)
{
    uint8_t plain[COORD];
    if (!bytes_are_zero(field + COORD, 72 - COORD))
        return cofre_fail(err, COFRE_NEGATIVE, "%s is longer than 384 bits", what);
    reverse(plain, field);
    return ecdsa_check_scalar(&ecdsa_p384, plain, what, err);
}

int snp_ecdsa_key_import(EVP_PKEY **out, const struct snp_ecdsa_key *key, struct cofre_err *err)
{
    uint8_t point[2 * COORD];
    if (le32(&key->curve) != SNP_CURVE_P384)
        return cofre_fail(err, COFRE_MALFORMED, "the key's curve is %u and not %d (P-384)", le32(&key->curve),
                          SNP_CURVE_P384);
    if (!bytes_are_zero(key->qx + COORD, sizeof key->qx - COORD) ||
        !bytes_are_zero(key->qy + COORD, sizeof key->qy - COORD) ||
        !bytes_are_zero(key->reserved, sizeof key->reserved))
        return cofre_fail(err, COFRE_MALFORMED, "the key has bytes set where one of P-384 has none");
    reverse(point, key->qx);
    reverse(point + COORD, key->qy);
    return ecdsa_key_import(out, &ecdsa_p384, point, err);
}

int snp_ecdsa_key_export(struct snp_ecdsa_key *out, EVP_PKEY *key, struct cofre_err *err)
{
    uint8_t point[2 * COORD];
    int rc = ecdsa_key_export(point, &ecdsa_p384, key, err);
    if (rc < 0)
        return rc;
    memset(out, 0, sizeof *out);
    put_le32(&out->curve, SNP_CURVE_P384);
    reverse(out->qx, point);
    reverse(out->qy, point + COORD);
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
    if (!ecdsa_is_key(&ecdsa_p384, key))
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
