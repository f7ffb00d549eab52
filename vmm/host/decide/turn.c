/* Calls that came in one turn of the loop, in one transaction with one signed head of the log. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "vmm/base/number.h"
#include "vmm/host/decide/parts.h"

#define LOG_ROOM "decide"
#include "vmm/base/log.h"

/* Calls */

static struct call *blank(struct decider *d)
{
    uint8_t id[16];
    struct call *call = calloc(1, sizeof *call);
    if (!call || RAND_bytes(id, sizeof id) != 1) {
        free(call);
        return NULL;
    }
    hex_encode(call->id, id, sizeof id);
    call->decider = d;
    call->shown = "none";
    LIST_INSERT_HEAD(&d->calls, call, every);
    return call;
}

struct call *call_new(struct decider *d, call_work *work)
{
    struct call *call = blank(d);
    if (call)
        call->work = work;
    return call;
}

/* What an attempt left, before another one and at the end. */
static void forget_attempt(struct call *call)
{
    tenant_free(&call->tenant);
    guest_row_free(&call->guest);
    free(call->before);
    free(call->after);
    json_decref(call->answer);
    call->before = call->after = NULL;
    call->object[0] = 0;
    call->answer = NULL;
    call->rc = 0;
    call->err.text[0] = 0;
    call->begun = call->hold = call->recorded = false;
    call->then = NULL;
}

void call_free(struct call *call)
{
    LIST_REMOVE(call, every);
    forget_attempt(call);
    message_request_free(&call->request);
    free(call->hands);
    if (call->free_data)
        call->free_data(call->data);
    free(call);
}

void call_later(struct call *call)
{
    if (STAILQ_EMPTY(&call->decider->waiting))
        event_active(call->decider->turn, EV_TIMEOUT, 0);
    STAILQ_INSERT_TAIL(&call->decider->waiting, call, entry);
}

void call_again(struct call *call, call_work *work)
{
    call->hold = false;
    call->then = NULL;
    call->decided = true;
    call->work = work;
    call_later(call);
}

void calls_forget(struct decider *d, const struct caller *caller)
{
    struct call *call;
    LIST_FOREACH(call, &d->calls, every)
    if (call->caller == caller)
        call->caller = NULL;
}

const char *call_part(const struct call *call, size_t index)
{
    return index < call->request.part.count ? call->request.part.text[index] : NULL;
}

const char *call_tenant(const struct call *call)
{
    const struct operation *o = call->request.operation;
    if (o->scope == OF_TENANT)
        return call_part(call, 0);
    if (o->scope != OF_MEMBER)
        return NULL;
    const char *of_body = member_text(call->request.body, "tenant", NULL);
    return of_body ? of_body : member_text(call->request.query, "tenant", NULL);
}

uint64_t call_query(const struct call *call, const char *name, uint64_t otherwise)
{
    return member_unsigned(call->request.query, name, otherwise);
}

/* Who asks is looked at once, before the transaction: it may read a file of keys. */
void call_ask(struct decider *d, struct caller *caller, struct message_request *request)
{
    struct call *call = blank(d);
    if (!call) {
        caller_problem(caller, request->id, 503, 1, "no-memory", "there is no memory left for this");
        return;
    }
    call->caller = caller;
    call->request = *request;
    *request = (struct message_request){.id = call->request.id};
    const struct identity *identity = caller_identity(caller);
    call->shown = call->request.token                      ? "token"
                  : identity->kind == IDENTITY_UNIX        ? "socket"
                  : identity->kind == IDENTITY_CERTIFICATE ? "certificate"
                                                           : "none";
    call->rc = access_identify(&call->who, d->access, identity, call->request.token, time(NULL), &call->err);
    call->decided = false;
    call->work = call->rc < 0 ? NULL : operation_work(call->request.operation);
    call_later(call);
}

/* Answers */

static const struct {
    int status;
    const char *code;
} problems[] = {
    [COFRE_NEGATIVE] = {404, "not-found"},  [COFRE_USAGE] = {409, "conflict"},
    [COFRE_MALFORMED] = {400, "malformed"}, [COFRE_LACKING] = {503, "no-room"},
    [COFRE_FAILED] = {500, "failed"},
};

