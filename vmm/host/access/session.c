/* Who the caller is, and what it may. */
#include <stdio.h>

#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/host/access/held.h"
#include "vmm/host/access/operations.h"
#include "vmm/host/access/rows.h"

/* Somewhere: in a tenant, or for some labels. */
static role_set granted(const struct held *held)
{
    role_set set = 0;
    for (size_t i = 0; i < held->count; i++)
        set |= held_left(held, &held->grant[i], held->grant[i].tenant);
    return set;
}

static json_t *names_of(role_set set)
{
    json_t *names = json_array();
    for (enum operation_number o = 0; o < OPERATIONS; o++)
        if ((set & ROLE_SET_OF(o)) || operations[o].scope == OF_CALLER)
            (void)json_array_append_new(names, json_string(operations[o].name));
    return names;
}

static json_t *principals_of(const struct access_caller *caller)
{
    json_t *names = json_array();
    for (size_t i = 0; i < caller->principals; i++)
        (void)json_array_append_new(names, json_string(caller->principal[i].text));
    return names;
}

static int take_grant(void *context, const struct db_value *c, size_t columns, struct cofre_err *err)
{
    char number[24];
    const char *tenant = db_string(&c[3]);
    (void)columns;
    (void)snprintf(number, sizeof number, "%lld", (long long)c[0].integer);
    json_t *labels = json_loads(db_string(&c[4]), 0, NULL),
           *until = c[6].integer ? json_time(c[6].integer) : NULL;
    json_t *grant = json_pack("{s:s, s:s, s:s, s:s*, s:o, s:b, s:o*}", "id", number, "identity",
                              db_string(&c[1]), "role", db_string(&c[2]), "tenant", *tenant ? tenant : NULL,
                              "labels", labels, "deny", (int)c[5].integer, "until", until);
    return json_array_append_new(context, grant) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "no memory for a grant");
}

static int list_grants(json_t *grants, struct db *db, const struct access_caller *caller, int64_t now,
                       struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < caller->principals; i++)
        rc = DB_RUN(db,
                    "SELECT number, subject, role, tenant, labels, deny, until FROM access_grant"
                    " WHERE subject = $1 AND (until = 0 OR until > $2) ORDER BY number",
                    take_grant, grants, err, db_text(caller->principal[i].text), db_integer(now));
    return rc < 0 ? rc : 0;
}

int session_show(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                 const json_t *args, int64_t now, struct cofre_err *err)
{
    CLEAN_HELD held = {0};
    CLEAN_JSON *grants = json_array(), *requests = json_array();
    (void)access, (void)args;
    *answer = NULL;
    int rc = held_load(&held, db, caller, now, err);
    if (rc == 0)
        rc = list_grants(grants, db, caller, now, err);
    if (rc == 0)
        rc = approvals_of(requests, db, caller, now, err);
    if (rc == 0)
        *answer = json_pack("{s:s, s:o, s:o, s:O, s:O}", "identity", access_caller_name(caller), "principals",
                            principals_of(caller), "operations", names_of(granted(&held)), "grants", grants,
                            "requests", requests);
    return rc < 0 || *answer ? rc : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}
