#include "keys/seal/tpm_counter.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define NONE        ESYS_TR_NONE
#define GOOD(rc)    ((rc) == TSS2_RC_SUCCESS)
#define FIRST_INDEX 0x01a0c0f0u /* an owner's: TCG Registry of Reserved TPM 2.0 Handles and Localities */
#define INDEXES     16
#define SIZE        8

/* Its wrong authorisation values do not count towards a lockout: they are 32 bytes that nobody can try. */
#define ATTRIBUTES                                                                                           \
    (TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA | (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT))

static int derive(TPM2B_AUTH *auth, const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    *auth = (TPM2B_AUTH){.size = TPM_AUTH_SIZE};
    int rc = key_derive(auth->buffer, root, "cofre root counter 1", err);
    auth->buffer[TPM_AUTH_SIZE - 1] |= 1; /* a TPM takes zeros at the end away */
    return rc;
}

static int define(struct seal_counter *out, struct tpm *tpm, const TPM2B_AUTH *auth, struct cofre_err *err)
{
    ESYS_TR session, made;
    TSS2_RC answer = TPM2_RC_NV_DEFINED;
    int rc = tpm_session(tpm, &session, TPM2_SE_HMAC, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; tpm_answer(answer) == TPM2_RC_NV_DEFINED && i < INDEXES; i++) {
        out->index = FIRST_INDEX + i;
        const TPM2B_NV_PUBLIC public = {.nvPublic = {.nvIndex = out->index,
                                                     .nameAlg = TPM2_ALG_SHA256,
                                                     .attributes = ATTRIBUTES,
                                                     .dataSize = SIZE}};
        answer = tpm_hide(tpm, session, TPM_HIDES_COMMAND);
        if (GOOD(answer))
            answer =
                Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, session, NONE, NONE, auth, &public, &made);
    }
    tpm_release(tpm, session);
    if (tpm_answer(answer) == TPM2_RC_BAD_AUTH || tpm_answer(answer) == TPM2_RC_AUTH_FAIL)
        return cofre_fail(err, COFRE_LACKING, "the TPM %s makes no counter without its owner's password",
                          tpm->path);
    return GOOD(answer) ? 0 : tpm_fail(tpm, answer, "make a counter", err);
}

/* By the session its own authorisation value is proved, and the TPM's answers are. */
static TSS2_RC open_index(ESYS_TR *index, struct tpm *tpm, uint32_t number, const TPM2B_AUTH *auth)
{
    TPM2B_NV_PUBLIC *public = NULL;
    TSS2_RC rc = Esys_TR_FromTPMPublic(tpm->esys, number, NONE, NONE, NONE, index);
    if (GOOD(rc))
        rc = Esys_NV_ReadPublic(tpm->esys, *index, NONE, NONE, NONE, &public, NULL);
    if (GOOD(rc) &&
        ((public->nvPublic.attributes & ~TPMA_NV_WRITTEN) != ATTRIBUTES || public->nvPublic.dataSize != SIZE))
        rc = TPM2_RC_HANDLE;
    Esys_Free(public);
    return GOOD(rc) ? Esys_TR_SetAuth(tpm->esys, *index, auth) : rc;
}

static TSS2_RC read_index(uint64_t *value, struct tpm *tpm, ESYS_TR index, ESYS_TR session)
{
    TPM2B_MAX_NV_BUFFER *data = NULL;
    TSS2_RC rc = tpm_hide(tpm, session, TPM_HIDES_NOTHING);
    if (GOOD(rc))
        rc = Esys_NV_Read(tpm->esys, index, index, session, NONE, NONE, SIZE, 0, &data);
    if (GOOD(rc) && data->size != SIZE)
        rc = TSS2_ESYS_RC_MALFORMED_RESPONSE;
    *value = 0;
    for (size_t i = 0; GOOD(rc) && i < SIZE; i++)
        *value = *value << 8 | data->buffer[i];
    Esys_Free(data);
    return rc;
}

