/* Who got keys, who asked for one that others have to approve, and who approved. All within a transaction. */
#ifndef COFRE_KEYS_RELEASE_H
#define COFRE_KEYS_RELEASE_H

#include "keys/guest_key.h"

/* What a guest is counted by: its machine and what it booted, whatever it calls itself. */
#define KEY_GUEST_SIZE 32

struct key_release {
    const char *result; /* of the verdict that it went by: RESULT_ID_SIZE of attest/store/result.h */
    const char *name;
    int64_t version;
    struct view guest;
    const char *policy;
    int64_t policy_version;
    int64_t at;    /* seconds since 1970 */
    int64_t count; /* in lists: releases to that guest of that version */
};

int key_release_keep(struct db *db, const struct key_release *release, struct cofre_err *err);
/* Since that time, of that name; to that guest, or (guest.len 0) in all. Counts as far as most: the work is bounded by it. */
int64_t key_release_count(struct db *db, const char *name, struct view guest, int64_t since, int64_t most,
                          struct cofre_err *err);
typedef int (*key_release_take)(void *context, const struct key_release *release, struct cofre_err *err);
/* The newest release of each version to each guest, newest first, at most limit; their number. */
int key_release_holders(struct db *db, const char *name, int64_t limit, key_release_take take, void *context,
                        struct cofre_err *err);

/* A guest whose evidence passed asks for a key that needs approvals: result, guest, at of release. Takes the place of an earlier
 * one; those before since go. */
int key_request_keep(struct db *db, const struct key_release *request, int64_t since, struct cofre_err *err);
int key_request_list(struct db *db, const char *name, key_release_take take, void *context,
                     struct cofre_err *err);

struct key_approval {
    const char *name;
    struct view guest;
    const char *approver;
    int64_t expires;
};
/* Authenticated under the root. One of that approver takes the place of an earlier one. -COFRE_NEGATIVE: no such guest asks. */
int key_approval_keep(struct db *db, const uint8_t root[static KEY_ROOT_SIZE],
                      const struct key_approval *approval, struct cofre_err *err);
/* Good ones, of different approvers; others do not count. */
int64_t key_approval_count(struct db *db, const uint8_t root[static KEY_ROOT_SIZE], const char *name,
                           struct view guest, int64_t now, struct cofre_err *err);
/* They are for one release, which this is: they go, with the request. */
int key_approval_use(struct db *db, const char *name, struct view guest, struct cofre_err *err);

#endif
