/* cofre-trust's tables, and how a database of an earlier version becomes one of this. */
#ifndef COFRE_ATTEST_STORE_SCHEMA_H
#define COFRE_ATTEST_STORE_SCHEMA_H

#include "attest/store/db.h"

/* Brings the database to this program's version, in one transaction; several may come at once. One of a later version is
 * -COFRE_LACKING: it is left as it is. */
int schema_bring(struct db *db, struct cofre_err *err);

/* The same for a database of other tables: each step brings it from the version of its index to the next. */
int schema_bring_steps(struct db *db, const char *const *step, size_t count, struct cofre_err *err);

/* Of this program. */
int schema_version(void);

#endif