static void count(struct decider *d, int status)
{
    d->answered[status / 100 < 6 ? status / 100 : 5]++;
}

/* Of one that was not allowed. */
static int refusal_status(const struct call *call, const char **code)
{
    const enum access_outcome outcome = call->decision.outcome;
    *code = call->who.own == 0 ? "unknown" : outcome == ACCESS_ABSENT ? "not-found" : "forbidden";
    return call->who.own == 0 ? 401 : outcome == ACCESS_ABSENT ? 404 : 403;
}

int call_status(const struct call *call, const char **code, const char **sentence)
{
    *code = *sentence = NULL;
    if (!call->decided && !call->work && call->rc < 0) { /* not identified */
        const bool slow = call->rc == -COFRE_LACKING;
        *code = slow ? "slow-down" : "unknown";
        *sentence = slow ? "too many attempts from where you are: come again later"
                         : "who you are could not be seen from what was shown";
        return slow ? 429 : 401;
    }
    if (!call->decided && call->rc == 0 && call->decision.outcome != ACCESS_ALLOWED) {
        *sentence = call->decision.answer;
        return refusal_status(call, code);
    }
    if (call->rc < 0) {
        *code = problems[-call->rc].code;
        *sentence = call->err.text;
        return problems[-call->rc].status;
    }
    return call->answer ? call->request.operation->status : 204;
}

static void answer_held(struct call *call)
{
    CLEAN_JSON *held = json_pack("{s:I, s:s}", "approval", (json_int_t)call->decision.approval, "detail",
                                 call->decision.answer);
    count(call->decider, 202);
    caller_answer(call->caller, call->request.id, 202, held);
}

static void answer(struct call *call)
{
    const char *code, *sentence;
    if (!call->caller || !call->request.operation)
        return;
    if (!call->decided && call->rc == 0 && call->decision.outcome == ACCESS_HELD) {
        answer_held(call);
        return;
    }
    const int status = call_status(call, &code, &sentence);
    count(call->decider, status);
    if (code)
        caller_problem(call->caller, call->request.id, status, status == 429 ? 10 : 0, code, "%s", sentence);
    else if (call->answer)
        caller_answer(call->caller, call->request.id, status, call->answer);
    else
        caller_empty(call->caller, call->request.id, status);
}

void call_finish(struct call *call)
{
    answer(call);
    call_free(call);
}

/* The transaction */

static const char *resource(const struct call *call)
{
    return call->request.operation->scope == OF_TENANT ? call_part(call, 1) : NULL;
}

static bool names_guest(const struct operation *o)
{
    return strstr(o->path, "/{guest}") != NULL;
}

/* The rows that the path names; whether one is not there. */
static int find_target(struct call *call, bool *absent, struct cofre_err *err)
{
    const char *tenant = call_tenant(call);
    *absent = false;
    if (!tenant || operation_number(call->request.operation) == OPERATION_TENANT_CREATE)
        return 0;
    int rc = tenant_find(&call->tenant, call->db, tenant, err);
    *absent = rc == 1;
    if (rc >= 0 && names_guest(call->request.operation)) /* as many statements, whatever is there */
        rc = guest_row_find(&call->guest, call->db, tenant, resource(call), err);
    *absent = *absent || rc == 1;
    return rc < 0 ? rc : 0;
}

static int decide(struct call *call, struct cofre_err *err)
{
    const struct operation *o = call->request.operation;
    const json_t *body = call->request.body;
    struct access_request request = {.operation = o,
                                     .tenant = call_tenant(call),
                                     .resource = resource(call),
                                     .labels = call->guest.labels,
                                     .part = &call->request.part,
                                     .query = call->request.query,
                                     .body = body,
                                     .approval = call->approval.number,
                                     .now = call->now};
    int rc = find_target(call, &request.absent, err);
    if (rc < 0)
        return rc;
    request.labels = call->guest.labels;
    if (operation_number(o) == OPERATION_GUEST_CREATE)
        request.labels = member_at(body, "labels");
    if (operation_number(o) == OPERATION_GUEST_UPDATE)
        request.labels_after = member_at(body, "labels");
    return access_decide(&call->decision, call->decider->access, call->db, &call->who, &request, err);
}

