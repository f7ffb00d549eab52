#include "keys/seal/tpm_object.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "vmm/base/clean_openssl.h"

#define NONE      ESYS_TR_NONE
#define HASH_SIZE 32
#define GOOD(rc)  ((rc) == TSS2_RC_SUCCESS)

static const TPM2B_NONCE policy_ref = {.size = sizeof PCR_POLICY_REF - 1, .buffer = PCR_POLICY_REF};

/* The owner's key */

static void owner_public(TPM2B_PUBLIC *out, const uint8_t point[static TPM_OWNER_SIZE])
{
    *out = (TPM2B_PUBLIC){
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH,
                       .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                                .scheme = {.scheme = TPM2_ALG_ECDSA,
                                                           .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
                                                .curveID = TPM2_ECC_NIST_P256,
                                                .kdf.scheme = TPM2_ALG_NULL},
                       .unique.ecc = {.x.size = HASH_SIZE, .y.size = HASH_SIZE}}};
    memcpy(out->publicArea.unique.ecc.x.buffer, point, HASH_SIZE);
    memcpy(out->publicArea.unique.ecc.y.buffer, point + HASH_SIZE, HASH_SIZE);
}

/* Part 1, 16: the hash's number, and the hash of the public area. */
static int owner_name(TPM2B_NAME *out, const uint8_t point[static TPM_OWNER_SIZE], struct cofre_err *err)
{
    TPM2B_PUBLIC public;
    uint8_t area[TPM_PART_MAX];
    size_t used = 0;
    owner_public(&public, point);
    *out = (TPM2B_NAME){.size = 2 + HASH_SIZE, .name = {TPM2_ALG_SHA256 >> 8, TPM2_ALG_SHA256 & 0xff}};
    return GOOD(Tss2_MU_TPMT_PUBLIC_Marshal(&public.publicArea, area, sizeof area, &used)) &&
                   EVP_Digest(area, used, out->name + 2, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "the owner's key could not be written as a TPM has it");
}

/* digest = SHA-256(digest, code, what), as each command of a policy extends it; code 0: what alone. */
static bool extend(TPM2B_DIGEST *digest, TPM2_CC code, const void *what, size_t len)
{
    const uint8_t cc[4] = {(uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8), (uint8_t)code};
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    return md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(md, digest->buffer, HASH_SIZE) == 1 &&
           (!code || EVP_DigestUpdate(md, cc, sizeof cc) == 1) && EVP_DigestUpdate(md, what, len) == 1 &&
           EVP_DigestFinal_ex(md, digest->buffer, NULL) == 1;
}

