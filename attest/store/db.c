#include "attest/store/db.h"

#include <time.h>

#include "attest/store/db_kind.h"

int db_open(struct db **out, const char *name, struct cofre_err *err)
{
    for (const struct db_server *s = db_servers; s->url; s++)
        if (strncmp(name, s->url, strlen(s->url)) == 0)
            return s->kind->open(out, name, err);
    return db_sqlite.open(out, name, err);
}

void db_close(struct db *db)
{
    if (db)
        db->kind->close(db);
}

int db_run(struct db *db, const char *sql, const struct db_value *value, size_t values, db_row row,
           void *context, struct cofre_err *err)
{
    if (values > DB_VALUES)
        return cofre_fail(err, COFRE_FAILED, "the database: %zu values for one statement", values);
    return db->kind->run(db, sql, value, values, row, context, err);
}

int db_take_integer(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(int64_t *)context = column[0].integer;
    return 0;
}

int db_forget(struct db *db, struct cofre_err *err)
{
    return db->kind->forget(db, err);
}

int db_copy(struct db *db, const char *to, struct cofre_err *err)
{
    return db->kind->copy ? db->kind->copy(db, to, err)
                          : cofre_fail(err, COFRE_USAGE, "PostgreSQL's databases are copied by pg_dump");
}

int db_check(struct db *db, struct cofre_err *err)
{
    return db->kind->check ? db->kind->check(db, err)
                           : cofre_fail(err, COFRE_USAGE, "PostgreSQL's databases are checked by pg_amcheck");
}

int db_script(struct db *db, const char *sql, struct cofre_err *err)
{
    return db->kind->script(db, sql, err);
}

static int commit(struct db *db, bool *again, struct cofre_err *err)
{
    db->inside = false; /* a connection that breaks from here on leaves open what was kept: no other try */
    int rc = db_script(db, "COMMIT", err);
    if (rc == 0)
        return 0;
    *again = db->kind->again(db);
    (void)db_script(db, "ROLLBACK", NULL);
    return rc;
}

static int once(struct db *db, db_work work, void *context, bool *again, struct cofre_err *err)
{
    int rc = db_script(db, db->kind->begin, err);
    *again = rc == -COFRE_LACKING;
    if (rc < 0)
        return rc;
    db->inside = true;
    rc = work(db, context, err);
    if (rc >= 0) {
        int committed = commit(db, again, err);
        return committed < 0 ? committed : rc;
    }
    *again = db->kind->again(db);
    (void)db_script(db, "ROLLBACK", NULL);
    db->inside = false;
    return rc;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int db_atomically(struct db *db, db_work work, void *context, struct cofre_err *err)
{
    const int64_t end = milliseconds() + DB_SECONDS * 1000;
    for (int64_t wait = 1;; wait = wait < 250 ? 2 * wait : wait) {
        bool again = false;
        int rc = once(db, work, context, &again, err);
        if (rc >= 0 || !again || milliseconds() + wait > end)
            return rc;
        nanosleep(&(struct timespec){.tv_nsec = wait * 1000000}, NULL);
    }
}
