/* cofred's database: the tables of all its rooms, and how one of an earlier version becomes one of this. */
#ifndef COFRE_HOST_STORE_TABLES_H
#define COFRE_HOST_STORE_TABLES_H

#include "attest/store/db.h"

/* As schema_bring of attest/store/schema.h, for cofred's steps. */
int tables_bring(struct db *db, struct cofre_err *err);

#endif
