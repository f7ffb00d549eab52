#include "attest/store/challenge.h"

int challenge_keep(struct db *db, struct view nonce, int64_t expires, struct cofre_err *err)
{
    int rc = DB_RUN(db, "INSERT INTO challenge (nonce, expires) VALUES ($1, $2)", NULL, NULL, err,
                    db_bytes(nonce), db_integer(expires));
    return rc < 0 ? rc : 0;
}

static int take_expiry(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(int64_t *)context = column[0].integer;
    return 0;
}

/* The row's removal is what only one of several instances gets done. One that is late stays until it is dropped. */
int challenge_use(struct db *db, struct view nonce, int64_t now, struct cofre_err *err)
{
    int64_t expires = 0;
    int rc = DB_RUN(db, "DELETE FROM challenge WHERE nonce = $1 AND expires > $2", NULL, NULL, err,
                    db_bytes(nonce), db_integer(now));
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = DB_RUN(db, "SELECT expires FROM challenge WHERE nonce = $1", take_expiry, &expires, err,
                db_bytes(nonce));
    if (rc < 0)
        return rc;
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the nonce was not given out here, or was used before");
    return cofre_fail(err, COFRE_NEGATIVE, "the nonce expired %lld s ago", (long long)(now - expires));
}

int challenge_drop_expired(struct db *db, int64_t now, struct cofre_err *err)
{
    return DB_RUN(db, "DELETE FROM challenge WHERE expires <= $1", NULL, NULL, err, db_integer(now));
}
