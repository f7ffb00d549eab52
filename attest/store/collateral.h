/* What vendors publish, by name (attest/collateral/item.h), with its validity and when it is asked for again. */
#ifndef COFRE_ATTEST_STORE_COLLATERAL_H
#define COFRE_ATTEST_STORE_COLLATERAL_H

#include "attest/store/db.h"

struct stored_collateral {
    const char *name;
    struct view body, chain; /* empty: nothing is held */
    int64_t issued, until;   /* of what is held; seconds since 1970, as all times here */
    int64_t fetched;
    int64_t
        next_try; /* before then nobody asks the vendor for it: it is good, or being asked for, or was refused */
    int64_t failures;    /* since it was fetched last */
    const char *trouble; /* the last one's sentence; NULL: none since it was fetched last */
    int64_t trouble_at;
    bool absent; /* the vendor said that there is no such thing */
};
typedef int (*stored_collateral_take)(void *context, const struct stored_collateral *c,
                                      struct cofre_err *err);

/* 1, or 0 where there is no row of that name. */
int stored_collateral_find(struct db *db, const char *name, stored_collateral_take take, void *context,
                           struct cofre_err *err);
/* Without bodies, by name; their number. At most max after that name ("": from the first). */
int stored_collateral_list(struct db *db, const char *after, int64_t max, stored_collateral_take take,
                           void *context, struct cofre_err *err);

/* Whoever gets 1 may ask the vendor, and nobody else until then; 0: somebody else may, or it is too early. */
int stored_collateral_claim(struct db *db, const char *name, int64_t now, int64_t until,
                            struct cofre_err *err);
/* Name, body, chain, issued, until, fetched and next_try of c. 0 without effect where what is held was issued later. */
int stored_collateral_keep(struct db *db, const struct stored_collateral *c, struct cofre_err *err);
/* Next_try, trouble, trouble_at and absent of c; what is held stays. */
int stored_collateral_fail(struct db *db, const struct stored_collateral *c, struct cofre_err *err);

/* Of what is held, and has a name LIKE that: the one that has been due longest; 0: none is. */
int stored_collateral_due(struct db *db, const char *like, int64_t now, stored_collateral_take take,
                          void *context, struct cofre_err *err);
/* What was never had, and has not been asked for since. */
int stored_collateral_forget(struct db *db, int64_t before, struct cofre_err *err);

#endif
