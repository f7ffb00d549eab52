/*
 * A passphrase that is made by us, written down by a person, and typed again years later: 130 random bits as 26 characters of Crockford's
 * base 32, which has no I, L, O and U, and 4 more that come from these by SHA-256; in groups of five. So a typing error is told
 * from a passphrase of another file, but for one in 2^20.
 */
#ifndef COFRE_KEYS_SEAL_RECOVERY_H
#define COFRE_KEYS_SEAL_RECOVERY_H

#include "vmm/base/bytes.h"

#define RECOVERY_RANDOM  26 /* characters */
#define RECOVERY_CHECK   4
#define RECOVERY_LETTERS (RECOVERY_RANDOM + RECOVERY_CHECK)
#define RECOVERY_GROUP   5
#define RECOVERY_SIZE    (RECOVERY_LETTERS + RECOVERY_LETTERS / RECOVERY_GROUP) /* with the zero */

int recovery_make(char out[static RECOVERY_SIZE], struct cofre_err *err);
/* The letters in their one form, without a zero, from what was typed: small letters, other or no gaps, and I, L and O for digits are
 * taken. -COFRE_USAGE: a typing error. */
int recovery_read(char out[static RECOVERY_LETTERS], struct view typed, struct cofre_err *err);

#endif
