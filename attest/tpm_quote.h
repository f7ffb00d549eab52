/*
 * A TPM's quote of its PCRs (TPM2_Quote; TCG TPM 2.0 library specification, part 2, 10.12.8 TPMS_ATTEST, part 3, 18.4), checked against
 * what somebody expects: the key is one that signs nothing that the TPM did not say itself, the TPM said it (TPM_GENERATED), it is a
 * quote, over the nonce, of exactly these PCRs with exactly these values. Whose key it is, a credential for its name has shown before
 * (docs/svsm.md).
 */
#ifndef COFRE_ATTEST_TPM_QUOTE_H
#define COFRE_ATTEST_TPM_QUOTE_H

#include "attest/tpm_public.h"

#define TPM_QUOTE_MAX           4096 /* bytes of a message or a signature, more than any has */
#define TPM_QUOTE_PCRS          24
#define TPM_QUOTE_PCR_VALUE_MAX 48
#define TPM_QUOTE_NONCE_MAX     64

/* Of one bank: SHA-256 (32 bytes a value) or SHA-384 (48). */
struct tpm_quote_pcrs {
    uint32_t given; /* a bit for each */
    size_t size;
    uint8_t value[TPM_QUOTE_PCRS][TPM_QUOTE_PCR_VALUE_MAX];
};

/* Whether quotes by this key are a TPM's: -COFRE_NEGATIVE where not. */
int tpm_quote_check_key(const struct tpm_public *key, struct cofre_err *err);
/* message: TPMS_ATTEST; signature: TPMT_SIGNATURE. -COFRE_NEGATIVE: it is not what is expected; -COFRE_MALFORMED: it is no quote. */
int tpm_quote_check(const struct tpm_public *key, struct view message, struct view signature,
                    struct view nonce, const struct tpm_quote_pcrs *pcrs, struct cofre_err *err);

#endif
