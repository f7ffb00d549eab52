/* Who has which role: rows, and what holds of them whoever changes them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/host/access/held.h"
#include "vmm/host/access/kept.h"
#include "vmm/host/access/operations.h"
#include "vmm/host/access/rows.h"
#include "vmm/host/interface/schema.h"

#define GRANTS_MAX_OF_SUBJECT 128
#define GRANTS_MAX_OF_TENANT  4096
#define PAGE_MAX              1000

/* Rows */

struct grant {
    int64_t number;
    char subject[ACCESS_PRINCIPAL_SIZE], role[64], tenant[64], by[ACCESS_PRINCIPAL_SIZE];
    json_t *labels; /* owned */
    bool deny, wide;
    int64_t until;
};

static void grant_free(struct grant *grant)
{
    json_decref(grant->labels);
}
#define CLEAN_GRANT __attribute__((cleanup(grant_free))) struct grant

#define SELECT "SELECT number, subject, role, tenant, labels, deny, until, wide, made_by FROM access_grant "

static int read_row(struct grant *out, const struct db_value *c, struct cofre_err *err)
{
    *out = (struct grant){
        .number = c[0].integer, .deny = c[5].integer, .until = c[6].integer, .wide = c[7].integer};
    (void)snprintf(out->subject, sizeof out->subject, "%s", db_string(&c[1]));
    (void)snprintf(out->role, sizeof out->role, "%s", db_string(&c[2]));
    (void)snprintf(out->tenant, sizeof out->tenant, "%s", db_string(&c[3]));
    (void)snprintf(out->by, sizeof out->by, "%s", db_string(&c[8]));
    out->labels = json_loads(db_string(&c[4]), 0, NULL);
    return out->labels ? 0
                       : cofre_fail(err, COFRE_FAILED, "grant %lld cannot be read", (long long)out->number);
}

static int take_one(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    return read_row(context, column, err);
}

static json_t *show(const struct grant *g)
{
    char number[24], until[TIME_TEXT_SIZE];
    (void)snprintf(number, sizeof number, "%lld", (long long)g->number);
    time_format(until, g->until);
    return json_pack("{s:s, s:s, s:s, s:s*, s:O, s:b, s:s*, s:s}", "id", number, "identity", g->subject,
                     "role", g->role, "tenant", *g->tenant ? g->tenant : NULL, "labels", g->labels, "deny",
                     g->deny, "until", g->until ? until : NULL, "by", g->by);
}

static int take_shown(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    CLEAN_GRANT g = {0};
    (void)columns;
    int rc = read_row(&g, column, err);
    return rc < 0 ? rc
           : json_array_append_new(context, show(&g)) < 0
               ? cofre_fail(err, COFRE_FAILED, "no memory for a list")
               : 0;
}

/* The last administrator */

struct administrators {
    struct access_caller one[16];
    size_t count;
};

static int take_administrator(void *context, const struct db_value *column, size_t columns,
                              struct cofre_err *err)
{
    struct administrators *all = context;
    struct access_principal *p = &all->one[all->count].principal[0];
    (void)columns;
    (void)err;
    /* Nobody knows whether a group has anybody in it. */
    if (all->count == sizeof all->one / sizeof *all->one ||
        access_principal_parse(p, db_string(&column[0]), NULL) < 0 || p->kind == ACCESS_GID ||
        p->kind == ACCESS_GROUP)
        return 0;
    all->one[all->count].own = all->one[all->count].principals = 1;
    all->count++;
    return 0;
}

static int read_administrators(struct administrators *out, struct db *db, struct cofre_err *err)
{
    out->count = 0;
    return db_run(db,
                  "SELECT subject FROM access_grant WHERE role = '" ROLE_ADMINISTRATOR
                  "' AND tenant = '' AND labels = '{}'"
                  " AND deny = 0 AND until = 0 ORDER BY number",
                  NULL, 0, take_administrator, out, err);
}

static const role_set of_grants = ROLE_SET_OF(OPERATION_GRANT_ADD) | ROLE_SET_OF(OPERATION_GRANT_REMOVE);

int grants_check_administrator(struct db *db, int64_t now, struct cofre_err *err)
{
    struct administrators all;
    CLEAN_JSON *none = json_object();
    int rc = read_administrators(&all, db, err);
    for (size_t i = 0; rc >= 0 && i < all.count; i++) {
        CLEAN_HELD held = {0};
        rc = held_load(&held, db, &all.one[i], now, err);
        if (rc == 0 && held_covers(&held, of_grants, "", none, 0, NULL) == 0)
            return 0;
    }
    return rc < 0 ? rc : cofre_fail(err, COFRE_NEGATIVE, "then nobody would be administrator of this host");
}

