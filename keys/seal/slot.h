/* What a slot of a sealed root's file is filled with, and opened by: the ways that seal.h offers, a table's row each in seal.c. */
#ifndef COFRE_KEYS_SEAL_SLOT_H
#define COFRE_KEYS_SEAL_SLOT_H

#include "keys/seal/root_file.h"
#include "keys/seal/tpm_counter.h"

/* -COFRE_USAGE: a cost, or a passphrase, out of its bounds. */
int slot_check_cost(unsigned cost, struct cofre_err *err);
int slot_check_passphrase(struct view passphrase, struct cofre_err *err);

/* kind: SEAL_PASSPHRASE or SEAL_RECOVERY. text: a passphrase, or a recovery passphrase's letters. */
int slot_fill(struct root_file *file, enum seal_kind kind, struct view text, unsigned cost,
              const struct secret *root, struct cofre_err *err);
int slot_open(const struct root_file *file, const struct seal_secret *by, struct secret *root,
              struct seal_counter *counter, struct cofre_err *err);

/* tpm: is open afterwards, on an error too, and the caller closes it. */
int slot_tpm_fill(struct root_file *file, const struct seal_tpm_wish *wish, const struct secret *root,
                  struct tpm *tpm, struct seal_tpm_made *made, struct cofre_err *err);
int slot_tpm_open(const struct root_file *file, const struct seal_secret *by, struct secret *root,
                  struct seal_counter *counter, struct cofre_err *err);

#endif
