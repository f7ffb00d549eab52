/* Quotes for tests: as a TPM says and signs them, by keys of this test's own, each detail of which a test can make wrong. */
#ifndef COFRE_TESTS_MADE_QUOTE_H
#define COFRE_TESTS_MADE_QUOTE_H

#include <openssl/types.h>
#include <tss2/tss2_tpm2_types.h>

#include "attest/tpm_quote.h"

struct made_key {
    EVP_PKEY *key;
    TPMT_PUBLIC area;
};
enum made_scheme { MADE_ECDSA_P256, MADE_ECDSA_P384, MADE_RSASSA, MADE_RSAPSS, MADE_SCHEMES };

/* An attestation key as tpm2_createak makes one. */
void made_ak(struct made_key *out, enum made_scheme scheme);
void made_ak_free(struct made_key *k);
void made_ak_public(struct tpm_public *out, const struct made_key *k);

struct made_quote {
    uint8_t message[512], signature[600];
    size_t message_len, signature_len;
};
/* PCR n has a value of its own; the mask says of which. */
void made_pcrs(struct tpm_quote_pcrs *out, uint32_t mask, size_t size);
/* What a TPM would say of these. */
void made_attest(TPMS_ATTEST *out, struct view nonce, const struct tpm_quote_pcrs *pcrs,
                 enum made_scheme scheme);
void made_signed(struct made_quote *out, const TPMS_ATTEST *attest, const struct made_key *k,
                 enum made_scheme scheme);

#endif
