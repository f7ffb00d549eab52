/* What a kind of database brings: db_sqlite.c, db_postgres.c. */
#ifndef COFRE_ATTEST_STORE_DB_KIND_H
#define COFRE_ATTEST_STORE_DB_KIND_H

#include "attest/store/db.h"

struct db_kind {
    const char *begin; /* a transaction that will write */
    int (*open)(struct db **out, const char *name, struct cofre_err *err);
    int (*run)(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
               void *context, struct cofre_err *err);
    int (*script)(struct db *db, const char *sql, struct cofre_err *err);
    /* The last failure may be over if the whole transaction is tried again, and nothing of it was kept. */
    bool (*again)(struct db *db);
    void (*close)(struct db *db);
    int (*forget)(struct db *db, struct cofre_err *err);
    int (*copy)(struct db *db, const char *to, struct cofre_err *err); /* NULL: it has none */
    int (*check)(struct db *db, struct cofre_err *err);                /* likewise */
};

/* Each kind's own structure begins with this one. */
struct db {
    const struct db_kind *kind;
    bool inside; /* a transaction: a connection that breaks is not to be replaced unnoticed */
};

#define DB_SECONDS    10  /* for which anything is waited for */
#define DB_STATEMENTS 128 /* prepared on one connection, at most */
#define DB_VALUES     32  /* of one statement, and columns of a row */

extern const struct db_kind db_sqlite, db_postgres;

/* What a name begins with that is no file's, up to one without url: db_servers.c. A program that has files alone defines it as empty, in a
 * source of its own, and so does without libpq and the libraries behind that. */
struct db_server {
    const char *url;
    const struct db_kind *kind;
};
extern const struct db_server db_servers[];

#endif