int access_begin(struct db *db, const char *principal, int64_t now, struct cofre_err *err)
{
    struct access_principal p;
    int64_t number = 0;
    int rc = access_principal_parse(&p, principal, err);
    if (rc < 0)
        return rc;
    struct cofre_err why;
    rc = grants_check_administrator(db, now, &why);
    if (rc != -COFRE_NEGATIVE)
        return rc == 0 ? 1 : rc;
    rc = rows_number(&number, db, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO access_grant (number, subject, role, tenant, labels, deny, until, wide, "
                    "made, made_by)"
                    " VALUES ($1, $2, '" ROLE_ADMINISTRATOR "', '', '{}', 0, 0, 1, $3, 'the configuration')",
                    NULL, NULL, err, db_integer(number), db_text(p.text), db_integer(now));
    return rc < 0 ? rc : 0;
}

/* Adding */

static int read_args(struct grant *out, const struct access_config *config, const json_t *args,
                     struct cofre_err *err)
{
    struct access_principal p;
    const char *until = member_text(args, "until", NULL);
    *out = (struct grant){.deny = member_boolean(args, "deny", false)};
    (void)snprintf(out->role, sizeof out->role, "%s", member_text(args, "role", ""));
    (void)snprintf(out->tenant, sizeof out->tenant, "%s", member_text(args, "tenant", ""));
    const json_t *labels = member_at(args, "labels");
    out->labels = labels ? json_incref((json_t *)(uintptr_t)labels) : json_object();
    int rc = access_principal_parse(&p, member_text(args, "identity", ""), err);
    for (size_t i = 0; rc == 0 && i < config->mappings; i++)
        if (strcmp(config->mapping[i].identity.text, p.text) == 0)
            rc = cofre_fail(err, COFRE_USAGE, "%s is user:%s here: grant to that", p.text,
                            config->mapping[i].user);
    if (rc == 0 && until)
        rc = time_parse(&out->until, until, "until", err);
    (void)snprintf(out->subject, sizeof out->subject, "%s", rc == 0 ? p.text : "");
    return rc;
}

/* An allowance hands on what its giver has. A denial is anybody's who may grant there, but for one that would shut out himself. */
static int check_giver(struct grant *g, struct db *db, const struct access_caller *caller, int64_t now,
                       struct cofre_err *err)
{
    CLEAN_HELD held = {0};
    role_set set;
    int64_t number;
    int rc = role_find(&set, db, g->role, err);
    if (rc == 0)
        rc = held_load(&held, db, caller, now, err);
    if (rc < 0)
        return rc;
    g->wide = held_may(&held, OPERATION_GRANT_ADD, &(struct held_place){NULL, NULL}, &number, NULL) == 0;
    if (!g->deny)
        return held_covers(&held, set, g->tenant, g->labels, g->until, err);
    return (set & of_grants) && json_object_size(g->labels) == 0 && access_caller_is(caller, g->subject)
               ? cofre_fail(err, COFRE_NEGATIVE, "that would shut you out, and you could not take it back")
               : 0;
}

static int count(int64_t *out, struct db *db, const char *sql, const char *of, struct cofre_err *err)
{
    int rc = DB_RUN(db, sql, db_take_integer, out, err, db_text(of));
    return rc < 0 ? rc : 0;
}

static int check_room(struct db *db, const struct grant *g, const char *labels, struct cofre_err *err)
{
    int64_t of_subject = 0, of_tenant = 0, same = 0;
    int rc = count(&of_subject, db, "SELECT COUNT(*) FROM access_grant WHERE subject = $1", g->subject, err);
    if (rc == 0)
        rc = count(&of_tenant, db, "SELECT COUNT(*) FROM access_grant WHERE tenant = $1", g->tenant, err);
    if (rc == 0)
        rc = DB_RUN(
            db,
            "SELECT number FROM access_grant WHERE subject = $1 AND role = $2 AND tenant = $3 AND labels = $4"
            " AND deny = $5 AND until = $6",
            db_take_integer, &same, err, db_text(g->subject), db_text(g->role), db_text(g->tenant),
            db_text(labels), db_integer(g->deny), db_integer(g->until));
    if (rc < 0)
        return rc;
    if (same)
        return cofre_fail(err, COFRE_NEGATIVE, "grant %lld says that already", (long long)same);
    return of_subject < GRANTS_MAX_OF_SUBJECT && of_tenant < GRANTS_MAX_OF_TENANT
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE,
                            "there are %d grants of one identity, or %d of one tenant, already",
                            GRANTS_MAX_OF_SUBJECT, GRANTS_MAX_OF_TENANT);
}

