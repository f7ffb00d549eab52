/* Policies by name, as versions that never change; one of them may be active. */
#ifndef COFRE_ATTEST_STORE_POLICY_H
#define COFRE_ATTEST_STORE_POLICY_H

#include "attest/store/db.h"

struct stored_policy {
    const char *name;
    int64_t version;
    const char *document; /* JSON, as it came; NULL in lists */
    int64_t made;         /* seconds since 1970 */
    const char *made_by;
    bool active;
};
typedef int (*stored_policy_take)(void *context, const struct stored_policy *policy, struct cofre_err *err);

/* Within a transaction: adds the next version, whose number is the result (1 and up). The document was checked. */
int stored_policy_add(struct db *db, const char *name, const char *document, int64_t now, const char *by,
                      struct cofre_err *err);
/* Within a transaction. -COFRE_NEGATIVE: there is no such version. */
int stored_policy_activate(struct db *db, const char *name, int64_t version, int64_t now, const char *by,
                           struct cofre_err *err);
/* version 0: the active one. -COFRE_NEGATIVE: there is none. */
int stored_policy_find(struct db *db, const char *name, int64_t version, stored_policy_take take,
                       void *context, struct cofre_err *err);
/* All versions, by name and number, of one name or of all (NULL); their number. */
int stored_policy_list(struct db *db, const char *name, stored_policy_take take, void *context,
                       struct cofre_err *err);

#endif
