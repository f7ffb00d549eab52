#include "vmm/host/access/operations.h"

#include <string.h>

static const struct {
    const char *name;
    access_operation function;
} functions[] = {
    {"role.define", role_define},         {"role.list", role_list},
    {"role.delete", role_delete},         {"grant.add", grant_add},
    {"grant.list", grant_list},           {"grant.remove", grant_remove},
    {"constraint.set", constraint_set},   {"constraint.show", constraint_show},
    {"approval.list", approval_list},     {"approval.give", approval_give},
    {"approval.refuse", approval_refuse}, {"session.show", session_show},
};

access_operation access_operation_find(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0)
            return functions[i].function;
    return NULL;
}

int operations_page(json_t *answer, const json_t *rows, int64_t limit, struct cofre_err *err)
{
    const size_t count = json_array_size(rows);
    if (count == 0 || (int64_t)count < limit)
        return 0;
    json_t *last = json_object_get(json_array_get(rows, count - 1), "id");
    return json_object_set(answer, "next", last) == 0 ? 0
                                                      : cofre_fail(err, COFRE_FAILED, "no memory for a list");
}

int access_forget_tenant(struct db *db, const char *tenant, struct cofre_err *err)
{
    if (!access_is_name(tenant)) /* the host's rows have the empty name */
        return cofre_fail(err, COFRE_USAGE, "\"%.80s\" is no name of a tenant", tenant);
    int rc = DB_RUN(db, "DELETE FROM access_grant WHERE tenant = $1", NULL, NULL, err, db_text(tenant));
    if (rc >= 0)
        rc = DB_RUN(db, "DELETE FROM access_constraint WHERE tenant = $1", NULL, NULL, err, db_text(tenant));
    if (rc >= 0)
        rc = DB_RUN(db, "DELETE FROM access_approval WHERE tenant = $1", NULL, NULL, err, db_text(tenant));
    return rc < 0 ? rc : 0;
}
