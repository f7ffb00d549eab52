#include "vmm/tpm/clock.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#define NONE ESYS_TR_NONE
#define SIZE (TPM_CLOCK_POINT_SIZE / 2)

/* Another template, or another word in it, is another key: auditors have this one. */
#define UNIQUE "cofre log clock 1"
static const TPM2B_PUBLIC template = {
    .publicArea = {.type = TPM2_ALG_ECC,
                   .nameAlg = TPM2_ALG_SHA256,
                   .objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT |
                                       TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                       TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                                       TPMA_OBJECT_NODA,
                   .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                            .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                       .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                            .curveID = TPM2_ECC_NIST_P256,
                                            .kdf.scheme = TPM2_ALG_NULL},
                   .unique.ecc = {.x = {.size = sizeof UNIQUE - 1, .buffer = UNIQUE}}}};

static int refused(struct tpm *tpm, TSS2_RC rc, const char *what, struct cofre_err *err)
{
    const TPM2_RC answer = tpm_answer(rc);
    return answer == TPM2_RC_BAD_AUTH || answer == TPM2_RC_AUTH_FAIL
               ? cofre_fail(err, COFRE_LACKING,
                            "the TPM %s does not %s: its endorsement hierarchy has a password", tpm->path,
                            what)
               : tpm_fail(tpm, rc, what, err);
}

/* A TPM may leave out zeros at the beginning. */
static bool put_number(uint8_t out[static SIZE], const TPM2B_ECC_PARAMETER *number)
{
    if (number->size > SIZE)
        return false;
    memset(out, 0, SIZE);
    memcpy(out + SIZE - number->size, number->buffer, number->size);
    return true;
}

static int make_key(ESYS_TR *key, struct tpm_clock *out, struct tpm *tpm, struct cofre_err *err)
{
    static const TPM2B_SENSITIVE_CREATE none = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcrs = {0};
    TPM2B_PUBLIC *made = NULL;
    const TSS2_RC rc = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, NONE, NONE,
                                          &none, &template, &outside, &pcrs, key, &made, NULL, NULL, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return refused(tpm, rc, "make the key that signs its clock", err);
    tpm_hold(tpm, *key);
    const TPMS_ECC_POINT *point = &made->publicArea.unique.ecc;
    const bool fits = put_number(out->key, &point->x) && put_number(out->key + SIZE, &point->y);
    Esys_Free(made);
    return fits ? 0 : cofre_fail(err, COFRE_FAILED, "the TPM %s makes a key that is not on P-256", tpm->path);
}

/* As they go over the bus. */
static int take(struct tpm_clock *out, const TPM2B_ATTEST *said, const TPMT_SIGNATURE *signature,
                const struct tpm *tpm, struct cofre_err *err)
{
    size_t len = 0;
    if (said->size > sizeof out->attest ||
        Tss2_MU_TPMT_SIGNATURE_Marshal(signature, out->signature, sizeof out->signature, &len) !=
            TSS2_RC_SUCCESS)
        return cofre_fail(err, COFRE_FAILED, "the TPM %s says its clock in another form than is known here",
                          tpm->path);
    memcpy(out->attest, said->attestationData, said->size);
    out->attest_len = (uint8_t)said->size;
    out->signature_len = (uint8_t)len;
    return 0;
}

int tpm_clock_attest(struct tpm_clock *out, struct tpm *tpm,
                     const uint8_t qualifying[static TPM_CLOCK_QUALIFYING_SIZE], struct cofre_err *err)
{
    static const TPMT_SIG_SCHEME by_key = {.scheme = TPM2_ALG_NULL};
    TPM2B_DATA data = {.size = TPM_CLOCK_QUALIFYING_SIZE};
    TPM2B_ATTEST *said = NULL;
    TPMT_SIGNATURE *signature = NULL;
    ESYS_TR key;
    *out = (struct tpm_clock){0};
    memcpy(data.buffer, qualifying, TPM_CLOCK_QUALIFYING_SIZE);
    int rc = make_key(&key, out, tpm, err);
    if (rc < 0)
        return rc;
    const TSS2_RC answer = Esys_GetTime(tpm->esys, ESYS_TR_RH_ENDORSEMENT, key, ESYS_TR_PASSWORD,
                                        ESYS_TR_PASSWORD, NONE, &data, &by_key, &said, &signature);
    rc = answer == TSS2_RC_SUCCESS ? take(out, said, signature, tpm, err)
                                   : refused(tpm, answer, "say its clock", err);
    Esys_Free(said);
    Esys_Free(signature);
    tpm_release(tpm, key);
    return rc;
}