enum log_operation_outcome call_outcome(const struct call *call)
{
    if (!call->decided && (!call->work || (call->rc == 0 && call->decision.outcome == ACCESS_REFUSED) ||
                           call->decision.outcome == ACCESS_ABSENT))
        return LOG_OPERATION_REFUSED;
    if (call->rc < 0)
        return LOG_OPERATION_FAILED;
    return call->begun || call->decision.outcome == ACCESS_HELD ? LOG_OPERATION_ALLOWED : LOG_OPERATION_DONE;
}

/* What changes something, what shows what a guest says, and whatever was refused; that somebody looked at a list is no record. */
static bool is_recorded(const struct call *call, enum log_operation_outcome outcome)
{
    const unsigned flags = call->request.operation->flags;
    return outcome == LOG_OPERATION_REFUSED || flags & (OPERATION_CHANGES | OPERATION_STREAMS);
}

const char *call_object(const struct call *call)
{
    const char *name = resource(call);
    if (!name && call->request.operation->scope != OF_TENANT) /* a role, a grant, an approval */
        name = call_part(call, 0);
    return name ? name : member_text(call->request.body, "name", call->object); /* what it makes */
}

static int record(struct call *call, struct cofre_err *err)
{
    const enum log_operation_outcome what = call_outcome(call);
    if (!call->request.operation || !is_recorded(call, what))
        return 0;
    if (call->who.own == 0 && !audit_may_tell(call->decider->audit, call->now))
        return 0;
    char object[128] = "";
    (void)snprintf(object, sizeof object, "%s", call_object(call));
    const char *detail = call->rc < 0                                                 ? call->err.text
                         : !call->decided && call->decision.outcome != ACCESS_ALLOWED ? call->decision.reason
                                                                                      : NULL;
    char approved[LOG_DETAIL_MAX];
    if (call->approval.number && !detail) {
        (void)snprintf(approved, sizeof approved, "approval %lld, given by %s",
                       (long long)call->approval.number, call->approval.by);
        detail = approved;
    }
    const char *before = call->before, *after = call->rc < 0 ? NULL : call->after;
    const struct audit_operation operation = {
        .outcome = what,
        .operation = call->request.operation->name,
        .request = call->id,
        .subject = access_caller_name(&call->who),
        .identity = call->shown,
        .from = call->who.from[0] ? call->who.from
                : call->caller    ? caller_identity(call->caller)->address
                                  : "",
        .tenant = call_tenant(call),
        .object = object,
        .before = {(const uint8_t *)before, before ? strlen(before) : 0},
        .after = {(const uint8_t *)after, after ? strlen(after) : 0},
        .detail = detail,
    };
    call->recorded = true;
    return audit_operation(call->turn, &operation, NULL, err);
}

/* One call between savepoints: what it did not come to the end of is taken back, and its entry stays. */
static int attempt(struct call *call, struct cofre_err *err)
{
    if (call->request.operation && !call->work && !call->decided)
        return record(call, err); /* it is not known who asks */
    struct audit_mark mark;
    int rc = db_script(call->db, "SAVEPOINT one", err), done;
    if (rc < 0)
        return rc;
    audit_set_mark(&mark, call->turn);
    forget_attempt(call);
    call->decision = (struct access_decision){.outcome = ACCESS_ALLOWED};
    done = call->decided || !call->request.operation ? 0 : decide(call, &call->err);
    if (done == 0 && call->decision.outcome == ACCESS_ALLOWED)
        done = call->work(call, &call->err);
    call->rc = done < 0 ? done : 0;
    if (done < 0) {
        rc = db_script(call->db, "ROLLBACK TO one", err);
        audit_go_back(call->turn, &mark);
        call->then = NULL;
        call->begun = call->hold = false;
    }
    if (rc == 0)
        rc = db_script(call->db, "RELEASE one", err);
    if (rc == 0)
        rc = held_settle(call, err);
    return rc < 0 ? rc : record(call, err);
}

