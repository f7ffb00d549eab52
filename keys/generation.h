/*
 * The keys as a whole: a number that each change counts up, and under the root an authentication of that number with what the
 * database has of keys, all but for how long a guest may keep one: that is in the terms that each value is wrapped with. Rows that
 * somebody put back, took away or added do not fit to it. A whole database that is put back does. That is noticed where the keys
 * are anchored to a counter outside of it (of a TPM: keys/seal): they say what it is to stand at, one more with each change, and it
 * is advanced when the change is kept.
 */
#ifndef COFRE_KEYS_GENERATION_H
#define COFRE_KEYS_GENERATION_H

#include "attest/store/db.h"
#include "keys/seal/seal.h"
#include "keys/wrap.h"

struct key_anchor {
    bool there;
    uint8_t counter[SEAL_COUNTER_ID_SIZE]; /* which one: its id */
    uint64_t value;                        /* that it stands at */
};

/* Within a transaction, which others that change keys then wait for. -COFRE_FAILED: what is there is not what was written. */
int key_generation_check(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t *generation,
                         struct cofre_err *err);
/* The same, and what they are anchored to. */
int key_generation_check_anchor(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t *generation,
                                struct key_anchor *anchor, struct cofre_err *err);
/* What they say that they are anchored to, by itself. */
int key_generation_read_anchor(struct db *db, struct key_anchor *anchor, struct cofre_err *err);
/* After the change, in the same transaction. */
int key_generation_advance(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t generation,
                           struct cofre_err *err);
/* The next generation, with the same keys and another anchor. */
int key_generation_anchor(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], int64_t generation,
                          const struct key_anchor *anchor, struct cofre_err *err);

#endif