/* Computed here, so that who is on the bus cannot say what it is. */
static int object_policy(TPM2B_DIGEST *out, const uint8_t owner[static TPM_OWNER_SIZE], struct cofre_err *err)
{
    TPM2B_NAME name;
    *out = (TPM2B_DIGEST){.size = HASH_SIZE};
    int rc = owner_name(&name, owner, err);
    if (rc < 0)
        return rc;
    return extend(out, TPM2_CC_PolicyAuthorize, name.name, name.size) &&
                   extend(out, 0, policy_ref.buffer, policy_ref.size) &&
                   extend(out, TPM2_CC_PolicyAuthValue, NULL, 0)
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

/* Sealing */

static bool write_parts(struct tpm_object *out, const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private)
{
    size_t public_len = 0, private_len = 0;
    if (!GOOD(Tss2_MU_TPM2B_PUBLIC_Marshal(public, out->public.data, TPM_PART_MAX, &public_len)) ||
        !GOOD(Tss2_MU_TPM2B_PRIVATE_Marshal(private, out->private.data, TPM_PART_MAX, &private_len)))
        return false;
    out->public.len = (uint16_t)public_len;
    out->private.len = (uint16_t)private_len;
    return true;
}

static TSS2_RC create(struct tpm_object *out, struct tpm *tpm, ESYS_TR session,
                      const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_DIGEST *policy)
{
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcrs = {0};
    const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT,
                       .authPolicy = *policy,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    TPM2B_PUBLIC *public = NULL;
    TPM2B_PRIVATE *private = NULL;
    TSS2_RC rc = tpm_hide(tpm, session, TPM_HIDES_COMMAND | TPM_HIDES_ANSWER);
    if (GOOD(rc))
        rc = Esys_Create(tpm->esys, tpm->parent, session, NONE, NONE, sensitive, &template, &outside, &pcrs,
                         &private, &public, NULL, NULL, NULL);
    if (GOOD(rc) && !write_parts(out, public, private))
        rc = TSS2_ESYS_RC_GENERAL_FAILURE;
    Esys_Free(public);
    Esys_Free(private);
    return rc;
}

/* tpm2-tss keeps command and answer in one buffer, which it frees as it is; another command goes over what was secret there. */
static void overwrite_buffer(struct tpm *tpm)
{
    static const TPM2B_SENSITIVE_DATA zeros = {.size = TPM_CONTENT_MAX};
    (void)Esys_StirRandom(tpm->esys, NONE, NONE, NONE, &zeros);
}

int tpm_object_seal(struct tpm_object *out, struct tpm *tpm, const uint8_t auth[static TPM_AUTH_SIZE],
                    struct view content, struct cofre_err *err)
{
    ESYS_TR session;
    TPM2B_DIGEST policy;
    TPM2B_SENSITIVE_CREATE sensitive = {
        .sensitive = {.userAuth.size = TPM_AUTH_SIZE, .data.size = (UINT16)content.len}};
    int rc = content.len <= TPM_CONTENT_MAX ? object_policy(&policy, out->owner, err)
                                            : cofre_fail(err, COFRE_USAGE, "too much is to be sealed");
    if (rc == 0)
        rc = tpm_session(tpm, &session, TPM2_SE_HMAC, err);
    if (rc < 0)
        return rc;
    memcpy(sensitive.sensitive.userAuth.buffer, auth, TPM_AUTH_SIZE);
    memcpy(sensitive.sensitive.data.buffer, content.data, content.len);
    const TSS2_RC made = create(out, tpm, session, &sensitive, &policy);
    OPENSSL_cleanse(&sensitive, sizeof sensitive);
    rc = GOOD(made) ? 0 : tpm_fail(tpm, made, "seal the root", err);
    overwrite_buffer(tpm);
    tpm_release(tpm, session);
    memcpy(out->parent, tpm->parent_name, TPM_PARENT_SIZE);
    return rc;
}

/* Unsealing */

static int load(ESYS_TR *out, struct tpm *tpm, const struct tpm_object *object, struct cofre_err *err)
{
    TPM2B_PUBLIC public = {0};
    TPM2B_PRIVATE private = {0};
    ESYS_TR session;
    size_t public_used = 0, private_used = 0;
    if (!GOOD(
            Tss2_MU_TPM2B_PUBLIC_Unmarshal(object->public.data, object->public.len, &public_used, &public)) ||
        !GOOD(Tss2_MU_TPM2B_PRIVATE_Unmarshal(object->private.data, object->private.len, &private_used,
                                              &private)) ||
        public_used != object->public.len || private_used != object->private.len)
        return cofre_fail(err, COFRE_MALFORMED, "the slot \"tpm\" has no object of a TPM");
    int rc = tpm_session(tpm, &session, TPM2_SE_HMAC, err);
    if (rc < 0)
        return rc;
    TSS2_RC answer = tpm_hide(tpm, session, TPM_HIDES_NOTHING);
    if (GOOD(answer))
        answer = Esys_Load(tpm->esys, tpm->parent, session, NONE, NONE, &private, &public, out);
    tpm_release(tpm, session);
    if (tpm_answer(answer) == TPM2_RC_INTEGRITY)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the TPM %s did not seal what the slot \"tpm\" has: the slot was changed",
                          tpm->path);
    if (!GOOD(answer))
        return tpm_fail(tpm, answer, "load what it sealed", err);
    tpm_hold(tpm, *out);
    return 0;
}

