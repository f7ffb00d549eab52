/* What journald is told of calls and guests: nothing that the log of operations does not have. */
#include <string.h>

#include "vmm/host/decide/journal.h"
#include "vmm/host/decide/parts.h"

static const enum journal_kind kinds[] = {[LOG_OPERATION_ALLOWED] = JOURNAL_BEGUN,
                                          [LOG_OPERATION_DONE] = JOURNAL_DONE,
                                          [LOG_OPERATION_REFUSED] = JOURNAL_REFUSED,
                                          [LOG_OPERATION_FAILED] = JOURNAL_FAILED};

void tell_operation(const struct call *call)
{
    const struct operation *o = call->request.operation;
    if (!call->recorded)
        return;
    const bool of_guest = strncmp(o->name, "guest.", 6) == 0;
    const bool refused = !call->decided && call->rc == 0 && call->decision.outcome != ACCESS_ALLOWED;
    const struct journal_message message = {
        .kind = kinds[call_outcome(call)],
        .operation = o->name,
        .request = call->id,
        .tenant = call_tenant(call),
        .guest = of_guest ? call_object(call) : NULL,
        .object = of_guest ? NULL : call_object(call),
        .by = access_caller_name(&call->who),
        .why = call->rc < 0 ? call->err.text
               : refused    ? call->decision.reason
                            : NULL,
    };
    journal_tell(call->decider->config->journal, &message);
}

void tell_guest(const struct decider *d, const char *state, const struct guest_row *guest)
{
    const bool failed = guest->state == GUEST_FAILED;
    const struct journal_message message = {
        .kind = failed ? JOURNAL_GUEST_FAILED : JOURNAL_GUEST,
        .request = guest->request,
        .tenant = guest->tenant,
        .guest = guest->name,
        .state = state,
        .why = failed ? guest->why : NULL,
    };
    journal_tell(d->config->journal, &message);
}
