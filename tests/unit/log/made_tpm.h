/* A TPM in software, of which only the key is one: what it says of its clock is the test's to choose. */
#ifndef COFRE_TESTS_LOG_MADE_TPM_H
#define COFRE_TESTS_LOG_MADE_TPM_H

#include <tss2/tss2_tpm2_types.h>

#include "attest/log/clock.h"

/* What one would say of the head. */
TPMS_ATTEST made_tpm_says(const struct log_state *state, const struct log_clock *clock);
/* Signed. thumbprint and time are in the entry, too; false: it could not be made. */
bool made_tpm_entry(struct log_entry *out, const struct log_state *state, const TPMS_ATTEST *said,
                    EVP_PKEY *key, int64_t time);

#endif
