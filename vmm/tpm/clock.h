/*
 * What a TPM says of its own clock, signed by a key that never leaves it, with something of the caller's in what is signed (TPM2_GetTime,
 * TCG library specification, part 3, 18.7). The key is a primary one of the endorsement hierarchy, by a template of ours: it is made
 * anew each time, is the same each time, and cannot sign anything that the TPM did not say itself (it is restricted). Keys of that
 * hierarchy are told true numbers of resets; those of the owner's get them obscured (part 1, on attestation).
 */
#ifndef COFRE_TPM_CLOCK_H
#define COFRE_TPM_CLOCK_H

#include "vmm/tpm/tpm.h"

#define TPM_CLOCK_QUALIFYING_SIZE 32
#define TPM_CLOCK_POINT_SIZE      64
#define TPM_CLOCK_ATTEST_MAX      160 /* bytes of a TPMS_ATTEST of the time, whose names are by SHA-256 */
#define TPM_CLOCK_SIGNATURE_MAX   80  /* of a TPMT_SIGNATURE by ECDSA on P-256 */

struct tpm_clock {
    uint8_t key[TPM_CLOCK_POINT_SIZE]; /* x | y, on P-256 */
    uint8_t attest_len, attest[TPM_CLOCK_ATTEST_MAX];
    uint8_t signature_len, signature[TPM_CLOCK_SIGNATURE_MAX];
};

/* -COFRE_LACKING also where the endorsement hierarchy has a password. What the answer says is not looked at: attest/log/clock.h. */
int tpm_clock_attest(struct tpm_clock *out, struct tpm *tpm,
                     const uint8_t qualifying[static TPM_CLOCK_QUALIFYING_SIZE], struct cofre_err *err);

#endif
