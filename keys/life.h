/*
 * What happens to a key: each of these is one change, checked against its state (keys/state.h) and against the keys' generation, and
 * is within a transaction, with its entry in the log, of the caller's. Errors as there; -COFRE_NEGATIVE: there is no such key.
 */
#ifndef COFRE_KEYS_LIFE_H
#define COFRE_KEYS_LIFE_H

#include "keys/guest_key.h"

#define KEY_SIZE_DEFAULT 32 /* bytes of one that is made here */

struct key_change {
    struct db *db;
    const uint8_t *root; /* KEY_ROOT_SIZE */
    int64_t now;
};

/* value of length 0: size random bytes. name, quorum, rates and maker of wish; quorum and rates may be 0 (rates: the most). */
int key_create(const struct key_change *c, const struct guest_key *wish, struct view value, size_t size,
               struct cofre_err *err);
/* The new version's number. value as above; the size is that of the version before where there is no value. */
int key_rotate(const struct key_change *c, const char *name, struct view value, struct cofre_err *err);
/* An older version's value goes. */
int key_retire(const struct key_change *c, const char *name, int64_t version, struct cofre_err *err);
int key_disable(const struct key_change *c, const char *name, struct cofre_err *err);
int key_enable(const struct key_change *c, const char *name, struct cofre_err *err);
/* All values go, and the grants. When the transaction is kept, db_forget() has them gone from the files. */
int key_destroy(const struct key_change *c, const char *name, struct cofre_err *err);
int key_give_grant(const struct key_change *c, const char *name, const struct key_grant *grant,
                   struct cofre_err *err);
int key_revoke(const struct key_change *c, const char *name, const char *policy, struct cofre_err *err);

#endif
