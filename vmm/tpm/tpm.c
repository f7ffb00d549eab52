#include "vmm/tpm/tpm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_rc.h>

#include "vmm/base/cleanup.h"

#define NONE           ESYS_TR_NONE
#define STORAGE_KEY    0x81000001u /* TCG Registry of Reserved TPM 2.0 Handles and Localities */
#define OWNER_AUTH_MAX 32          /* bytes */

/* What is built with 0 shows that a search of the bus finds what this hides: tests/unit/keys. */
#ifndef TPM_ENCRYPTED
#define TPM_ENCRYPTED 1
#endif

/* The storage key by the TCG's template for P-256 (TPM v2.0 Provisioning Guidance 1.0, 7.5.1), with nothing in its unique field. */
static const TPM2B_PUBLIC storage_template = {
    .publicArea = {.type = TPM2_ALG_ECC,
                   .nameAlg = TPM2_ALG_SHA256,
                   .objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM |
                                       TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                       TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
                   .parameters.eccDetail = {
                       .symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB},
                       .scheme.scheme = TPM2_ALG_NULL,
                       .curveID = TPM2_ECC_NIST_P256,
                       .kdf.scheme = TPM2_ALG_NULL}}};

TPM2_RC tpm_answer(TSS2_RC rc)
{
    if ((rc & TSS2_RC_LAYER_MASK) != TSS2_TPM_RC_LAYER)
        return 0;
    return rc & TPM2_RC_FMT1 ? rc & (TPM2_RC_FMT1 | 0x3f) : rc;
}

int tpm_fail(const struct tpm *tpm, TSS2_RC rc, const char *what, struct cofre_err *err)
{
    static const struct {
        TPM2_RC answer;
        enum cofre_error code;
        const char *sentence;
    } known[] = {
        {TPM2_RC_LOCKOUT, COFRE_LACKING,
         "is locked after too many wrong authorisation values; it opens again with time, or by its lockout "
         "authorisation"},
        {TPM2_RC_AUTH_FAIL, COFRE_NEGATIVE, "says that the authorisation value is another"},
        {TPM2_RC_BAD_AUTH, COFRE_NEGATIVE, "says that the authorisation value is another"},
        {TPM2_RC_FAILURE, COFRE_LACKING, "is in failure mode: it has to be started anew"},
        {TPM2_RC_INITIALIZE, COFRE_LACKING, "has not been started up"},
    };
    const char *why = tpm_link_why(tpm->link);
    if (why)
        return cofre_fail(err, COFRE_LACKING, "the TPM %s %s (it was to %s)", tpm->path, why, what);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tpm_answer(rc) == known[i].answer)
            return cofre_fail(err, known[i].code, "the TPM %s %s (it was to %s)", tpm->path,
                              known[i].sentence, what);
    return cofre_fail(err, COFRE_FAILED, "the TPM %s did not %s: %s", tpm->path, what, Tss2_RC_Decode(rc));
}

/* Lines of tpm2-tss's own on standard error would come before the one sentence that is ours; who wants them sets TSS2_LOG. */
static void be_quiet(void)
{
    (void)setenv("TSS2_LOG", "all+none", 0);
}

static int start(struct tpm *tpm, const char *path, unsigned milliseconds, struct cofre_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, be_quiet);
    *tpm = (struct tpm){.path = path, .parent = NONE};
    int rc = tpm_link_open(&tpm->link, path, milliseconds, err);
    if (rc < 0)
        return rc;
    const TSS2_RC answer = Esys_Initialize(&tpm->esys, tpm_link_tcti(tpm->link), NULL);
    return answer == TSS2_RC_SUCCESS ? 0 : tpm_fail(tpm, answer, "be talked to", err);
}

static bool is_storage_key(const TPM2B_PUBLIC *key)
{
    const TPMT_PUBLIC *is = &key->publicArea, *should = &storage_template.publicArea;
    const TPMS_ECC_PARMS *a = &is->parameters.eccDetail, *b = &should->parameters.eccDetail;
    const TPMA_OBJECT matter = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_SIGN_ENCRYPT |
                               TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                               TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH;
    return is->type == should->type && is->nameAlg == should->nameAlg &&
           (is->objectAttributes & matter) == (should->objectAttributes & matter) &&
           a->curveID == b->curveID && a->symmetric.algorithm == b->symmetric.algorithm &&
           a->symmetric.keyBits.aes == b->symmetric.keyBits.aes &&
           a->symmetric.mode.aes == b->symmetric.mode.aes;
}

/* The one that the TPM keeps, if that is as it should be. */
static TSS2_RC kept_parent(struct tpm *tpm)
{
    TPM2B_PUBLIC *public = NULL;
    TSS2_RC rc = Esys_TR_FromTPMPublic(tpm->esys, STORAGE_KEY, NONE, NONE, NONE, &tpm->parent);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_ReadPublic(tpm->esys, tpm->parent, NONE, NONE, NONE, &public, NULL, NULL);
    if (rc == TSS2_RC_SUCCESS && !is_storage_key(public))
        rc = TPM2_RC_HANDLE;
    if (rc != TSS2_RC_SUCCESS && tpm->parent != NONE)
        (void)Esys_TR_Close(tpm->esys, &tpm->parent);
    Esys_Free(public);
    return rc;
}

