/* Roles, grants, constraints, approvals and the session are vmm/host/access's own. */
#include "vmm/host/decide/parts.h"

/* The path's parts by their names, and the members of query and body, in one object. */
static json_t *all_of(const struct call *call)
{
    json_t *args = call->request.body ? json_deep_copy(call->request.body) : json_object();
    char name[OPERATION_PART_MAX];
    enum schema_check check;
    if (call->request.query)
        json_object_update(args, call->request.query);
    for (size_t i = 0; operation_part(call->request.operation, i, name, &check); i++)
        json_object_set_new(args, name, json_string(call_part(call, i)));
    return args;
}

static void approved(struct call *call)
{
    held_carry_out(call->decider);
}

int work_access(struct call *call, struct cofre_err *err)
{
    CLEAN_JSON *args = all_of(call);
    const access_operation run = access_operation_find(call->request.operation->name);
    if (!run || !args)
        return cofre_fail(err, COFRE_FAILED, "%s cannot be done here", call->request.operation->name);
    int rc = run(&call->answer, call->decider->access, call->db, &call->who, args, call->now, err);
    if (rc < 0)
        return rc == -COFRE_NEGATIVE ? -COFRE_USAGE : rc;
    if (operation_number(call->request.operation) == OPERATION_APPROVAL_GIVE)
        call->then = approved;
    if (call->request.operation->flags & OPERATION_CHANGES)
        call->after = json_dumps(args, JSON_COMPACT | JSON_SORT_KEYS);
    if (call->answer && json_is_null(call->answer)) {
        json_decref(call->answer);
        call->answer = NULL;
    }
    return 0;
}
