/* Small things that the files with statements share. */
#ifndef COFRE_HOST_ACCESS_ROWS_H
#define COFRE_HOST_ACCESS_ROWS_H

#include <jansson.h>

#include "attest/store/db.h"

/* The next number, which no other row had. */
int rows_number(int64_t *out, struct db *db, struct cofre_err *err);
/* Rows of at most one: 0 where there was one, 1 where there was none. */
int rows_one(int rc);

/* Between the two, in whatever transaction is under way: all is done where rc is 0, and nothing where it is negative, so that what
 * is refused leaves no trace in a transaction that others' operations are in as well. The result is rc, or the database's failure. */
int rows_try(struct db *db, struct cofre_err *err);
int rows_tried(struct db *db, int rc, struct cofre_err *err);

/* One text for equal objects; NULL without memory. free() it. */
char *rows_text(const json_t *value);

#endif
