/*
 * One connection to the database: SQLite in this process, or PostgreSQL. The same statements go to both, in what both
 * speak: parameters $1, $2 ..., the types BIGINT, TEXT and BYTEA, ON CONFLICT and RETURNING. A connection belongs to one
 * thread at a time.
 *
 * Errors: -COFRE_LACKING where the database cannot be reached, or others keep it locked (the same call may succeed
 * later); -COFRE_FAILED for all else. Every wait is bounded.
 */
#ifndef COFRE_ATTEST_STORE_DB_H
#define COFRE_ATTEST_STORE_DB_H

#include <string.h>

#include "vmm/base/bytes.h"

enum db_type { DB_NULL, DB_INTEGER, DB_TEXT, DB_BYTES };

/* What goes into a statement, or comes with a row. A row's texts are terminated by a zero that len does not count. */
struct db_value {
    enum db_type type;
    int64_t integer;
    struct view bytes; /* of texts, too */
};

static inline struct db_value db_integer(int64_t value)
{
    return (struct db_value){.type = DB_INTEGER, .integer = value};
}
/* NULL is the database's NULL. */
static inline struct db_value db_text(const char *text)
{
    return (struct db_value){.type = text ? DB_TEXT : DB_NULL,
                             .bytes = {(const uint8_t *)text, text ? strlen(text) : 0}};
}
static inline struct db_value db_bytes(struct view bytes)
{
    return (struct db_value){.type = DB_BYTES, .bytes = bytes};
}

/* A column's text; NULL where it is the database's NULL. */
static inline const char *db_string(const struct db_value *value)
{
    return value->type == DB_NULL ? NULL : (const char *)value->bytes.data;
}

struct db;

/* A file's path, or "postgresql://..." as libpq takes it. A file that is not there is made, with mode 0600. */
int db_open(struct db **out, const char *name, struct cofre_err *err);
void db_close(struct db *db);

/*
 * What was deleted, in transactions that ended, is gone from the database's files. SQLite: deleted bytes were overwritten
 * (secure_delete), and now the write-ahead log is written back and emptied; -COFRE_LACKING where others' reading prevented
 * it. PostgreSQL cannot promise that (0 all the same): old rows are in its files until it reuses their place, and in the segments of
 * its log.
 */
int db_forget(struct db *db, struct cofre_err *err);

/*
 * All of it as it is at one moment, in the file `to`, which is made anew; others may write meanwhile. The file is a database of
 * SQLite without a log beside it. -COFRE_USAGE for PostgreSQL, which has programs for that.
 */
int db_copy(struct db *db, const char *to, struct cofre_err *err);
/* Whether the file is what SQLite wrote: its pages, indices and references. -COFRE_NEGATIVE where it is not. */
int db_check(struct db *db, struct cofre_err *err);

/* One row; what it holds is gone afterwards. A negative value ends the statement and is its result. */
typedef int (*db_row)(void *context, const struct db_value *column, size_t columns, struct cofre_err *err);
/* The first column, a number, into the int64_t at context. */
int db_take_integer(void *context, const struct db_value *column, size_t columns, struct cofre_err *err);

/*
 * Runs one statement. It is prepared once and found again by the text's address, so sql is a literal. The result is the
 * number of rows that it gave or, where it gives none, changed. row may be NULL.
 */
int db_run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
           void *context, struct cofre_err *err);
#define DB_RUN(DB, SQL, ROW, CONTEXT, ERR, ...)                                                              \
    db_run(DB, SQL, (const struct db_value[]){__VA_ARGS__},                                                  \
           sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), ROW, CONTEXT, ERR)

/* Statements without parameters or rows. */
int db_script(struct db *db, const char *sql, struct cofre_err *err);

/*
 * All that work does is kept, on stable storage, or nothing is, where it or the database fails. Where another's
 * transaction or a broken connection came between, work is called again, for 10 seconds at most: it does nothing that
 * only one call may do. A connection that breaks while the end is under way leaves unknown which of the two it was
 * (-COFRE_LACKING): who asks again must be able to tell by what is stored.
 */
typedef int (*db_work)(struct db *db, void *context, struct cofre_err *err);
int db_atomically(struct db *db, db_work work, void *context, struct cofre_err *err);

#endif
