#include "tests/unit/attest/made_quote.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/ecdsa.h"

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static const struct scheme {
    TPM2_ALG_ID type, number, hash;
    const struct ecdsa_curve *curve;
    TPM2_ECC_CURVE id;
} schemes[MADE_SCHEMES] = {
    [MADE_ECDSA_P256] = {TPM2_ALG_ECC, TPM2_ALG_ECDSA, TPM2_ALG_SHA256, &ecdsa_p256, TPM2_ECC_NIST_P256},
    [MADE_ECDSA_P384] = {TPM2_ALG_ECC, TPM2_ALG_ECDSA, TPM2_ALG_SHA384, &ecdsa_p384, TPM2_ECC_NIST_P384},
    [MADE_RSASSA] = {TPM2_ALG_RSA, TPM2_ALG_RSASSA, TPM2_ALG_SHA256, NULL, 0},
    [MADE_RSAPSS] = {TPM2_ALG_RSA, TPM2_ALG_RSAPSS, TPM2_ALG_SHA384, NULL, 0},
};

static const EVP_MD *md_of(const struct scheme *s)
{
    return s->hash == TPM2_ALG_SHA384 ? EVP_sha384() : EVP_sha256();
}

static void put_ecc(TPMT_PUBLIC *area, EVP_PKEY *key, const struct scheme *s)
{
    uint8_t point[2 * ECDSA_SIZE_MAX];
    TPMS_ECC_POINT *to = &area->unique.ecc;
    MUST(ecdsa_key_export(point, s->curve, key, NULL) == 0);
    area->parameters.eccDetail =
        (TPMS_ECC_PARMS){.symmetric.algorithm = TPM2_ALG_NULL,
                         .scheme = {.scheme = s->number, .details.ecdsa.hashAlg = s->hash},
                         .curveID = s->id,
                         .kdf.scheme = TPM2_ALG_NULL};
    to->x.size = to->y.size = (UINT16)s->curve->size;
    memcpy(to->x.buffer, point, s->curve->size);
    memcpy(to->y.buffer, point + s->curve->size, s->curve->size);
}