static int count(uint64_t *value, struct tpm *tpm, uint32_t number, const TPM2B_AUTH *auth, bool up,
                 struct cofre_err *err)
{
    ESYS_TR index, session;
    int rc = tpm_session(tpm, &session, TPM2_SE_HMAC, err);
    if (rc < 0)
        return rc;
    TSS2_RC answer = open_index(&index, tpm, number, auth);
    if (GOOD(answer) && up)
        answer = tpm_hide(tpm, session, TPM_HIDES_NOTHING);
    if (GOOD(answer) && up)
        answer = Esys_NV_Increment(tpm->esys, index, index, session, NONE, NONE);
    if (GOOD(answer))
        answer = read_index(value, tpm, index, session);
    tpm_release(tpm, session);
    if (!up && tpm_answer(answer) == TPM2_RC_NV_UNINITIALIZED) /* whoever made it came no further */
        return 0;
    if (tpm_answer(answer) == TPM2_RC_HANDLE || tpm_answer(answer) == TPM2_RC_AUTH_FAIL ||
        tpm_answer(answer) == TPM2_RC_BAD_AUTH)
        return cofre_fail(err, COFRE_NEGATIVE, "the TPM %s has no counter of this root at 0x%08x any more",
                          tpm->path, number);
    return GOOD(answer) ? 0 : tpm_fail(tpm, answer, up ? "advance its counter" : "tell its counter", err);
}

int tpm_counter_make(struct seal_counter *out, struct tpm *tpm, const uint8_t root[static KEY_ROOT_SIZE],
                     struct cofre_err *err)
{
    TPM2B_AUTH auth;
    *out = (struct seal_counter){0};
    int rc = derive(&auth, root, err);
    if (rc == 0 && RAND_bytes(out->id, sizeof out->id) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    if (rc == 0)
        rc = define(out, tpm, &auth, err);
    if (rc == 0) /* before that there is nothing to be read */
        rc = count(&out->first, tpm, out->index, &auth, true, err);
    OPENSSL_cleanse(&auth, sizeof auth);
    return rc;
}

static int count_by(uint64_t *value, struct tpm *tpm, const struct seal_counter *counter,
                    const uint8_t root[static KEY_ROOT_SIZE], bool up, struct cofre_err *err)
{
    TPM2B_AUTH auth;
    int rc = derive(&auth, root, err);
    if (rc == 0)
        rc = count(value, tpm, counter->index, &auth, up, err);
    OPENSSL_cleanse(&auth, sizeof auth);
    return rc;
}

int tpm_counter_read(uint64_t *value, struct tpm *tpm, const struct seal_counter *counter,
                     const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    return count_by(value, tpm, counter, root, false, err);
}

int tpm_counter_advance(uint64_t *value, struct tpm *tpm, const struct seal_counter *counter,
                        const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    return count_by(value, tpm, counter, root, true, err);
}

static int drop(struct tpm *tpm, uint32_t number, struct cofre_err *err)
{
    ESYS_TR index, session;
    int rc = tpm_session(tpm, &session, TPM2_SE_HMAC, err);
    if (rc < 0)
        return rc;
    TSS2_RC answer = Esys_TR_FromTPMPublic(tpm->esys, number, NONE, NONE, NONE, &index);
    if (GOOD(answer))
        answer = tpm_hide(tpm, session, TPM_HIDES_NOTHING);
    if (GOOD(answer))
        answer = Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_OWNER, index, session, NONE, NONE);
    tpm_release(tpm, session);
    return GOOD(answer) ? 0 : tpm_fail(tpm, answer, "take an old counter away", err);
}

/* Of the numbers that counters are made at, those that are taken, by whomever. */
static int list_indexes(TPMS_CAPABILITY_DATA **out, struct tpm *tpm, struct cofre_err *err)
{
    const TSS2_RC rc =
        Esys_GetCapability(tpm->esys, NONE, NONE, NONE, TPM2_CAP_HANDLES, FIRST_INDEX, INDEXES, NULL, out);
    return GOOD(rc) ? 0 : tpm_fail(tpm, rc, "list its counters", err);
}

static int drop_if_ours(struct tpm *tpm, uint32_t number, const TPM2B_AUTH *auth, struct cofre_err *err)
{
    uint64_t value;
    int rc = count(&value, tpm, number, auth, false, err);
    if (rc == -COFRE_NEGATIVE) /* another root's, or none */
        return 0;
    return rc < 0 ? rc : drop(tpm, number, err);
}

int tpm_counter_drop_others(struct tpm *tpm, const struct seal_counter *counter,
                            const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err)
{
    TPM2B_AUTH auth;
    TPMS_CAPABILITY_DATA *found = NULL;
    int rc = derive(&auth, root, err);
    if (rc == 0)
        rc = list_indexes(&found, tpm, err);
    for (uint32_t i = 0; rc == 0 && i < found->data.handles.count; i++) {
        const uint32_t number = found->data.handles.handle[i];
        if (number < FIRST_INDEX + INDEXES && number != counter->index)
            rc = drop_if_ours(tpm, number, &auth, err);
    }
    Esys_Free(found);
    OPENSSL_cleanse(&auth, sizeof auth);
    return rc;
}
