/*
 * A number in a TPM that only counts up (an NV index of type counter, TPM 2.0 part 2, 13.2; part 3, 31), by which an old copy of a
 * database is told from the current one. Who has the root counts and reads it: its authorisation value comes from there, and both
 * commands and answers are authenticated by it. The TPM's owner can take it away, but a counter that is made later goes on from the
 * highest number of those that were taken away (part 1, on NV counters).
 */
#ifndef COFRE_KEYS_SEAL_TPM_COUNTER_H
#define COFRE_KEYS_SEAL_TPM_COUNTER_H

#include "keys/seal/seal.h"
#include "vmm/tpm/tpm.h"

int tpm_counter_make(struct seal_counter *out, struct tpm *tpm, const uint8_t root[static KEY_ROOT_SIZE],
                     struct cofre_err *err);
/* -COFRE_NEGATIVE: there is none of this root's. */
int tpm_counter_read(uint64_t *value, struct tpm *tpm, const struct seal_counter *counter,
                     const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err);
/* Counts up by one, and reads. */
int tpm_counter_advance(uint64_t *value, struct tpm *tpm, const struct seal_counter *counter,
                        const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err);
/* Takes away those of this root's that are not this one, so that no old database goes with an old counter. */
int tpm_counter_drop_others(struct tpm *tpm, const struct seal_counter *counter,
                            const uint8_t root[static KEY_ROOT_SIZE], struct cofre_err *err);

#endif
