#include "attest/tpm_quote.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/clean_openssl.h"
#include "vmm/base/ecdsa.h"

#define GOOD(rc) ((rc) == TSS2_RC_SUCCESS)

static const EVP_MD *find_md(TPMI_ALG_HASH hash)
{
    return hash == TPM2_ALG_SHA256 ? EVP_sha256() : hash == TPM2_ALG_SHA384 ? EVP_sha384() : NULL;
}

/* A key that is not restricted signs whatever its user hands it, a quote of his own making too. */
int tpm_quote_check_key(const struct tpm_public *key, struct cofre_err *err)
{
    const TPMA_OBJECT is = key->area.objectAttributes;
    const char *why = tpm_public_may_leave(key);
    if (why)
        return cofre_fail(err, COFRE_NEGATIVE, "the key %s", why);
    if (!(is & TPMA_OBJECT_RESTRICTED) || !(is & TPMA_OBJECT_SIGN_ENCRYPT) || (is & TPMA_OBJECT_DECRYPT))
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the key is no restricted signing key, and so signs what its user wants to be a quote");
    return 0;
}

/* Signatures */

/* Each curve with the hash of its size. */
static int check_ecdsa(EVP_PKEY *key, struct view message, const TPMS_SIGNATURE_ECC *s, struct cofre_err *err)
{
    uint8_t raw[2 * ECDSA_SIZE_MAX];
    const struct ecdsa_curve *curve = ecdsa_is_key(&ecdsa_p256, key)   ? &ecdsa_p256
                                      : ecdsa_is_key(&ecdsa_p384, key) ? &ecdsa_p384
                                                                       : NULL;
    if (!curve || find_md(s->hash) != curve->md() || !tpm_put_number(raw, curve->size, &s->signatureR) ||
        !tpm_put_number(raw + curve->size, curve->size, &s->signatureS))
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the signature is not by such a key with the hash of its size");
    return ecdsa_verify(curve, raw, key, message, err);
}

static int check_rsa(EVP_PKEY *key, struct view message, const TPMS_SIGNATURE_RSA *s, int padding,
                     struct cofre_err *err)
{
    const EVP_MD *md = find_md(s->hash);
    EVP_PKEY_CTX *pctx = NULL;
    CLEAN(md) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!md || !EVP_PKEY_is_a(key, "RSA"))
        return cofre_fail(err, COFRE_NEGATIVE, "the signature is not by such a key with SHA-256 or SHA-384");
    if (!ctx || EVP_DigestVerifyInit(ctx, &pctx, md, NULL, key) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(pctx, padding) != 1)
        return cofre_fail(err, COFRE_FAILED, "OpenSSL verifies no signature of RSA");
    return EVP_DigestVerify(ctx, s->sig.buffer, s->sig.size, message.data, message.len) == 1
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the signature is not one of this quote by the key");
}

static int check_signature(EVP_PKEY *key, struct view message, const TPMT_SIGNATURE *s, struct cofre_err *err)
{
    switch (s->sigAlg) {
    case TPM2_ALG_ECDSA:
        return check_ecdsa(key, message, &s->signature.ecdsa, err);
    case TPM2_ALG_RSASSA:
        return check_rsa(key, message, &s->signature.rsassa, RSA_PKCS1_PADDING, err);
    case TPM2_ALG_RSAPSS: /* the salt is of any length: TPMs differ */
        return check_rsa(key, message, &s->signature.rsapss, RSA_PKCS1_PSS_PADDING, err);
    default:
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the signature's algorithm 0x%04x is none of ECDSA, RSASSA and RSAPSS", s->sigAlg);
    }
}

static TPMI_ALG_HASH hash_of(const TPMT_SIGNATURE *s)
{
    return s->sigAlg == TPM2_ALG_ECDSA    ? s->signature.ecdsa.hash
           : s->sigAlg == TPM2_ALG_RSASSA ? s->signature.rsassa.hash
                                          : s->signature.rsapss.hash;
}

/* What is said */