static void put_rsa(TPMT_PUBLIC *area, EVP_PKEY *key, const struct scheme *s)
{
    BIGNUM *n = NULL;
    MUST(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
    area->parameters.rsaDetail =
        (TPMS_RSA_PARMS){.symmetric.algorithm = TPM2_ALG_NULL,
                         .scheme = {.scheme = s->number, .details.rsassa.hashAlg = s->hash},
                         .keyBits = 2048};
    area->unique.rsa.size = 256;
    MUST(BN_bn2binpad(n, area->unique.rsa.buffer, 256) == 256);
    BN_free(n);
}

void made_ak(struct made_key *out, enum made_scheme scheme)
{
    const struct scheme *s = &schemes[scheme];
    *out = (struct made_key){.area = {.type = s->type,
                                      .nameAlg = TPM2_ALG_SHA256,
                                      .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                                          TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                                          TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED |
                                                          TPMA_OBJECT_SIGN_ENCRYPT}};
    out->key = s->curve ? EVP_EC_gen(OSSL_EC_curve_nid2name(s->curve->nid)) : EVP_RSA_gen(2048);
    MUST(out->key);
    if (s->curve)
        put_ecc(&out->area, out->key, s);
    else
        put_rsa(&out->area, out->key, s);
}

void made_ak_free(struct made_key *k)
{
    EVP_PKEY_free(k->key);
}

void made_ak_public(struct tpm_public *out, const struct made_key *k)
{
    TPM2B_PUBLIC sized = {.publicArea = k->area};
    uint8_t data[TPM_PUBLIC_MAX];
    size_t len = 0;
    MUST(Tss2_MU_TPM2B_PUBLIC_Marshal(&sized, data, sizeof data, &len) == TSS2_RC_SUCCESS);
    MUST(tpm_public_read_sized(out, (struct view){data, len}, NULL) == 0);
}

void made_pcrs(struct tpm_quote_pcrs *out, uint32_t mask, size_t size)
{
    *out = (struct tpm_quote_pcrs){.given = mask, .size = size};
    for (size_t i = 0; i < TPM_QUOTE_PCRS; i++)
        memset(out->value[i], (int)(0x40 + i), size);
}

void made_attest(TPMS_ATTEST *out, struct view nonce, const struct tpm_quote_pcrs *pcrs,
                 enum made_scheme scheme)
{
    uint8_t values[TPM_QUOTE_PCRS * TPM_QUOTE_PCR_VALUE_MAX];
    size_t len = 0;
    unsigned digest = 0;
    *out = (TPMS_ATTEST){.magic = TPM2_GENERATED_VALUE,
                         .type = TPM2_ST_ATTEST_QUOTE,
                         .qualifiedSigner = {.size = 34, .name = {0, TPM2_ALG_SHA256}},
                         .extraData.size = (UINT16)nonce.len,
                         .clockInfo = {.clock = 1000, .safe = TPM2_YES}};
    memcpy(out->extraData.buffer, nonce.data, nonce.len);
    TPMS_QUOTE_INFO *quote = &out->attested.quote;
    quote->pcrSelect.count = 1;
    TPMS_PCR_SELECTION *of = &quote->pcrSelect.pcrSelections[0];
    *of =
        (TPMS_PCR_SELECTION){.hash = pcrs->size == 48 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256, .sizeofSelect = 3};
    for (size_t i = 0; i < TPM_QUOTE_PCRS; i++)
        if (pcrs->given & 1u << i) {
            of->pcrSelect[i / 8] |= (uint8_t)(1u << i % 8);
            memcpy(values + len, pcrs->value[i], pcrs->size);
            len += pcrs->size;
        }
    MUST(EVP_Digest(values, len, quote->pcrDigest.buffer, &digest, md_of(&schemes[scheme]), NULL) == 1);
    quote->pcrDigest.size = (UINT16)digest;
}

static void sign_ecdsa(TPMT_SIGNATURE *out, const struct made_key *k, const struct scheme *s,
                       struct view message)
{
    uint8_t raw[2 * ECDSA_SIZE_MAX];
    TPMS_SIGNATURE_ECC *to = &out->signature.ecdsa;
    MUST(ecdsa_sign(raw, s->curve, k->key, message, NULL) == 0);
    to->hash = s->hash;
    to->signatureR.size = to->signatureS.size = (UINT16)s->curve->size;
    memcpy(to->signatureR.buffer, raw, s->curve->size);
    memcpy(to->signatureS.buffer, raw + s->curve->size, s->curve->size);
}

static void sign_rsa(TPMT_SIGNATURE *out, const struct made_key *k, const struct scheme *s,
                     struct view message)
{
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    TPMS_SIGNATURE_RSA *to = &out->signature.rsassa;
    size_t len = sizeof to->sig.buffer;
    MUST(EVP_DigestSignInit(ctx, &pctx, md_of(s), NULL, k->key) == 1);
    MUST(EVP_PKEY_CTX_set_rsa_padding(pctx, s->number == TPM2_ALG_RSAPSS ? RSA_PKCS1_PSS_PADDING
                                                                         : RSA_PKCS1_PADDING) == 1);
    MUST(EVP_DigestSign(ctx, to->sig.buffer, &len, message.data, message.len) == 1);
    to->hash = s->hash;
    to->sig.size = (UINT16)len;
    EVP_MD_CTX_free(ctx);
}

void made_signed(struct made_quote *out, const TPMS_ATTEST *attest, const struct made_key *k,
                 enum made_scheme scheme)
{
    const struct scheme *s = &schemes[scheme];
    TPMT_SIGNATURE signature = {.sigAlg = s->number};
    *out = (struct made_quote){0};
    MUST(Tss2_MU_TPMS_ATTEST_Marshal(attest, out->message, sizeof out->message, &out->message_len) ==
         TSS2_RC_SUCCESS);
    const struct view message = {out->message, out->message_len};
    if (s->curve)
        sign_ecdsa(&signature, k, s, message);
    else
        sign_rsa(&signature, k, s, message);
    MUST(Tss2_MU_TPMT_SIGNATURE_Marshal(&signature, out->signature, sizeof out->signature,
                                        &out->signature_len) == TSS2_RC_SUCCESS);
}
