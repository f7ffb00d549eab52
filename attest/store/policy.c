#include "attest/store/policy.h"

int stored_policy_add(struct db *db, const char *name, const char *document, int64_t now, const char *by,
                      struct cofre_err *err)
{
    int64_t version = 0;
    int rc = DB_RUN(
        db,
        "INSERT INTO policy (name, version, document, made, made_by) SELECT $1,"
        " COALESCE(MAX(version), 0) + 1, $2, $3, $4 FROM policy WHERE name = $1 RETURNING version",
        db_take_integer, &version, err, db_text(name), db_text(document), db_integer(now), db_text(by));
    return rc < 0 ? rc : (int)version;
}

int stored_policy_activate(struct db *db, const char *name, int64_t version, int64_t now, const char *by,
                           struct cofre_err *err)
{
    int rc = DB_RUN(db,
                    "INSERT INTO policy_active (name, version, since, by_whom)"
                    " SELECT name, version, $3, $4 FROM policy WHERE name = $1 AND version = $2"
                    " ON CONFLICT (name) DO UPDATE SET version = excluded.version, since = excluded.since,"
                    " by_whom = excluded.by_whom",
                    NULL, NULL, err, db_text(name), db_integer(version), db_integer(now), db_text(by));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the policy \"%s\" has no version %lld", name,
                          (long long)version);
    return rc < 0 ? rc : 0;
}

struct taker {
    stored_policy_take take;
    void *context;
};

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct stored_policy policy = {
        .name = db_string(&c[0]),
        .version = c[1].integer,
        .document = db_string(&c[2]),
        .made = c[3].integer,
        .made_by = db_string(&c[4]),
        .active = c[5].integer != 0,
    };
    return taker->take(taker->context, &policy, err);
}

#define FROM_BOTH                                                                                            \
    ", p.made, p.made_by, CASE WHEN a.version IS NULL THEN 0 ELSE 1 END FROM policy p"                       \
    " LEFT JOIN policy_active a ON a.name = p.name AND a.version = p.version "

int stored_policy_find(struct db *db, const char *name, int64_t version, stored_policy_take take,
                       void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    int rc = version ? DB_RUN(db,
                              "SELECT p.name, p.version, p.document" FROM_BOTH
                              "WHERE p.name = $1 AND p.version = $2",
                              take_row, &taker, err, db_text(name), db_integer(version))
                     : DB_RUN(db,
                              "SELECT p.name, p.version, p.document" FROM_BOTH
                              "WHERE p.name = $1 AND a.version IS NOT NULL",
                              take_row, &taker, err, db_text(name));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          version ? "the policy \"%s\" has no such version" : "no policy \"%s\" is active",
                          name);
    return rc < 0 ? rc : 0;
}

int stored_policy_list(struct db *db, const char *name, stored_policy_take take, void *context,
                       struct cofre_err *err)
{
    struct taker taker = {take, context};
    return name
               ? DB_RUN(db, "SELECT p.name, p.version, NULL" FROM_BOTH "WHERE p.name = $1 ORDER BY p.version",
                        take_row, &taker, err, db_text(name))
               : db_run(db, "SELECT p.name, p.version, NULL" FROM_BOTH "ORDER BY p.name, p.version", NULL, 0,
                        take_row, &taker, err);
}