/* Magic and type before the rest: what else such a key signs is not even read. Nothing may be behind it. */
static int read_message(TPMS_ATTEST *out, struct view message, struct cofre_err *err)
{
    uint32_t magic = 0;
    uint16_t type = 0;
    size_t at = 0;
    memset(out, 0, sizeof *out);
    if (!GOOD(Tss2_MU_UINT32_Unmarshal(message.data, message.len, &at, &magic)) ||
        !GOOD(Tss2_MU_UINT16_Unmarshal(message.data, message.len, &at, &type)))
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are no quote", message.len);
    if (magic != TPM2_GENERATED_VALUE)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "it does not begin as what a TPM says itself: whoever may use the key can have had "
                          "it sign this");
    if (type != TPM2_ST_ATTEST_QUOTE)
        return cofre_fail(err, COFRE_NEGATIVE, "the TPM said something else with it than a quote (0x%04x)",
                          type);
    at = 0;
    if (!GOOD(Tss2_MU_TPMS_ATTEST_Unmarshal(message.data, message.len, &at, out)) || at != message.len)
        return cofre_fail(err, COFRE_MALFORMED, "the quote is cut off, or something is behind it");
    return 0;
}

static int read_signature(TPMT_SIGNATURE *out, struct view signature, struct cofre_err *err)
{
    size_t at = 0;
    memset(out, 0, sizeof *out);
    return GOOD(Tss2_MU_TPMT_SIGNATURE_Unmarshal(signature.data, signature.len, &at, out)) &&
                   at == signature.len
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "the signature is not one as a TPM writes it");
}

/* Which are quoted is signed beside the digest, and the digest does not say it: of PCRs that nobody compares it can be anything. */
static int check_selection(const TPML_PCR_SELECTION *quoted, const struct tpm_quote_pcrs *pcrs,
                           struct cofre_err *err)
{
    const TPMS_PCR_SELECTION *one = &quoted->pcrSelections[0];
    const TPMI_ALG_HASH bank = pcrs->size == 48 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;
    uint32_t of = 0;
    if (quoted->count != 1 || one->hash != bank || one->sizeofSelect > TPM2_PCR_SELECT_MAX)
        return cofre_fail(err, COFRE_NEGATIVE, "the quote is not of PCRs of %s alone",
                          bank == TPM2_ALG_SHA384 ? "SHA-384" : "SHA-256");
    for (unsigned i = 0; i < one->sizeofSelect; i++)
        of |= (uint32_t)one->pcrSelect[i] << 8 * i;
    return of == pcrs->given
               ? 0
               : cofre_fail(
                     err, COFRE_NEGATIVE,
                     "the quote is of other PCRs (0x%06x) than those whose values are expected (0x%06x)", of,
                     pcrs->given);
}

/* By the signature's hash (part 3, 18.4). */
static int check_digest(const TPM2B_DIGEST *quoted, TPMI_ALG_HASH hash, const struct tpm_quote_pcrs *pcrs,
                        struct cofre_err *err)
{
    uint8_t due[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && find_md(hash) && EVP_DigestInit_ex(md, find_md(hash), NULL) == 1;
    for (unsigned i = 0; ok && i < TPM_QUOTE_PCRS; i++)
        if (pcrs->given & 1u << i)
            ok = EVP_DigestUpdate(md, pcrs->value[i], pcrs->size) == 1;
    if (!ok || EVP_DigestFinal_ex(md, due, &len) != 1)
        return cofre_fail(err, COFRE_FAILED, "the PCRs' values could not be hashed");
    return quoted->size == len && memcmp(quoted->buffer, due, len) == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the PCRs have other values than those that are expected");
}

int tpm_quote_check(const struct tpm_public *key, struct view message, struct view signature,
                    struct view nonce, const struct tpm_quote_pcrs *pcrs, struct cofre_err *err)
{
    TPMS_ATTEST said;
    TPMT_SIGNATURE s;
    int rc = tpm_quote_check_key(key, err);
    if (rc == 0)
        rc = read_message(&said, message, err);
    if (rc == 0)
        rc = read_signature(&s, signature, err);
    if (rc == 0)
        rc = check_signature(key->key, message, &s, err);
    if (rc < 0)
        return rc;
    if (said.extraData.size != nonce.len || memcmp(said.extraData.buffer, nonce.data, nonce.len) != 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the quote is not over the nonce: it answers another question");
    rc = check_selection(&said.attested.quote.pcrSelect, pcrs, err);
    return rc < 0 ? rc : check_digest(&said.attested.quote.pcrDigest, hash_of(&s), pcrs, err);
}
