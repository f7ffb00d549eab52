/* Requests that waited for a second approver: each is carried out as who asked, by what he may do now, in a turn as any other. */
#include "vmm/host/access/approval.h"
#include "vmm/host/decide/parts.h"

#define LOG_ROOM "decide"
#include "vmm/base/log.h"

static bool is_under_way(const struct decider *d, int64_t number)
{
    const struct call *call;
    LIST_FOREACH(call, &d->calls, every)
    if (call->approval.number == number)
        return true;
    return false;
}

static void carry_out(struct decider *d, struct approval_given *given)
{
    struct call *call = call_new(d, operation_work(given->operation));
    if (!call) {
        log_warn("no memory to carry out approval %lld: the next start does", (long long)given->number);
        return;
    }
    call->request = (struct message_request){
        .operation = given->operation, .part = given->part, .query = given->query, .body = given->body};
    given->query = given->body = NULL;
    call->who = given->who;
    call->approval.number = given->number;
    (void)snprintf(call->approval.by, sizeof call->approval.by, "%s", given->by);
    call_later(call);
}

/* A row is given until the transaction that has its effect: one whose turn a crash took is found here, and no other is twice. */
void held_carry_out(struct decider *d)
{
    struct cofre_err err = {""};
    struct approval_given given = {0};
    int64_t after = 0;
    int rc;
    while ((rc = approval_given_next(&given, d->db, after, &err)) == 0 || given.number > after) {
        after = given.number;
        if (rc < 0)
            log_warn("%s", err.text);
        else if (!is_under_way(d, given.number))
            carry_out(d, &given);
        approval_given_free(&given);
    }
    if (rc < 0)
        log_warn("%s", err.text);
}

int held_settle(struct call *call, struct cofre_err *err)
{
    const char *code, *sentence;
    if (!call->approval.number || call->begun)
        return 0;
    const int status = call_status(call, &code, &sentence);
    CLEAN_JSON *result = json_pack("{s:i, s:s*, s:s*, s:O*}", "status", status, "code", code, "detail",
                                   sentence, "answer", call->answer);
    if (!result)
        return cofre_fail(err, COFRE_FAILED, "no memory for what became of a request");
    return approval_settle(call->db, call->decider->config->access, call->approval.number, !code, result,
                           call->now, err);
}
