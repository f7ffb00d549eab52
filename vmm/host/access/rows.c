#include "vmm/host/access/rows.h"

int rows_one(int rc)
{
    return rc < 0 ? rc : rc == 0;
}

int rows_number(int64_t *out, struct db *db, struct cofre_err *err)
{
    int rc = DB_RUN(db, "UPDATE access_number SET next = next + 1 WHERE one = $1 RETURNING next - 1",
                    db_take_integer, out, err, db_integer(1));
    return rc == 1  ? 0
           : rc < 0 ? rc
                    : cofre_fail(err, COFRE_FAILED, "the database has no number for another row");
}

int rows_try(struct db *db, struct cofre_err *err)
{
    return db_script(db, "SAVEPOINT access", err);
}

int rows_tried(struct db *db, int rc, struct cofre_err *err)
{
    struct cofre_err why;
    const int undone = db_script(
        db, rc < 0 ? "ROLLBACK TO SAVEPOINT access; RELEASE SAVEPOINT access" : "RELEASE SAVEPOINT access",
        &why);
    if (undone < 0)
        return cofre_fail(err, COFRE_FAILED, "%s", why.text);
    return rc < 0 ? rc : 0;
}

char *rows_text(const json_t *value)
{
    return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
}
