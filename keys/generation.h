/*
 * The keys as a whole: a number that each change counts up, and under the root an authentication of that number with all that
 * the database has of keys. Rows that somebody put back, took away or added do not fit to it. A whole database that is put back
 * does; a counter outside of it (of a TPM: keys/seal) that is ahead of the number shows that.
 */
#ifndef COFRE_KEYS_GENERATION_H
#define COFRE_KEYS_GENERATION_H

#include "attest/store/db.h"
#include "keys/wrap.h"

/* Within a transaction, which others that change keys then wait for. -COFRE_FAILED: what is there is not what was written. */
int key_generation_check(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t *generation,
                         struct cofre_err *err);
/* After the change, in the same transaction. */
int key_generation_advance(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t generation,
                           struct cofre_err *err);

#endif
