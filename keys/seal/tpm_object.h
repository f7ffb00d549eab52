/*
 * Bytes that lie sealed below a TPM's storage key, as it gives them out (TPM2_Create, part 3, 12.1). They are given back (TPM2_Unseal,
 * 12.7) to who knows the authorisation value, on a machine in a state that the owner approved: the policy is PolicyAuthorize for the
 * owner's key, then PolicyAuthValue; what the owner signs is PolicyPCR alone (keys/seal/pcr_policy.h).
 */
#ifndef COFRE_KEYS_SEAL_TPM_OBJECT_H
#define COFRE_KEYS_SEAL_TPM_OBJECT_H

#include "keys/seal/pcr_policy.h"
#include "vmm/tpm/tpm.h"

#define TPM_CONTENT_MAX 128 /* bytes that can be sealed */
#define TPM_PART_MAX    512
#define TPM_OWNER_SIZE  64 /* x | y of a key of P-256 */

struct tpm_part {
    uint16_t len;
    uint8_t data[TPM_PART_MAX];
};
struct tpm_object {
    uint8_t owner[TPM_OWNER_SIZE], parent[TPM_PARENT_SIZE];
    struct tpm_part public, private; /* TPM2B_PUBLIC and TPM2B_PRIVATE, as they go over the bus */
};

/* For the owner that is in out; the rest is filled in. */
int tpm_object_seal(struct tpm_object *out, struct tpm *tpm, const uint8_t auth[static TPM_AUTH_SIZE],
                    struct view content, struct cofre_err *err);
/* Exactly len bytes. policies: the file's name, for sentences. -COFRE_NEGATIVE: another TPM, or a cleared one; another authorisation
 * value; a state that is not approved, or not by the owner. */
int tpm_object_unseal(uint8_t *content, size_t len, struct tpm *tpm, const struct tpm_object *object,
                      const uint8_t auth[static TPM_AUTH_SIZE], const struct pcr_policy *policy,
                      const char *policies, struct cofre_err *err);

/* SHA-256 of the PCRs' values, as an approval has it. */
int tpm_pcr_digest(uint8_t out[static PCR_DIGEST_SIZE], struct tpm *tpm, uint32_t pcrs,
                   struct cofre_err *err);

#endif
