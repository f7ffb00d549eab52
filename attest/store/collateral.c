#include "attest/store/collateral.h"

struct taker {
    stored_collateral_take take;
    void *context;
};

static struct view bytes_of(const struct db_value *column)
{
    return column->type == DB_NULL ? (struct view){NULL, 0} : column->bytes;
}

static int take_row(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    const struct taker *taker = context;
    (void)columns;
    const struct stored_collateral row = {
        .name = db_string(&c[0]),
        .issued = c[1].integer,
        .until = c[2].integer,
        .fetched = c[3].integer,
        .next_try = c[4].integer,
        .failures = c[5].integer,
        .trouble = db_string(&c[6]),
        .trouble_at = c[7].integer,
        .absent = c[8].integer != 0,
        .body = bytes_of(&c[9]),
        .chain = bytes_of(&c[10]),
    };
    return taker->take(taker->context, &row, err);
}

#define COLUMNS "name, issued, until, fetched, next_try, failures, trouble, trouble_at, absent"

int stored_collateral_find(struct db *db, const char *name, stored_collateral_take take, void *context,
                           struct cofre_err *err)
{
    struct taker taker = {take, context};
    return DB_RUN(db, "SELECT " COLUMNS ", body, chain FROM collateral WHERE name = $1", take_row, &taker,
                  err, db_text(name));
}

int stored_collateral_list(struct db *db, const char *after, int64_t max, stored_collateral_take take,
                           void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return DB_RUN(db, "SELECT " COLUMNS ", NULL, NULL FROM collateral WHERE name > $1 ORDER BY name LIMIT $2",
                  take_row, &taker, err, db_text(after), db_integer(max));
}

int stored_collateral_claim(struct db *db, const char *name, int64_t now, int64_t until,
                            struct cofre_err *err)
{
    return DB_RUN(db,
                  "INSERT INTO collateral (name, next_try) VALUES ($1, $3) ON CONFLICT (name) DO UPDATE"
                  " SET next_try = excluded.next_try WHERE collateral.next_try <= $2",
                  NULL, NULL, err, db_text(name), db_integer(now), db_integer(until));
}

int stored_collateral_keep(struct db *db, const struct stored_collateral *c, struct cofre_err *err)
{
    return DB_RUN(
        db,
        "INSERT INTO collateral (name, body, chain, issued, until, fetched, next_try)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET body = excluded.body,"
        " chain = excluded.chain, issued = excluded.issued, until = excluded.until,"
        " fetched = excluded.fetched, next_try = excluded.next_try, failures = 0, trouble = NULL,"
        " trouble_at = 0, absent = 0 WHERE collateral.issued <= excluded.issued",
        NULL, NULL, err, db_text(c->name), db_bytes(c->body), db_bytes(c->chain), db_integer(c->issued),
        db_integer(c->until), db_integer(c->fetched), db_integer(c->next_try));
}

int stored_collateral_fail(struct db *db, const struct stored_collateral *c, struct cofre_err *err)
{
    return DB_RUN(db,
                  "UPDATE collateral SET next_try = $2, trouble = $3, trouble_at = $4, absent = $5,"
                  " failures = failures + 1 WHERE name = $1",
                  NULL, NULL, err, db_text(c->name), db_integer(c->next_try), db_text(c->trouble),
                  db_integer(c->trouble_at), db_integer(c->absent));
}

int stored_collateral_due(struct db *db, const char *like, int64_t now, stored_collateral_take take,
                          void *context, struct cofre_err *err)
{
    struct taker taker = {take, context};
    return DB_RUN(db,
                  "SELECT " COLUMNS ", NULL, NULL FROM collateral WHERE next_try <= $2 AND name LIKE $1"
                  " AND body IS NOT NULL ORDER BY next_try LIMIT 1",
                  take_row, &taker, err, db_text(like), db_integer(now));
}

int stored_collateral_forget(struct db *db, int64_t before, struct cofre_err *err)
{
    return DB_RUN(db, "DELETE FROM collateral WHERE next_try < $1 AND body IS NULL", NULL, NULL, err,
                  db_integer(before));
}
