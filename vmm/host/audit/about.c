#include "vmm/host/audit/about.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"

/* what: the operation, "launch" of a launch, "clock" of what a TPM said; no operation is called so. The first entry is about nothing. */
const char *const about_schema =
    "CREATE TABLE log_about (number BIGINT NOT NULL PRIMARY KEY, time BIGINT NOT NULL, tenant TEXT NOT NULL,"
    " what TEXT NOT NULL, object TEXT NOT NULL, who TEXT NOT NULL, differs BIGINT NOT NULL);"
    "CREATE INDEX log_about_time ON log_about (time, number);"
    "CREATE INDEX log_about_tenant ON log_about (tenant, time, number);"
    "CREATE INDEX log_about_launch ON log_about (time, number) WHERE what = 'launch';"
    "CREATE INDEX log_about_differs ON log_about (time, number) WHERE differs = 1;";

#define LAUNCH "launch"
#define CLOCK  "clock"

static bool differ(const struct log_measurement *a, const struct log_measurement *b)
{
    return a->len && b->len && memcmp(a, b, sizeof *a) != 0;
}

static bool differs(const struct log_entry *e)
{
    return differ(&e->predicted, &e->reported) || differ(&e->expected, &e->reported) ||
           differ(&e->expected, &e->predicted);
}

int about_add(struct db *db, int64_t number, const struct log_entry *e, struct cofre_err *err)
{
    const bool launch = e->kind == LOG_ENTRY_LAUNCH;
    int rc = DB_RUN(db,
                    "INSERT INTO log_about (number, time, tenant, what, object, who, differs)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    NULL, NULL, err, db_integer(number), db_integer(e->time), db_text(e->tenant),
                    db_text(launch                       ? LAUNCH
                            : e->kind == LOG_ENTRY_CLOCK ? CLOCK
                                                         : e->operation),
                    db_text(e->object_name), db_text(e->subject), db_integer(launch && differs(e)));
    return rc < 0 ? rc : 0;
}

int about_remove(struct db *db, int64_t before, struct cofre_err *err)
{
    int rc = DB_RUN(db, "DELETE FROM log_about WHERE number < $1", NULL, NULL, err, db_integer(before));
    return rc < 0 ? rc : 0;
}

/* What is missing */

struct missing {
    int64_t number[256];
    size_t count;
};

static int note_missing(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct missing *m = context;
    (void)columns;
    (void)err;
    m->number[m->count++] = column[0].integer;
    return 0;
}

static int keep(void *context, struct view bytes, struct cofre_err *err)
{
    return bytes_copy(context, bytes, err);
}

static int add_of_log(struct db *db, int64_t number, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    struct log_entry entry;
    int rc = db_log_entry(db, number, keep, &bytes, err);
    if (rc == 0)
        rc = log_entry_read(&entry, bytes_view(&bytes), err);
    return rc < 0 ? rc : about_add(db, number, &entry, err);
}

int about_catch_up(struct db *db, struct cofre_err *err)
{
    struct missing m;
    int rc;
    do {
        m.count = 0;
        rc = DB_RUN(
            db,
            "SELECT number FROM log_entry WHERE number >= $1 AND number > (SELECT COALESCE(MAX(number), 0)"
            " FROM log_about) ORDER BY number LIMIT 256",
            note_missing, &m, err, db_integer(1));
        for (size_t i = 0; rc >= 0 && i < m.count; i++)
            rc = add_of_log(db, m.number[i], err);
    } while (rc >= 0 && m.count == sizeof m.number / sizeof *m.number);
    return rc < 0 ? rc : 0;
}

/* Questions. Statements are literals, one for each index that may find the rows; the rest of the question is the same in all. */

#define WANTED                                                                                               \
    "time >= $1 AND time < $2 AND ($3 = '' OR tenant = $3) AND ($4 = '' OR who = $4) AND ($5 = '' OR "       \
    "object = $5)"                                                                                           \
    " AND what >= $6 AND what <= $7 AND ($8 = 0 OR what NOT IN ('launch', 'clock'))"
#define NEWEST " AND time <= $9 AND (time < $9 OR number < $10) ORDER BY time DESC, number DESC LIMIT $11"

static const char of_any[] = "SELECT number FROM log_about WHERE " WANTED NEWEST,
                  of_tenant[] = "SELECT number FROM log_about WHERE tenant = $3 AND " WANTED NEWEST,
                  of_launches[] = "SELECT number FROM log_about WHERE what = 'launch' AND " WANTED NEWEST,
                  of_differing[] = "SELECT number FROM log_about WHERE differs = 1 AND " WANTED NEWEST,
                  oldest_differing[] = "SELECT number FROM log_about WHERE differs = 1 AND " WANTED
                                       " AND $9 = $9 AND number > $10 ORDER BY number LIMIT $11",
                  oldest[] = "SELECT number FROM log_about WHERE " WANTED
                             " AND $9 = $9 AND number > $10 ORDER BY number LIMIT $11";

static const char *statement(const struct about_query *q)
{
    if (!q->newest)
        return q->differing ? oldest_differing : oldest;
    return q->differing ? of_differing : q->launches ? of_launches : q->tenant ? of_tenant : of_any;
}

static int take_integer(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    (void)err;
    *(int64_t *)context = column[0].integer;
    return 0;
}

/* Where the page before ended. */
static int find_time(int64_t *out, struct db *db, const struct about_query *q, struct cofre_err *err)
{
    *out = INT64_MAX;
    int rc = q->after < 0 || !q->newest ? 0
                                        : DB_RUN(db, "SELECT time FROM log_about WHERE number = $1",
                                                 take_integer, out, err, db_integer(q->after));
    return rc < 0 ? rc : 0;
}

/* The first and the last of the names that a pattern covers. */
static void bounds(char low[static LOG_LABEL_MAX + 2], char high[static LOG_LABEL_MAX + 2],
                   const struct about_query *q)
{
    const char *name = q->launches ? LAUNCH : q->operation ? q->operation : "*";
    const size_t len = strcspn(name, "*");
    const bool all = name[len] == '*';
    (void)snprintf(low, LOG_LABEL_MAX + 2, "%.*s", (int)len, name);
    (void)snprintf(high, LOG_LABEL_MAX + 2, "%.*s%s", (int)len, name, all ? "~" : "");
}

struct taker {
    int (*take)(void *context, int64_t number, struct cofre_err *err);
    void *context;
};

static int take_number(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    const struct taker *t = context;
    (void)columns;
    return t->take(t->context, column[0].integer, err);
}

static const char *or_any(const char *text)
{
    return text ? text : "";
}

int about_find(struct db *db, const struct about_query *q,
               int (*take)(void *context, int64_t number, struct cofre_err *err), void *context,
               struct cofre_err *err)
{
    char low[LOG_LABEL_MAX + 2], high[LOG_LABEL_MAX + 2];
    struct taker taker = {take, context};
    int64_t time;
    bounds(low, high, q);
    int rc = find_time(&time, db, q, err);
    if (rc < 0)
        return rc;
    const struct db_value values[] = {db_integer(q->from),
                                      db_integer(q->to),
                                      db_text(or_any(q->tenant)),
                                      db_text(or_any(q->who)),
                                      db_text(or_any(q->object)),
                                      db_text(low),
                                      db_text(high),
                                      db_integer(q->operations),
                                      db_integer(time),
                                      db_integer(q->after < 0 && q->newest ? INT64_MAX : q->after),
                                      db_integer(q->limit)};
    rc = db_run(db, statement(q), values, sizeof values / sizeof *values, take_number, &taker, err);
    return rc < 0 ? rc : 0;
}
