/* The operations of second approvers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/host/access/kept.h"
#include "vmm/host/access/operations.h"
#include "vmm/host/interface/schema.h"

/* Rows */

#define SELECT                                                                                               \
    "SELECT number, state, operation, tenant, subject, request, expires, by_whom, reason, names, result "    \
    "FROM "                                                                                                  \
    "access_approval "

static json_t *show(const struct db_value *c)
{
    static const struct {
        const char *row, *word;
    } states[] = {{"waits", "waiting"},
                  {"given", "given"},
                  {"refused", "refused"},
                  {"used", "used"},
                  {"failed", "failed"}};
    const char *tenant = db_string(&c[3]), *by = db_string(&c[7]), *reason = db_string(&c[8]), *word = "";
    char number[24];
    (void)snprintf(number, sizeof number, "%lld", (long long)c[0].integer);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].row, db_string(&c[1])) == 0)
            word = states[i].word;
    return json_pack("{s:s, s:s, s:s, s:s*, s:s, s:o, s:o, s:s*, s:s*, s:o*}", "id", number, "state", word,
                     "operation", db_string(&c[2]), "tenant", *tenant ? tenant : NULL, "by", db_string(&c[4]),
                     "request", json_loads(db_string(&c[5]), 0, NULL), "until", json_time(c[6].integer),
                     "decided_by", *by ? by : NULL, "reason", *reason ? reason : NULL, "result",
                     json_loads(db_string(&c[10]), 0, NULL));
}

static int take_shown(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    return json_array_append_new(context, show(column)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "no memory for a list");
}

struct waiting {
    json_t *names, *shown; /* owned */
    int64_t number;
    bool waits;
};

static void waiting_free(struct waiting *waiting)
{
    json_decref(waiting->names);
    json_decref(waiting->shown);
}
#define CLEAN_WAITING __attribute__((cleanup(waiting_free))) struct waiting

static int take_waiting(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    struct waiting *out = context;
    (void)columns;
    out->number = column[0].integer;
    out->waits = strcmp(db_string(&column[1]), "waits") == 0;
    out->names = json_loads(db_string(&column[9]), 0, NULL);
    out->shown = show(column);
    return out->names && out->shown ? 0
                                    : cofre_fail(err, COFRE_FAILED, "a request that waits cannot be read");
}

static int find(struct waiting *out, struct db *db, const json_t *args, int64_t now, struct cofre_err *err)
{
    const char *number = member_text(args, "approval", "");
    int rc = DB_RUN(db, SELECT "WHERE number = $1 AND tenant = $2 AND expires > $3", take_waiting, out, err,
                    db_integer(strtoll(number, NULL, 10)), db_text(member_text(args, "tenant", "")),
                    db_integer(now));
    if (rc < 0)
        return rc;
    return rc == 1 && out->waits
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "no request %.20s of that tenant, or of the host, waits",
                            number);
}

/* Who somebody is */

static const char *user_of(const struct access_config *config, const char *name)
{
    for (size_t i = 0; i < config->mappings; i++)
        if (strcmp(config->mapping[i].identity.text, name) == 0)
            return config->mapping[i].user;
    return strncmp(name, "user:", 5) == 0 ? name + 5 : NULL;
}

/* By what the configuration says today: of two names that were not one's when the request was made, and are now, one is enough. */
static bool is_asker(const struct access_config *config, const struct access_caller *caller,
                     const json_t *names)
{
    const json_t *name;
    size_t i;
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name), *user = user_of(config, text);
        if (access_callers_meet(caller, &text, 1))
            return true;
        for (size_t j = 0; user && j < caller->own; j++) {
            const char *other = user_of(config, caller->principal[j].text);
            if (other && strcmp(user, other) == 0)
                return true;
        }
    }
    return false;
}

/* Deciding */

static int settle(json_t **answer, struct db *db, const struct waiting *w, const struct access_caller *caller,
                  const char *state, const char *reason, int64_t now, struct cofre_err *err)
{
    CLEAN_JSON *list = json_array();
    int rc = DB_RUN(db,
                    "UPDATE access_approval SET state = $2, by_whom = $3, decided = $4, reason = $5"
                    " WHERE number = $1 AND state = 'waits'",
                    NULL, NULL, err, db_integer(w->number), db_text(state),
                    db_text(access_caller_name(caller)), db_integer(now), db_text(reason));
    if (rc == 1)
        rc = DB_RUN(db, SELECT "WHERE number = $1", take_shown, list, err, db_integer(w->number));
    if (rc == 1)
        *answer = json_incref(json_array_get(list, 0));
    return rc < 0 ? rc : 0;
}

int approval_give(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                  const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_WAITING w = {0};
    *answer = NULL;
    int rc = find(&w, db, args, now, err);
    if (rc == 0 && is_asker(access->config, caller, w.names))
        rc = cofre_fail(err, COFRE_NEGATIVE, "you asked for it: somebody else must approve");
    return rc < 0 ? rc : settle(answer, db, &w, caller, "given", "", now, err);
}

/* Whoever asked may take it back so. */
int approval_refuse(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                    const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_WAITING w = {0};
    (void)access;
    *answer = NULL;
    int rc = find(&w, db, args, now, err);
    return rc < 0 ? rc : settle(answer, db, &w, caller, "refused", member_text(args, "reason", ""), now, err);
}

int approval_list(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                  const json_t *args, int64_t now, struct cofre_err *err)
{
    const int64_t limit = (int64_t)member_unsigned(args, "limit", 100);
    json_t *approvals = json_array();
    (void)access, (void)caller;
    *answer = json_pack("{s:o}", "approvals", approvals);
    int rc =
        !*answer
            ? cofre_fail(err, COFRE_FAILED, "no memory for a list")
            : DB_RUN(
                  db,
                  SELECT
                  "WHERE number > $1 AND ($2 = '' OR tenant = $2) AND expires > $3 ORDER BY number LIMIT $4",
                  take_shown, approvals, err, db_integer(strtoll(member_text(args, "after", "0"), NULL, 10)),
                  db_text(member_text(args, "tenant", "")), db_integer(now), db_integer(limit));
    return rc < 0 ? rc : operations_page(*answer, approvals, limit, err);
}

int approvals_of(json_t *list, struct db *db, const struct access_caller *caller, int64_t now,
                 struct cofre_err *err)
{
    int rc = DB_RUN(db, SELECT "WHERE subject = $1 AND expires > $2 ORDER BY number DESC LIMIT 100",
                    take_shown, list, err, db_text(access_caller_name(caller)), db_integer(now));
    return rc < 0 ? rc : 0;
}
