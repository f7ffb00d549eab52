/*
 * What an owner approves of: a machine's state as its TPM has measured it, as values of PCRs (SHA-256). The owner signs the TPM's own
 * digest of that (TPM2_PolicyPCR, part 3, 23.7) as TPM2_PolicyAuthorize wants it (23.16), with ECDSA P-256 and SHA-256. A file of JSON has
 * several, so that the state after an update is approved before it comes:
 *
 *     {"cofre_pcr_policy": 1, "approved": [{"pcrs": [7, 11], "digest": HEX, "signature": HEX}, ...]}
 *
 * digest: SHA-256 of the PCRs' values one after another, from the lowest number on.
 */
#ifndef COFRE_KEYS_SEAL_PCR_POLICY_H
#define COFRE_KEYS_SEAL_PCR_POLICY_H

#include <openssl/types.h>
#include <tss2/tss2_tpm2_types.h>

#include "vmm/base/bytes.h"

#define PCR_COUNT           24
#define PCR_DIGEST_SIZE     32
#define PCR_SIGNATURE_SIZE  64 /* r | s, big-endian */
#define PCR_APPROVED_MAX    16
#define PCR_POLICY_FILE_MAX 16384          /* bytes */
#define PCR_POLICY_REF      "cofre root 1" /* policyRef: what else the owner's key signs is no approval */

struct pcr_approval {
    uint32_t pcrs; /* a bit each */
    uint8_t digest[PCR_DIGEST_SIZE], signature[PCR_SIGNATURE_SIZE];
};
struct pcr_policy {
    size_t count;
    struct pcr_approval approved[PCR_APPROVED_MAX];
};

/* -COFRE_MALFORMED: it is not what pcr_policy_write writes. Signatures are the TPM's to check. */
int pcr_policy_parse(struct pcr_policy *out, struct view text, struct cofre_err *err);
int pcr_policy_read(struct pcr_policy *out, const char *path, struct cofre_err *err);
/* Replaces the file. */
int pcr_policy_write(const struct pcr_policy *policy, const char *path, struct cofre_err *err);

/* Fills in the signature, by the owner's private key. */
int pcr_approve(struct pcr_approval *approval, EVP_PKEY *owner, struct cofre_err *err);
/* Adds one; of those with the same PCRs and digest it replaces the other. */
int pcr_policy_add(struct pcr_policy *policy, const struct pcr_approval *approval, struct cofre_err *err);

/* "7,11": from 0 to 23, each once. */
int pcr_parse_list(uint32_t *pcrs, const char *text, struct cofre_err *err);
void pcr_print_list(char out[static 80], uint32_t pcrs);

/* In the TPM's forms. */
void pcr_selection(TPML_PCR_SELECTION *out, uint32_t pcrs);
/* The policy's digest after TPM2_PolicyPCR for it. */
int pcr_approved_policy(TPM2B_DIGEST *out, const struct pcr_approval *approval, struct cofre_err *err);

#endif
