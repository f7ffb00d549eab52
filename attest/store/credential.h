/* Who may come in, by what they show: kept as digests, so that the database lets nobody in. */
#ifndef COFRE_ATTEST_STORE_CREDENTIAL_H
#define COFRE_ATTEST_STORE_CREDENTIAL_H

#include "attest/store/db.h"

struct credential {
    struct view digest;    /* SHA-256 of the token's text, or of the certificate's DER */
    const char *name;      /* who it is */
    const char *roles;     /* words with spaces between: attest/service/access.h */
    const char *scope;     /* a policy's name, or "" for all */
    int64_t made, expires; /* seconds since 1970 */
    const char *made_by;
};
typedef int (*credential_take)(void *context, const struct credential *credential, struct cofre_err *err);

/* -COFRE_NEGATIVE: it is there already. */
int credential_add(struct db *db, const struct credential *credential, struct cofre_err *err);
/* -COFRE_NEGATIVE: nobody's, or expired. */
int credential_find(struct db *db, struct view digest, int64_t now, credential_take take, void *context,
                    struct cofre_err *err);
/* All of that name go. -COFRE_NEGATIVE: there were none. */
int credential_remove(struct db *db, const char *name, struct cofre_err *err);
int credential_list(struct db *db, credential_take take, void *context, struct cofre_err *err);

#endif