int tpm_pcr_digest(uint8_t out[static PCR_DIGEST_SIZE], struct tpm *tpm, uint32_t pcrs, struct cofre_err *err)
{
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (unsigned i = 0; good && i < PCR_COUNT; i++) {
        TPML_PCR_SELECTION selection;
        TPML_DIGEST *values = NULL;
        if (!(pcrs >> i & 1))
            continue;
        pcr_selection(&selection, UINT32_C(1) << i);
        const TSS2_RC rc = Esys_PCR_Read(tpm->esys, NONE, NONE, NONE, &selection, NULL, NULL, &values);
        if (!GOOD(rc))
            return tpm_fail(tpm, rc, "tell its PCRs", err);
        const bool there = values->count == 1 && values->digests[0].size == PCR_DIGEST_SIZE;
        good = there && EVP_DigestUpdate(md, values->digests[0].buffer, PCR_DIGEST_SIZE) == 1;
        Esys_Free(values);
        if (!there)
            return cofre_fail(err, COFRE_LACKING, "the TPM %s has no PCR %u of SHA-256", tpm->path, i);
    }
    return good && EVP_DigestFinal_ex(md, out, NULL) == 1 ? 0
                                                          : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

static int not_approved(struct tpm *tpm, const struct pcr_policy *policy, const char *policies,
                        struct cofre_err *err)
{
    uint8_t digest[PCR_DIGEST_SIZE];
    char list[80], hex[2 * PCR_DIGEST_SIZE + 1];
    const uint32_t pcrs = policy->approved[policy->count - 1].pcrs;
    int rc = tpm_pcr_digest(digest, tpm, pcrs, err);
    if (rc < 0)
        return rc;
    pcr_print_list(list, pcrs);
    hex_encode(hex, digest, sizeof digest);
    return cofre_fail(err, COFRE_NEGATIVE,
                      "the machine is in a state that %s does not approve: PCRs %s of the TPM %s have the "
                      "digest %s",
                      policies, list, tpm->path, hex);
}

/* The first approval that fits is the session's policy now. */
static int match_pcrs(const struct pcr_approval **out, struct tpm *tpm, ESYS_TR session,
                      const struct pcr_policy *policy, const char *policies, struct cofre_err *err)
{
    for (size_t i = 0; i < policy->count; i++) {
        TPML_PCR_SELECTION selection;
        TPM2B_DIGEST digest = {.size = PCR_DIGEST_SIZE};
        memcpy(digest.buffer, policy->approved[i].digest, PCR_DIGEST_SIZE);
        pcr_selection(&selection, policy->approved[i].pcrs);
        const TSS2_RC rc = Esys_PolicyPCR(tpm->esys, session, NONE, NONE, NONE, &digest, &selection);
        *out = &policy->approved[i];
        if (GOOD(rc))
            return 0;
        if (tpm_answer(rc) != TPM2_RC_VALUE)
            return tpm_fail(tpm, rc, "compare its PCRs", err);
    }
    return not_approved(tpm, policy, policies, err);
}

/* Part 3, 23.16: the TPM checks the owner's signature, and vouches for that with a ticket. */
static TSS2_RC check_signature(TPMT_TK_VERIFIED **ticket, struct tpm *tpm,
                               const struct pcr_approval *approval, const TPM2B_DIGEST *approved,
                               const uint8_t owner[static TPM_OWNER_SIZE])
{
    TPM2B_PUBLIC public;
    ESYS_TR key;
    TPM2B_DIGEST digest = *approved;
    TPMT_SIGNATURE signature = {.sigAlg = TPM2_ALG_ECDSA,
                                .signature.ecdsa = {.hash = TPM2_ALG_SHA256,
                                                    .signatureR.size = HASH_SIZE,
                                                    .signatureS.size = HASH_SIZE}};
    memcpy(signature.signature.ecdsa.signatureR.buffer, approval->signature, HASH_SIZE);
    memcpy(signature.signature.ecdsa.signatureS.buffer, approval->signature + HASH_SIZE, HASH_SIZE);
    if (!extend(&digest, 0, policy_ref.buffer, policy_ref.size))
        return TSS2_ESYS_RC_GENERAL_FAILURE;
    owner_public(&public, owner);
    TSS2_RC rc = Esys_LoadExternal(tpm->esys, NONE, NONE, NONE, NULL, &public, ESYS_TR_RH_OWNER, &key);
    if (!GOOD(rc))
        return rc;
    tpm_hold(tpm, key);
    rc = Esys_VerifySignature(tpm->esys, key, NONE, NONE, NONE, &digest, &signature, ticket);
    tpm_release(tpm, key);
    return rc;
}

static int satisfy(struct tpm *tpm, ESYS_TR session, const struct tpm_object *object,
                   const struct pcr_policy *policy, const char *policies, struct cofre_err *err)
{
    const struct pcr_approval *approval = NULL;
    TPM2B_DIGEST approved;
    TPM2B_NAME name;
    TPMT_TK_VERIFIED *ticket = NULL;
    int rc = match_pcrs(&approval, tpm, session, policy, policies, err);
    if (rc == 0)
        rc = pcr_approved_policy(&approved, approval, err);
    if (rc == 0)
        rc = owner_name(&name, object->owner, err);
    if (rc < 0)
        return rc;
    TSS2_RC answer = check_signature(&ticket, tpm, approval, &approved, object->owner);
    if (tpm_answer(answer) == TPM2_RC_SIGNATURE)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "%s: what it approves of this machine's state is not signed by the owner's key",
                          policies);
    if (GOOD(answer))
        answer =
            Esys_PolicyAuthorize(tpm->esys, session, NONE, NONE, NONE, &approved, &policy_ref, &name, ticket);
    Esys_Free(ticket);
    if (GOOD(answer))
        answer = Esys_PolicyAuthValue(tpm->esys, session, NONE, NONE, NONE);
    return GOOD(answer) ? 0 : tpm_fail(tpm, answer, "follow the owner's policy", err);
}

