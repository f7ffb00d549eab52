/* The operations on roles. */
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/access/held.h"
#include "vmm/host/access/operations.h"
#include "vmm/host/access/rows.h"
#include "vmm/host/interface/schema.h"

#define ROLES_MAX 512

static int count_grants(int64_t *out, struct db *db, const char *role, struct cofre_err *err)
{
    int rc = DB_RUN(db, "SELECT COUNT(*) FROM access_grant WHERE role = $1", db_take_integer, out, err,
                    db_text(role));
    return rc < 0 ? rc : 0;
}

static int refuse_built_in(const char *name, struct cofre_err *err)
{
    return role_find_built_in(name)
               ? cofre_fail(err, COFRE_NEGATIVE, "role %s is built in, and stays as it is", name)
               : 0;
}

/* A role is nothing until it is granted. Of one that is, who changes it gives what it gets, and gives back, where it is denied, what
 * it loses: both must be held. */
static int check_change(struct db *db, const struct access_caller *caller, const char *name, role_set wanted,
                        int64_t now, struct cofre_err *err)
{
    CLEAN_HELD held = {0};
    CLEAN_JSON *none = json_object();
    int64_t grants = 0;
    role_set before;
    int rc = count_grants(&grants, db, name, err);
    if (rc < 0 || grants == 0)
        return rc;
    rc = role_find(&before, db, name, err);
    if (rc == 0)
        rc = held_load(&held, db, caller, now, err);
    return rc < 0 ? rc : held_covers(&held, before | wanted, "", none, 0, err);
}

static int keep(struct db *db, const char *name, const json_t *patterns, const char *help, const char *by,
                int64_t now, struct cofre_err *err)
{
    CLEAN_FREE char *text = rows_text(patterns);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "no memory for a role");
    int rc =
        DB_RUN(db,
               "INSERT INTO access_role (name, operations, help, made, made_by) VALUES ($1, $2, $3, $4, $5)"
               " ON CONFLICT (name) DO UPDATE SET operations = $2, help = $3, made = $4, made_by = $5",
               NULL, NULL, err, db_text(name), db_text(text), db_text(help), db_integer(now), db_text(by));
    return rc < 0 ? rc : 0;
}

static int keep_if_one_stays(struct db *db, const char *name, const json_t *patterns, const char *help,
                             const char *by, int64_t now, struct cofre_err *err)
{
    int rc = rows_try(db, err);
    if (rc < 0)
        return rc;
    rc = keep(db, name, patterns, help, by, now, err);
    if (rc == 0)
        rc = grants_check_administrator(db, now, err);
    return rows_tried(db, rc, err);
}

static int check_room(struct db *db, struct cofre_err *err)
{
    int64_t roles = 0;
    int rc = db_run(db, "SELECT COUNT(*) FROM access_role", NULL, 0, db_take_integer, &roles, err);
    return rc < 0              ? rc
           : roles < ROLES_MAX ? 0
                               : cofre_fail(err, COFRE_NEGATIVE, "there are %d roles already", ROLES_MAX);
}

int role_define(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                const json_t *args, int64_t now, struct cofre_err *err)
{
    const char *name = member_text(args, "role", ""), *help = member_text(args, "help", "");
    json_t *patterns = (json_t *)(uintptr_t)member_at(args, "operations");
    role_set wanted;
    (void)access;
    *answer = NULL;
    int rc = refuse_built_in(name, err);
    if (rc == 0)
        rc = role_patterns_read(&wanted, patterns, err);
    if (rc == 0)
        rc = check_change(db, caller, name, wanted, now, err);
    if (rc == 0)
        rc = check_room(db, err);
    if (rc == 0)
        rc = keep_if_one_stays(db, name, patterns, help, access_caller_name(caller), now, err);
    if (rc == 0)
        *answer = json_pack("{s:s, s:O, s:s, s:b}", "name", name, "operations", patterns, "help", help,
                            "builtin", 0);
    return rc;
}

static json_t *show_built_in(const struct role *role)
{
    json_t *patterns = json_array();
    for (size_t i = 0; role->patterns[i]; i++)
        (void)json_array_append_new(patterns, json_string(role->patterns[i]));
    return json_pack("{s:s, s:o, s:s, s:b}", "name", role->name, "operations", patterns, "help", role->help,
                     "builtin", 1);
}

static int take_role(void *context, const struct db_value *column, size_t columns, struct cofre_err *err)
{
    (void)columns;
    json_t *role =
        json_pack("{s:s, s:o, s:s, s:b}", "name", db_string(&column[0]), "operations",
                  json_loads(db_string(&column[1]), 0, NULL), "help", db_string(&column[2]), "builtin", 0);
    return json_array_append_new(context, role) == 0 ? 0
                                                     : cofre_fail(err, COFRE_FAILED, "a role cannot be read");
}

int role_list(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
              const json_t *args, int64_t now, struct cofre_err *err)
{
    json_t *roles = json_array();
    (void)access, (void)caller, (void)args, (void)now;
    *answer = json_pack("{s:o}", "roles", roles);
    if (!*answer)
        return cofre_fail(err, COFRE_FAILED, "no memory for a list");
    for (size_t i = 0; i < role_built_in_count; i++)
        (void)json_array_append_new(roles, show_built_in(&role_built_in[i]));
    int rc = db_run(db, "SELECT name, operations, help FROM access_role ORDER BY name", NULL, 0, take_role,
                    roles, err);
    return rc < 0 ? rc : 0;
}

int role_delete(json_t **answer, struct access *access, struct db *db, const struct access_caller *caller,
                const json_t *args, int64_t now, struct cofre_err *err)
{
    const char *name = member_text(args, "role", "");
    int64_t grants = 0;
    (void)access, (void)caller, (void)now;
    *answer = NULL;
    int rc = refuse_built_in(name, err);
    if (rc == 0)
        rc = count_grants(&grants, db, name, err);
    if (rc < 0)
        return rc;
    if (grants)
        return cofre_fail(err, COFRE_NEGATIVE, "role %s is granted %lld times: take those back first", name,
                          (long long)grants);
    rc = DB_RUN(db, "DELETE FROM access_role WHERE name = $1", NULL, NULL, err, db_text(name));
    return rc < 0 ? rc : rc == 0 ? cofre_fail(err, COFRE_NEGATIVE, "there is no role \"%.80s\"", name) : 0;
}
