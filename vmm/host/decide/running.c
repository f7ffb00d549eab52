/* What somebody has a guest do. Each is decided, and written down, before hands hears of it. */
#include <stdio.h>
#include <string.h>

#include "vmm/base/number.h"
#include "vmm/host/decide/parts.h"
#include "vmm/host/interface/schemas.h"

#define STOP_SECONDS 30 /* for a guest that was asked to end */

int guest_happens(struct call *call, struct guest_row *guest, enum guest_event event, struct cofre_err *err)
{
    enum guest_state next;
    int rc = guest_next(&next, guest->state, event, err);
    if (rc < 0)
        return rc;
    guest->state = next;
    return guest_row_change(call->db, guest, err);
}

static int show(struct call *call, struct cofre_err *err)
{
    call->answer = guest_show(&call->guest, NULL);
    return call->answer ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for an answer");
}

static void tell(struct call *call)
{
    const struct guest_row *g = &call->guest;
    event_happens(call->decider, guest_state_names[g->state], g);
    waiters_look(call->decider, g);
}

/* Start */

/* cofre-vmm starts no guest with another measurement than the one that is expected; so that one is what the guest will have. */
static int check_constraint(struct call *call, const json_t *definition, struct cofre_err *err)
{
    const json_t *expect = member_at(definition, "expect"), *registers = member_at(expect, "rtmr");
    uint8_t bytes[5][48];
    struct access_prediction predicted = {.measurement = {bytes[4], 0}};
    const char *measurement = member_text(expect, "measurement", NULL);
    if (measurement && hex_decode(bytes[4], 48, measurement))
        predicted.measurement.len = 48;
    for (size_t i = 0; i < json_array_size(registers) && i < 4; i++)
        if (hex_decode(bytes[i], 48, json_string_value(json_array_get(registers, i))))
            predicted.rtmr[i] = (struct view){bytes[i], 48};
    int rc = access_constraint_check(call->db, call->guest.tenant, definition, &predicted, err);
    return rc == -COFRE_NEGATIVE ? -COFRE_USAGE : rc;
}

struct former {
    uint32_t run;
};

static void start_it(struct call *call)
{
    tell(call);
    starting_begin(call->decider, &call->guest, ((struct former *)call->data)->run);
}

int guest_begin(struct call *call, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    struct former *former = call->data ? call->data : malloc(sizeof *former);
    CLEAN_JSON *definition = NULL;
    call->data = former;
    call->free_data = free;
    if (!former)
        return cofre_fail(err, COFRE_FAILED, "no memory to start a guest");
    former->run = g->run;
    int rc = guest_definition(&definition, call->db, g->number, g->version, err);
    if (rc == 0)
        rc = check_constraint(call, definition, err);
    if (rc == 0)
        rc = admission_check_start(call, g, definition, err);
    if (rc == 0)
        rc = guest_draw_run(&g->run, call->db, err);
    if (rc < 0)
        return rc;
    (void)snprintf(g->tee, sizeof g->tee, "%s", member_text(definition, "tee", "none"));
    (void)snprintf(g->expected, sizeof g->expected, "%s",
                   member_text(member_at(definition, "expect"), "measurement", ""));
    (void)snprintf(g->request, sizeof g->request, "%s", call->id);
    g->cpus = (int64_t)member_unsigned(definition, "cpus", 1);
    g->memory = (int64_t)member_unsigned(definition, "memory", 0);
    g->huge_page = (int64_t)definition_page(definition);
    g->networks = (int64_t)json_array_size(member_at(definition, "networks"));
    g->started_version = g->version;
    g->started = call->now;
    g->launches = 0;
    g->asked = g->again = false;
    g->why[0] = g->measurement[0] = 0;
    call->then = start_it;
    return guest_happens(call, g, GUEST_START, err);
}

int work_guest_start(struct call *call, struct cofre_err *err)
{
    int rc = guest_begin(call, err);
    call->begun = rc == 0;
    return rc < 0 ? rc : show(call, err);
}

/* Stop */

static void kill_it(struct decider *d, uint32_t run)
{
    hands_do(d, HANDS_KILL, run);
}

void guest_ask_to_end(struct decider *d, uint32_t run, unsigned seconds)
{
    alarm_set(d, run, seconds, kill_it);
    hands_do(d, HANDS_THAW, run); /* one that is frozen hears nothing */
    hands_do(d, HANDS_TERMINATE, run);
}

static void ask_to_end(struct call *call)
{
    tell(call);
    guest_ask_to_end(call->decider, call->guest.run,
                     (unsigned)member_unsigned(call->request.body, "seconds", STOP_SECONDS));
}

static void end_it(struct call *call)
{
    tell(call);
    kill_it(call->decider, call->guest.run);
}

static int stop(struct call *call, enum guest_event event, bool again, struct cofre_err *err)
{
    call->guest.asked = true;
    call->guest.again = again;
    int rc = guest_happens(call, &call->guest, event, err);
    if (rc < 0)
        return rc;
    call->begun = true;
    call->then = event == GUEST_KILL ? end_it : ask_to_end;
    return show(call, err);
}

static void called_off(struct call *call)
{
    alarms_drop(call->decider, call->guest.run);
    tell(call);
}

