#include "attest/store/credential.h"

int credential_add(struct db *db, const struct credential *c, struct cofre_err *err)
{
    int rc = DB_RUN(db,
                    "INSERT INTO credential (digest, name, roles, scope, made, made_by, expires)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO NOTHING",
                    NULL, NULL, err, db_bytes(c->digest), db_text(c->name), db_text(c->roles),
                    db_text(c->scope), db_integer(c->made), db_text(c->made_by), db_integer(c->expires));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "that credential is known already");
    return rc < 0 ? rc : 0;
}

struct taker {
    credential_take take;
    void *context;
};

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct credential credential = {
        .digest = c[0].bytes,
        .name = db_string(&c[1]),
        .roles = db_string(&c[2]),
        .scope = db_string(&c[3]),
        .made = c[4].integer,
        .made_by = db_string(&c[5]),
        .expires = c[6].integer,
    };
    return taker->take(taker->context, &credential, err);
}

#define SELECT "SELECT digest, name, roles, scope, made, made_by, expires FROM credential "

int credential_find(struct db *db, struct view digest, int64_t now, credential_take take, void *context,
                    struct cofre_err *err)
{
    struct taker taker = {take, context};
    int rc = DB_RUN(db, SELECT "WHERE digest = $1 AND expires > $2", take_row, &taker, err, db_bytes(digest),
                    db_integer(now));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the credential is not known, or has expired");
    return rc < 0 ? rc : 0;
}

int credential_remove(struct db *db, const char *name, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM credential WHERE name = $1", NULL, NULL, err, db_text(name));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "nobody is known as \"%s\"", name);
    return rc < 0 ? rc : 0;
}

int credential_list(struct db *db, credential_take take, void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return db_run(db, SELECT "ORDER BY name, made", NULL, 0, take_row, &taker, err);
}
