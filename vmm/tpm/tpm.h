/*
 * A TPM 2.0 (TCG library specification, part 3, by tpm2-tss's ESYS) for as long as a few commands take: its storage key, and sessions
 * that are salted to that key and whose parameters are encrypted by AES-128-CFB, so that who reads or changes what goes over the bus
 * learns nothing and is noticed.
 *
 * Errors of all that is in this room: -COFRE_LACKING: there is no TPM, it does not answer, or it is not in a state to;
 * -COFRE_NEGATIVE: it is another one than was, or refuses; -COFRE_FAILED: anything else.
 */
#ifndef COFRE_TPM_TPM_H
#define COFRE_TPM_TPM_H

#include <tss2/tss2_esys.h>

#include "vmm/tpm/link.h"

#define TPM_AUTH_SIZE                                                                                        \
    32 /* bytes of an authorisation value; the last is not zero, which a TPM would take away */
#define TPM_PARENT_SIZE 34 /* bytes of a storage key's name: the hash's number, SHA-256 of its public area */

#define TPM_HELD_MAX 8

struct tpm {
    const char *path;
    struct tpm_link *link;
    ESYS_CONTEXT *esys;
    ESYS_TR parent; /* the storage key, once it is asked for */
    uint8_t parent_name[TPM_PARENT_SIZE];
    ESYS_TR held[TPM_HELD_MAX]; /* what is to be taken out of the TPM again */
    size_t holds;
};

/* owner: the owner hierarchy's password, or empty. milliseconds: for all that comes until it is closed. path outlives it. */
int tpm_open(struct tpm *tpm, const char *path, struct view owner, unsigned milliseconds,
             struct cofre_err *err);
/* Has the storage key: the one at 0x81000001 if that is by the template, else one made anew, which is the same each time. */
int tpm_find_parent(struct tpm *tpm, struct cofre_err *err);
void tpm_close(struct tpm *tpm);
#define CLEAN_TPM __attribute__((cleanup(tpm_close))) struct tpm

/* TPM2_SE_HMAC or TPM2_SE_POLICY; salted, once there is the storage key. */
int tpm_session(struct tpm *tpm, ESYS_TR *session, TPM2_SE kind, struct cofre_err *err);
/* A session or a loaded object is taken out of the TPM when that is closed, or now. */
void tpm_hold(struct tpm *tpm, ESYS_TR handle);
void tpm_release(struct tpm *tpm, ESYS_TR handle);
/* Which of a command's first parameters are encrypted: those that are of a length of their own (TPM2B). */
enum tpm_hidden { TPM_HIDES_NOTHING = 0, TPM_HIDES_COMMAND = 1, TPM_HIDES_ANSWER = 2 };
TSS2_RC tpm_hide(struct tpm *tpm, ESYS_TR session, unsigned hidden);

/* For an answer of ESYS's that is not success: -COFRE_..., with what the TPM was to do in the sentence ("make a storage key"). */
int tpm_fail(const struct tpm *tpm, TSS2_RC rc, const char *what, struct cofre_err *err);
/* The answer of the TPM itself, without the number of the parameter, handle or session it is about; 0 where the answer is not its. */
TPM2_RC tpm_answer(TSS2_RC rc);

#endif