/* One that has ended, and waits to be started again, does not any more. */
static int stop_or_call_off(struct call *call, enum guest_event event, struct cofre_err *err)
{
    struct guest_row *g = &call->guest;
    if (!guest_waits(g))
        return stop(call, event, false, err);
    g->again = false;
    call->then = called_off;
    int rc = guest_row_change(call->db, g, err);
    return rc < 0 ? rc : show(call, err);
}

int work_guest_stop(struct call *call, struct cofre_err *err)
{
    return stop_or_call_off(call, GUEST_STOP, err);
}

int work_guest_kill(struct call *call, struct cofre_err *err)
{
    return stop_or_call_off(call, GUEST_KILL, err);
}

int work_guest_restart(struct call *call, struct cofre_err *err)
{
    if (call->guest.state == GUEST_STOPPED || call->guest.state == GUEST_FAILED)
        return work_guest_start(call, err);
    return stop(call, GUEST_STOP, true, err);
}

/* Pause and limits: hands does it, then the row says so */

static int find_again(struct call *call, struct cofre_err *err)
{
    int rc = call->hands_rc < 0
                 ? cofre_fail(err, (enum cofre_error) - call->hands_rc, "%s", call->hands_err.text)
                 : guest_row_find(&call->guest, call->db, call_part(call, 0), call_part(call, 1), err);
    return rc == 1 || (rc == 0 && call->guest.run != call->run)
               ? cofre_fail(err, COFRE_NEGATIVE, "guest %s is gone", call_part(call, 1))
               : rc;
}

static int happened(struct call *call, enum guest_event event, struct cofre_err *err)
{
    int rc = find_again(call, err);
    if (rc == 0)
        rc = guest_happens(call, &call->guest, event, err);
    if (rc < 0)
        return rc;
    call->then = tell;
    return show(call, err);
}

static int paused(struct call *call, struct cofre_err *err)
{
    return happened(call, GUEST_PAUSE, err);
}

static int resumed(struct call *call, struct cofre_err *err)
{
    return happened(call, GUEST_RESUME, err);
}

static void freeze(struct call *call)
{
    call_hands(call, HANDS_FREEZE, call->guest.run, NULL, paused);
}

static void thaw(struct call *call)
{
    call_hands(call, HANDS_THAW, call->guest.run, NULL, resumed);
}

static int have_done(struct call *call, enum guest_event event, call_then *then, struct cofre_err *err)
{
    enum guest_state next;
    int rc = guest_next(&next, call->guest.state, event, err);
    call->begun = call->hold = rc == 0;
    call->then = then;
    return rc;
}

int work_guest_pause(struct call *call, struct cofre_err *err)
{
    return have_done(call, GUEST_PAUSE, freeze, err);
}

int work_guest_resume(struct call *call, struct cofre_err *err)
{
    return have_done(call, GUEST_RESUME, thaw, err);
}

/* Members that are not given stay as they are. */
static int merged_limits(json_t **definition, struct call *call, struct cofre_err *err)
{
    struct hands_limits limits;
    int rc = guest_definition(definition, call->db, call->guest.number, call->guest.version, err);
    if (rc < 0)
        return rc;
    json_t *now = json_object_get(*definition, "limits");
    if (!now) {
        json_object_set_new(*definition, "limits", json_object());
        now = json_object_get(*definition, "limits");
    }
    json_object_update_recursive(now, call->request.body);
    rc = definition_to_limits(&limits, now, err);
    return rc;
}

static int limited(struct call *call, struct cofre_err *err)
{
    CLEAN_JSON *definition = NULL, *before = NULL;
    struct guest_row *g = &call->guest;
    int rc = find_again(call, err);
    if (rc == 0)
        rc = guest_definition(&before, call->db, g->number, g->version, err);
    if (rc == 0)
        rc = merged_limits(&definition, call, err);
    if (rc < 0)
        return rc;
    const bool runs_with_newest = g->started_version == g->version;
    rc = guest_redefine(g, call->db, definition, call->now, access_caller_name(&call->who), err);
    if (runs_with_newest)
        g->started_version = g->version; /* it differs in limits alone, and those it has now */
    if (rc == 0)
        rc = guest_happens(call, g, GUEST_LIMIT, err);
    if (rc == 0)
        rc = guest_forget_versions(call->db, g, err);
    call->before = json_dumps(before, JSON_COMPACT | JSON_SORT_KEYS);
    call->after = json_dumps(definition, JSON_COMPACT | JSON_SORT_KEYS);
    return rc < 0 ? rc : show(call, err);
}

static void limit(struct call *call)
{
    call_hands(call, HANDS_LIMIT, call->guest.run, call->data, limited);
}

int work_guest_limit(struct call *call, struct cofre_err *err)
{
    CLEAN_JSON *definition = NULL;
    struct hands_limits *limits = call->data ? call->data : calloc(1, sizeof *limits);
    enum guest_state next;
    call->data = limits;
    call->free_data = free;
    if (!limits)
        return cofre_fail(err, COFRE_FAILED, "no memory for limits");
    int rc = guest_next(&next, call->guest.state, GUEST_LIMIT, err);
    if (rc == 0)
        rc = merged_limits(&definition, call, err);
    if (rc == 0)
        rc = definition_to_limits(limits, member_at(definition, "limits"), err);
    if (rc < 0)
        return rc;
    call->run = call->guest.run;
    if (call->guest.state == GUEST_STOPPED || call->guest.state == GUEST_FAILED)
        return limited(call, err);
    call->begun = call->hold = true;
    call->then = limit;
    return 0;
}