static int take(uint8_t *content, size_t len, struct tpm *tpm, ESYS_TR object, ESYS_TR session,
                const uint8_t auth[static TPM_AUTH_SIZE], struct cofre_err *err)
{
    TPM2B_AUTH value = {.size = TPM_AUTH_SIZE};
    TPM2B_SENSITIVE_DATA *data = NULL;
    memcpy(value.buffer, auth, TPM_AUTH_SIZE);
    TSS2_RC answer = Esys_TR_SetAuth(tpm->esys, object, &value);
    OPENSSL_cleanse(&value, sizeof value);
    if (GOOD(answer))
        answer = tpm_hide(tpm, session, TPM_HIDES_ANSWER);
    if (GOOD(answer))
        answer = Esys_Unseal(tpm->esys, object, session, NONE, NONE, &data);
    if (!GOOD(answer))
        return tpm_answer(answer) == TPM2_RC_PCR_CHANGED
                   ? cofre_fail(err, COFRE_NEGATIVE, "PCRs of the TPM %s changed while it was asked",
                                tpm->path)
                   : tpm_fail(tpm, answer, "unseal the root", err);
    const bool fits = data->size == len;
    if (fits)
        memcpy(content, data->buffer, len);
    OPENSSL_cleanse(data, sizeof *data);
    Esys_Free(data);
    overwrite_buffer(tpm);
    return fits ? 0
                : cofre_fail(err, COFRE_NEGATIVE, "the TPM %s sealed something else in the slot \"tpm\"",
                             tpm->path);
}

int tpm_object_unseal(uint8_t *content, size_t len, struct tpm *tpm, const struct tpm_object *object,
                      const uint8_t auth[static TPM_AUTH_SIZE], const struct pcr_policy *policy,
                      const char *policies, struct cofre_err *err)
{
    ESYS_TR loaded, session;
    if (memcmp(object->parent, tpm->parent_name, TPM_PARENT_SIZE) != 0)
        return cofre_fail(
            err, COFRE_NEGATIVE,
            "the TPM %s is not the one that sealed the slot \"tpm\", or was cleared since: give the "
            "root a new slot with the recovery passphrase",
            tpm->path);
    int rc = load(&loaded, tpm, object, err);
    if (rc == 0)
        rc = tpm_session(tpm, &session, TPM2_SE_POLICY, err);
    if (rc == 0)
        rc = satisfy(tpm, session, object, policy, policies, err);
    if (rc == 0)
        rc = take(content, len, tpm, loaded, session, auth, err);
    if (rc < 0)
        return rc;
    tpm_release(tpm, session);
    tpm_release(tpm, loaded);
    return 0;
}