static int run_all(struct db *db, void *context, struct cofre_err *err)
{
    struct decider *d = context;
    CLEAN_AUDIT_TURN turn = {0};
    struct call *call;
    const int64_t now = time(NULL);
    d->not_growth = 0;
    int rc = audit_begin(&turn, d->audit, db, now, err);
    STAILQ_FOREACH(call, &d->waiting, entry)
    {
        if (rc < 0)
            break;
        call->db = db;
        call->turn = &turn;
        call->now = now;
        rc = attempt(call, err);
    }
    d->grew = turn.log.tree.size - turn.before > d->not_growth;
    return rc < 0 ? rc : audit_sign(&turn, err);
}

static void after_turn(struct call *call, int rc, const struct cofre_err *err)
{
    if (rc < 0) { /* nothing of it is there */
        forget_attempt(call);
        call->decided = true;
        call->rc = -COFRE_LACKING;
        call->err = *err;
    }
    if (!call->request.operation && call->rc < 0)
        log_warn("%s", call->err.text);
    tell_operation(call);
    call_then *then = call->then;
    if (then && call->hold) {
        then(call); /* which finishes it */
        return;
    }
    answer(call);
    if (then)
        then(call);
    call_free(call);
}

/* What came to pass on the host and could not be written down: the next start looks at the host, and finds it. */
static bool leaves_undone(const struct decider *d)
{
    const struct call *call;
    STAILQ_FOREACH(call, &d->waiting, entry)
    if (!call->request.operation || call->decided)
        return true;
    return false;
}

void turn_run(evutil_socket_t fd, short events, void *decider)
{
    struct decider *d = decider;
    struct calls these = STAILQ_HEAD_INITIALIZER(these);
    struct cofre_err err = {""};
    struct call *call;
    (void)fd;
    (void)events;
    if (STAILQ_EMPTY(&d->waiting))
        return;
    int rc = db_atomically(d->db, run_all, d, &err);
    if (rc < 0)
        log_error("%s", err.text);
    else
        audit_kept(d->audit);
    if (rc >= 0 && d->grew)
        clock_log_grew(d->clock);
    if (rc < 0 && leaves_undone(d)) {
        d->lost = -COFRE_FAILED;
        d->why = err;
        event_base_loopbreak(d->base);
    }
    if (images_settle(d->images, d->db, &err) < 0)
        log_warn("%s", err.text);
    STAILQ_CONCAT(&these, &d->waiting);
    while ((call = STAILQ_FIRST(&these))) {
        STAILQ_REMOVE_HEAD(&these, entry);
        after_turn(call, rc, &err);
    }
    clock_turned(d->clock);
}

/* Halves */

struct half {
    struct call *call;
    call_work *work;
};

static void half_answered(void *context, int rc, const struct hands_answer *answer, int fd,
                          const struct cofre_err *why)
{
    struct half *half = context;
    struct call *call = half->call;
    if (fd >= 0)
        close(fd);
    call->hands_rc = rc;
    if (rc < 0)
        call->hands_err = *why;
    else if ((call->hands = malloc(sizeof *call->hands)))
        *call->hands = *answer;
    else
        call->hands_rc = cofre_fail(&call->hands_err, COFRE_FAILED, "no memory for what hands said");
    call_again(call, half->work);
    free(half);
}

void call_hands(struct call *call, enum hands_what what, uint32_t run, const void *body, call_work *work)
{
    struct half *half = malloc(sizeof *half);
    struct cofre_err err = {""};
    call->run = run;
    int rc = half ? 0 : cofre_fail(&err, COFRE_FAILED, "no memory for a request to hands");
    if (rc == 0) {
        *half = (struct half){call, work};
        rc = hands_client_ask(call->decider->hands, what, run, body, NULL, 0, half_answered, half, &err);
    }
    if (rc == 0)
        return;
    free(half);
    call->hands_rc = rc;
    call->hands_err = err;
    call_again(call, work);
}

static void was_done(void *context, int rc, const struct hands_answer *answer, int fd,
                     const struct cofre_err *why)
{
    (void)context;
    (void)answer;
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        log_warn("%s", why->text);
}

void hands_do(struct decider *d, enum hands_what what, uint32_t run)
{
    struct cofre_err err = {""};
    if (hands_client_ask(d->hands, what, run, NULL, NULL, 0, was_done, d, &err) < 0)
        log_warn("%s", err.text);
}
