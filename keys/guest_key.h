/*
 * Keys that are released to guests, in the service's database. A key's value is kept wrapped (keys/wrap.h), and what it is released
 * by, its terms, is authenticated with each version of it: whoever can write to the database can neither grant a key, nor
 * enable it, nor loosen its limits, without the root.
 *
 * All of these are called within a transaction (db_atomically), where others that change keys wait.
 */
#ifndef COFRE_KEYS_GUEST_KEY_H
#define COFRE_KEYS_GUEST_KEY_H

#include "attest/store/db.h"
#include "keys/state.h"
#include "keys/wrap.h"

#define GUEST_KEY_NAME_MAX    64 /* bytes, as of all names of the service */
#define GUEST_KEY_GRANTS_MAX  32
#define GUEST_KEY_QUORUM_MAX  8
#define GUEST_KEY_RATE_MAX    1000000
#define GUEST_KEY_OFFLINE_MAX (366 * 86400)

/* Who gets it: guests that satisfy this version of this policy, as it was when the key's owner looked at it. */
struct key_grant {
    char policy[GUEST_KEY_NAME_MAX + 1];
    int64_t version;
    uint8_t digest[32]; /* SHA-256 of the policy's text */
    int64_t
        offline; /* seconds for which a guest may keep it, for starts without the service; 0: not at all */
};

struct guest_key {
    char name[GUEST_KEY_NAME_MAX + 1];
    enum guest_key_state state;
    int64_t current; /* version, from 1 on */
    int64_t quorum;  /* approvals that a release needs; 0: none */
    int64_t per_guest,
        per_hour; /* releases within an hour, at most: to one guest, and in all; GUEST_KEY_RATE_MAX: any number */
    int64_t made; /* seconds since 1970 */
    char maker[GUEST_KEY_NAME_MAX + 1];
    struct key_grant grant[GUEST_KEY_GRANTS_MAX]; /* by the policies' names */
    size_t grants;
};

/* SHA-256 of all of it: the terms. */
int guest_key_terms(uint8_t out[static KEY_TERMS_SIZE], const struct guest_key *key, struct cofre_err *err);
/* NULL: not to that policy. */
const struct key_grant *guest_key_grant_to(const struct guest_key *key, const char *policy);
/* Takes the place of one to that policy. -COFRE_USAGE: there are as many as can be. */
int guest_key_put_grant(struct guest_key *key, const struct key_grant *grant, struct cofre_err *err);
/* -COFRE_NEGATIVE: there is none. */
int guest_key_drop_grant(struct guest_key *key, const char *policy, struct cofre_err *err);

/* -COFRE_NEGATIVE: there is none of that name. */
int guest_key_find(struct guest_key *out, struct db *db, const char *name, struct cofre_err *err);
typedef int (*guest_key_take)(void *context, const struct guest_key *key, struct cofre_err *err);
/* By name, without grants; their number. */
int guest_key_list(struct db *db, guest_key_take take, void *context, struct cofre_err *err);

/* -COFRE_USAGE: the name is taken, by a destroyed key too. */
int guest_key_insert(struct db *db, const struct guest_key *key, struct cofre_err *err);
/* Its row and its grants become those of key, and its versions are wrapped anew. before: as it was found. */
int guest_key_update(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const struct guest_key *before,
                     const struct guest_key *key, struct cofre_err *err);

#endif