static int keep(struct db *db, struct grant *g, const char *labels, int64_t now, struct cofre_err *err)
{
    int rc = rows_try(db, err);
    if (rc < 0)
        return rc;
    rc = rows_number(&g->number, db, err);
    if (rc == 0)
        rc = DB_RUN(db,
                    "INSERT INTO access_grant (number, subject, role, tenant, labels, deny, until, wide, "
                    "made, made_by)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    NULL, NULL, err, db_integer(g->number), db_text(g->subject), db_text(g->role),
                    db_text(g->tenant), db_text(labels), db_integer(g->deny), db_integer(g->until),
                    db_integer(g->wide), db_integer(now), db_text(g->by));
    if (rc >= 0 && g->deny)
        rc = grants_check_administrator(db, now, err);
    return rows_tried(db, rc, err);
}

int grant_add(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
              const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_GRANT g = {0};
    int rc = read_args(&g, access->config, args, err);
    (void)snprintf(g.by, sizeof g.by, "%s", access_caller_name(caller));
    if (rc == 0 && g.until && g.until <= now)
        rc = cofre_fail(err, COFRE_USAGE, "until: that time is over");
    if (rc == 0)
        rc = check_giver(&g, db, caller, now, err);
    CLEAN_FREE char *labels = rc == 0 ? rows_text(g.labels) : NULL;
    if (rc == 0)
        rc =
            labels ? check_room(db, &g, labels, err) : cofre_fail(err, COFRE_FAILED, "no memory for a grant");
    if (rc == 0)
        rc = keep(db, &g, labels, now, err);
    *answer = rc == 0 ? show(&g) : NULL;
    return rc;
}

/* Removing */

/* Without the one that is to go, where it is for the caller to judge it as if it were not there. */
static void leave_out(struct held *held, int64_t number)
{
    for (size_t i = 0; i < held->count; i++)
        if (held->grant[i].number == number) {
            json_decref(held->grant[i].labels);
            held->grant[i] = held->grant[--held->count];
            return;
        }
}

/*
 * A denial that goes gives back what it took, so that whoever takes it back must have all of that, the denial itself counted:
 * nobody frees himself. But one that a tenant's own people made does not bind those who grant in all tenants.
 */
static int check_taker(struct held *held, struct db *db, const struct grant *g, struct cofre_err *err)
{
    role_set set;
    int64_t number;
    int rc = role_find(&set, db, g->role, err);
    if (rc < 0)
        return rc;
    if (!g->wide &&
        held_may(held, OPERATION_GRANT_REMOVE, &(struct held_place){NULL, NULL}, &number, NULL) == 0)
        leave_out(held, g->number);
    return held_covers(held, set, g->tenant, g->labels, g->until, err);
}

/* Another tenant's is not there. */
static int find(struct grant *out, struct db *db, const json_t *args, struct cofre_err *err)
{
    const char *number = member_text(args, "grant", "");
    int rc = DB_RUN(db, SELECT "WHERE number = $1 AND tenant = $2", take_one, out, err,
                    db_integer(strtoll(number, NULL, 10)), db_text(member_text(args, "tenant", "")));
    return rc < 0    ? rc
           : rc == 0 ? cofre_fail(err, COFRE_NEGATIVE,
                                  "there is no grant %.20s of that tenant, or of the host", number)
                     : 0;
}

static int take_back(struct db *db, const struct grant *g, int64_t now, struct cofre_err *err)
{
    int rc = rows_try(db, err);
    if (rc < 0)
        return rc;
    rc = DB_RUN(db, "DELETE FROM access_grant WHERE number = $1", NULL, NULL, err, db_integer(g->number));
    if (rc >= 0 && !g->deny && !*g->tenant)
        rc = grants_check_administrator(db, now, err);
    return rows_tried(db, rc, err);
}

int grant_remove(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                 const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_GRANT g = {0};
    CLEAN_HELD held = {0};
    (void)access;
    *answer = NULL;
    int rc = find(&g, db, args, err);
    if (rc == 0)
        rc = held_load(&held, db, caller, now, err);
    if (rc == 0 && g.deny)
        rc = check_taker(&held, db, &g, err);
    return rc < 0 ? rc : take_back(db, &g, now, err);
}

/* Listing */

int grant_list(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
               const json_t *args, int64_t now, struct cofre_err *err)
{
    const char *tenant = member_text(args, "tenant", "");
    const int64_t limit = (int64_t)member_unsigned(args, "limit", 100);
    json_t *grants = json_array();
    (void)access, (void)caller, (void)now;
    *answer = json_pack("{s:o}", "grants", grants);
    int rc =
        !*answer
            ? cofre_fail(err, COFRE_FAILED, "no memory for a list")
            : DB_RUN(db, SELECT "WHERE number > $1 AND ($2 = '' OR tenant = $2) ORDER BY number LIMIT $3",
                     take_shown, grants, err, db_integer(strtoll(member_text(args, "after", "0"), NULL, 10)),
                     db_text(tenant), db_integer(limit < PAGE_MAX ? limit : PAGE_MAX));
    return rc < 0 ? rc : operations_page(*answer, grants, limit, err);
}