/* Not salted, there is nothing yet to salt it to; the password itself does not go over the bus even so. */
static TSS2_RC owner_session(struct tpm *tpm, ESYS_TR *session)
{
    static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    const TSS2_RC rc = Esys_StartAuthSession(tpm->esys, NONE, NONE, NONE, NONE, NONE, NULL, TPM2_SE_HMAC,
                                             &none, TPM2_ALG_SHA256, session);
    if (rc == TSS2_RC_SUCCESS)
        tpm_hold(tpm, *session);
    return rc;
}

static int make_parent(struct tpm *tpm, struct cofre_err *err)
{
    static const TPM2B_SENSITIVE_CREATE none = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcrs = {0};
    ESYS_TR session = NONE;
    TSS2_RC rc = owner_session(tpm, &session);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_OWNER, session, NONE, NONE, &none, &storage_template,
                                &outside, &pcrs, &tpm->parent, NULL, NULL, NULL, NULL);
    if (tpm_answer(rc) == TPM2_RC_BAD_AUTH || tpm_answer(rc) == TPM2_RC_AUTH_FAIL)
        return cofre_fail(
            err, COFRE_LACKING,
            "the TPM %s makes no storage key without its owner's password, and keeps none at 0x%x", tpm->path,
            STORAGE_KEY);
    if (rc != TSS2_RC_SUCCESS)
        return tpm_fail(tpm, rc, "make its storage key", err);
    tpm_hold(tpm, tpm->parent);
    tpm_release(tpm, session);
    return 0;
}

static int name_parent(struct tpm *tpm, struct cofre_err *err)
{
    TPM2B_NAME *name = NULL;
    const TSS2_RC rc = Esys_TR_GetName(tpm->esys, tpm->parent, &name);
    if (rc != TSS2_RC_SUCCESS)
        return tpm_fail(tpm, rc, "name its storage key", err);
    const bool fits = name->size == TPM_PARENT_SIZE;
    memcpy(tpm->parent_name, name->name, TPM_PARENT_SIZE);
    Esys_Free(name);
    return fits ? 0
                : cofre_fail(err, COFRE_FAILED,
                             "the TPM %s gives its storage key another name than by SHA-256", tpm->path);
}

int tpm_open(struct tpm *tpm, const char *path, struct view owner, unsigned milliseconds,
             struct cofre_err *err)
{
    TPM2B_AUTH auth = {.size = (UINT16)owner.len};
    *tpm = (struct tpm){0};
    if (owner.len > OWNER_AUTH_MAX)
        return cofre_fail(err, COFRE_USAGE, "a TPM's owner has a password of at most %d bytes",
                          OWNER_AUTH_MAX);
    int rc = start(tpm, path, milliseconds, err);
    if (rc == 0 && owner.len) {
        memcpy(auth.buffer, owner.data, owner.len);
        (void)Esys_TR_SetAuth(tpm->esys, ESYS_TR_RH_OWNER, &auth);
        explicit_bzero(&auth, sizeof auth);
    }
    if (rc < 0)
        tpm_close(tpm);
    return rc;
}

int tpm_find_parent(struct tpm *tpm, struct cofre_err *err)
{
    const TSS2_RC found = kept_parent(tpm);
    int rc = 0;
    if (tpm_answer(found) == TPM2_RC_HANDLE)
        rc = make_parent(tpm, err);
    else if (found != TSS2_RC_SUCCESS)
        rc = tpm_fail(tpm, found, "show its storage key", err);
    return rc < 0 ? rc : name_parent(tpm, err);
}

void tpm_hold(struct tpm *tpm, ESYS_TR handle)
{
    if (tpm->holds < TPM_HELD_MAX)
        tpm->held[tpm->holds++] = handle;
}

void tpm_release(struct tpm *tpm, ESYS_TR handle)
{
    for (size_t i = 0; i < tpm->holds; i++)
        if (tpm->held[i] == handle) {
            (void)Esys_FlushContext(tpm->esys, handle);
            tpm->held[i] = tpm->held[--tpm->holds];
            return;
        }
}

void tpm_close(struct tpm *tpm)
{
    if (!tpm->link)
        return;
    while (tpm->esys && tpm->holds)
        tpm_release(tpm, tpm->held[tpm->holds - 1]);
    if (tpm->esys)
        Esys_Finalize(&tpm->esys);
    tpm_link_close(tpm->link);
    *tpm = (struct tpm){0};
}

int tpm_session(struct tpm *tpm, ESYS_TR *session, TPM2_SE kind, struct cofre_err *err)
{
    static const TPMT_SYM_DEF aes = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
    const TSS2_RC rc = Esys_StartAuthSession(tpm->esys, tpm->parent, NONE, NONE, NONE, NONE, NULL, kind, &aes,
                                             TPM2_ALG_SHA256, session);
    if (rc != TSS2_RC_SUCCESS)
        return tpm_fail(tpm, rc, "begin a session", err);
    tpm_hold(tpm, *session);
    return 0;
}

TSS2_RC tpm_hide(struct tpm *tpm, ESYS_TR session, unsigned hidden)
{
    TPMA_SESSION attributes = TPMA_SESSION_CONTINUESESSION;
    if (TPM_ENCRYPTED && hidden & TPM_HIDES_COMMAND)
        attributes |= TPMA_SESSION_DECRYPT;
    if (TPM_ENCRYPTED && hidden & TPM_HIDES_ANSWER)
        attributes |= TPMA_SESSION_ENCRYPT;
    return Esys_TRSess_SetAttributes(tpm->esys, session, attributes, 0xff);
}
