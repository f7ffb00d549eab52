#include "attest/tpm_public.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/ecdsa.h"

/* tpm2-tss would print a line of its own for what is malformed. Before there are threads, since it goes by the environment. */
__attribute__((constructor)) static void be_quiet(void)
{
    (void)setenv("TSS2_LOG", "all+none", 0);
}

void tpm_public_free(struct tpm_public *public)
{
    EVP_PKEY_free(public->key);
    public->key = NULL;
}

static const struct hash {
    TPMI_ALG_HASH number;
    const char *name;
    const EVP_MD *(*md)(void);
} hashes[] = {{TPM2_ALG_SHA256, "SHA-256", EVP_sha256},
              {TPM2_ALG_SHA384, "SHA-384", EVP_sha384},
              {TPM2_ALG_SHA512, "SHA-512", EVP_sha512}};

static const struct hash *find_hash(TPMI_ALG_HASH number)
{
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (hashes[i].number == number)
            return &hashes[i];
    return NULL;
}

/* Only what is written again as the same bytes: a name is of bytes, and there must be one reading of them. */
static int unmarshal(TPMT_PUBLIC *out, struct view area, struct cofre_err *err)
{
    uint8_t again[sizeof(TPMT_PUBLIC)];
    UINT16 type = 0;
    size_t at = 0, used = 0, len = 0;
    if (Tss2_MU_UINT16_Unmarshal(area.data, area.len, &at, &type) != TSS2_RC_SUCCESS ||
        (type != TPM2_ALG_RSA && type != TPM2_ALG_ECC))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it is no TPM's public key of RSA or of an elliptic curve, as such begin");
    if (Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data, area.len, &used, out) != TSS2_RC_SUCCESS)
        return cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is cut off, or is none");
    if (used != area.len)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are behind a TPM's public key", area.len - used);
    if (Tss2_MU_TPMT_PUBLIC_Marshal(out, again, sizeof again, &len) != TSS2_RC_SUCCESS || len != used ||
        memcmp(again, area.data, len) != 0)
        return cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is not written as a TPM writes it");
    return 0;
}

static int import_rsa(struct tpm_public *out, struct cofre_err *err)
{
    const TPMS_RSA_PARMS *parms = &out->area.parameters.rsaDetail;
    const TPM2B_PUBLIC_KEY_RSA *n = &out->area.unique.rsa;
    if ((parms->keyBits != 2048 && parms->keyBits != 3072 && parms->keyBits != 4096) ||
        n->size != parms->keyBits / 8 || !(n->buffer[0] & 0x80) || !(n->buffer[n->size - 1] & 1) ||
        (parms->exponent && parms->exponent != RSA_F4))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a TPM's public key is not one of RSA with 2048, 3072 or 4096 bits and the "
                          "exponent 65537");
    BIGNUM *modulus = BN_bin2bn(n->buffer, n->size, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    const bool made = modulus && build && ctx &&
                      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
                      OSSL_PARAM_BLD_push_uint(build, OSSL_PKEY_PARAM_RSA_E, RSA_F4) == 1 &&
                      (params = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(ctx) == 1 &&
                      EVP_PKEY_fromdata(ctx, &out->key, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    (void)snprintf(out->kind, sizeof out->kind, "RSA-%u", parms->keyBits);
    return made ? 0 : cofre_fail(err, COFRE_FAILED, "OpenSSL took no public key of RSA");
}

bool tpm_put_number(uint8_t *out, size_t size, const TPM2B_ECC_PARAMETER *number)
{
    if (number->size > size)
        return false;
    memset(out, 0, size);
    memcpy(out + size - number->size, number->buffer, number->size);
    return true;
}

static int import_ecc(struct tpm_public *out, struct cofre_err *err)
{
    const TPMI_ECC_CURVE id = out->area.parameters.eccDetail.curveID;
    const struct ecdsa_curve *curve = id == TPM2_ECC_NIST_P256   ? &ecdsa_p256
                                      : id == TPM2_ECC_NIST_P384 ? &ecdsa_p384
                                                                 : NULL;
    uint8_t point[2 * ECDSA_SIZE_MAX];
    if (!curve || !tpm_put_number(point, curve->size, &out->area.unique.ecc.x) ||
        !tpm_put_number(point + curve->size, curve->size, &out->area.unique.ecc.y))
        return cofre_fail(err, COFRE_MALFORMED,
                          "a TPM's public key is not one of the curves P-256 and P-384");
    (void)snprintf(out->kind, sizeof out->kind, "ECC %s", curve->name);
    return ecdsa_key_import(&out->key, curve, point, err) < 0
               ? cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is no point of %s", curve->name)
               : 0;
}

static int put_name(struct tpm_public *out, struct view area, struct cofre_err *err)
{
    unsigned len = 0;
    const struct hash *hash = find_hash(out->area.nameAlg);
    const size_t kind = strlen(out->kind);
    if (!hash)
        return cofre_fail(err, COFRE_MALFORMED, "a TPM's public key is named by the hash 0x%04x",
                          out->area.nameAlg);
    out->name[0] = (uint8_t)(hash->number >> 8);
    out->name[1] = (uint8_t)hash->number;
    if (EVP_Digest(area.data, area.len, out->name + 2, &len, hash->md(), NULL) != 1)
        return cofre_fail(err, COFRE_FAILED, "%s failed", hash->name);
    out->name_len = 2 + len;
    (void)snprintf(out->kind + kind, sizeof out->kind - kind, ", %s", hash->name);
    return 0;
}

int tpm_public_read(struct tpm_public *out, struct view area, struct cofre_err *err)
{
    memset(out, 0, sizeof *out);
    int rc = unmarshal(&out->area, area, err);
    if (rc == 0)
        rc = out->area.type == TPM2_ALG_RSA ? import_rsa(out, err) : import_ecc(out, err);
    return rc < 0 ? rc : put_name(out, area, err);
}

int tpm_public_read_sized(struct tpm_public *out, struct view file, struct cofre_err *err)
{
    memset(out, 0, sizeof *out);
    if (file.len < 2 || (size_t)(file.data[0] << 8 | file.data[1]) != file.len - 2)
        return cofre_fail(err, COFRE_MALFORMED,
                          "it is no TPM's public key with its size before it (TPM2B_PUBLIC)");
    return tpm_public_read(out, (struct view){file.data + 2, file.len - 2}, err);
}

const char *tpm_public_may_leave(const struct tpm_public *public)
{
    const TPMA_OBJECT is = public->area.objectAttributes;
    if (!(is & TPMA_OBJECT_FIXEDTPM) || !(is & TPMA_OBJECT_FIXEDPARENT))
        return "may be taken to other TPMs (fixedTPM or fixedParent is clear)";
    if (!(is & TPMA_OBJECT_SENSITIVEDATAORIGIN))
        return "was not made by the TPM (sensitiveDataOrigin is clear)";
    return NULL;
}
