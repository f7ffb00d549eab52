#include "attest/store/result.h"

#define COLUMNS                                                                                              \
    "id, request, made, tee, outcome, policy, policy_version, evidence, submitter, verdict, cwt, jwt, "      \
    "log_index"

int result_keep(struct db *db, const struct result *r, struct cofre_err *err)
{
    int rc = DB_RUN(db,
                    "INSERT INTO result (" COLUMNS
                    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
                    " ON CONFLICT (request) DO NOTHING",
                    NULL, NULL, err, db_text(r->id), db_bytes(r->request), db_integer(r->made),
                    db_text(r->tee), db_text(r->outcome), db_text(r->policy), db_integer(r->policy_version),
                    db_bytes(r->evidence), db_text(r->submitter), db_text(r->verdict), db_bytes(r->cwt),
                    db_text(r->jwt), db_integer(r->log_index));
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "the request was answered before");
    return rc < 0 ? rc : 0;
}

struct taker {
    result_take take;
    void *context;
};

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct result r = {
        .id = db_string(&c[0]),
        .request = c[1].bytes,
        .made = c[2].integer,
        .tee = db_string(&c[3]),
        .outcome = db_string(&c[4]),
        .policy = db_string(&c[5]),
        .policy_version = c[6].integer,
        .evidence = c[7].bytes,
        .submitter = db_string(&c[8]),
        .verdict = db_string(&c[9]),
        .cwt = c[10].bytes,
        .jwt = db_string(&c[11]),
        .log_index = c[12].integer,
    };
    return taker->take(taker->context, &r, err);
}

static int found(int rc, struct cofre_err *err)
{
    if (rc == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "there is no such result");
    return rc < 0 ? rc : 0;
}

int result_find(struct db *db, const char *id, result_take take, void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return found(
        DB_RUN(db, "SELECT " COLUMNS " FROM result WHERE id = $1", take_row, &taker, err, db_text(id)), err);
}

int result_find_request(struct db *db, struct view request, result_take take, void *context,
                        struct cofre_err *err)
{
    struct taker taker = {take, context};
    return found(DB_RUN(db, "SELECT " COLUMNS " FROM result WHERE request = $1", take_row, &taker, err,
                        db_bytes(request)),
                 err);
}

int result_find_evidence(struct db *db, struct view evidence, int64_t limit, result_take take, void *context,
                         struct cofre_err *err)
{
    struct taker taker = {take, context};
    return DB_RUN(db, "SELECT " COLUMNS " FROM result WHERE evidence = $1 ORDER BY made DESC LIMIT $2",
                  take_row, &taker, err, db_bytes(evidence), db_integer(limit));
}
