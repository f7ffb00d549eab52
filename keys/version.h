/* The values of a key: each rotation makes another. Older ones can be had by their number until they are retired. */
#ifndef COFRE_KEYS_VERSION_H
#define COFRE_KEYS_VERSION_H

#include "keys/guest_key.h"

struct key_version {
    int64_t version, made;
    struct view wrapped;
};

/* Stores one that is wrapped already. */
int key_version_put(struct db *db, const char *name, const struct key_version *version,
                    struct cofre_err *err);
/* Wraps and stores that version. */
int key_version_add(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const struct guest_key *key,
                    int64_t version, struct view value, int64_t now, struct cofre_err *err);
/* value has KEY_VALUE_MAX bytes, and is wiped where it fails; the result is how many it fills. -COFRE_NEGATIVE: that version
 * is not there, or is retired. */
int key_version_open(uint8_t *value, struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                     const struct guest_key *key, int64_t version, struct cofre_err *err);
/* All that are there come under the terms of after. */
int key_versions_rewrap(struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                        const struct guest_key *before, const struct guest_key *after, struct cofre_err *err);
/* The row goes, with its bytes. -COFRE_NEGATIVE: there is none. */
int key_version_erase(struct db *db, const char *name, int64_t version, struct cofre_err *err);
int key_versions_erase_all(struct db *db, const char *name, struct cofre_err *err);

typedef int (*key_version_take)(void *context, const struct key_version *version, struct cofre_err *err);
/* In order; their number. */
int key_versions_list(struct db *db, const char *name, key_version_take take, void *context,
                      struct cofre_err *err);

#endif
