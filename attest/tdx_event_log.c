/* The event log that came with a quote: whether it explains the RTMRs, and whether its events are what the policy asks. */
#include <stdio.h>
#include <string.h>

#include "attest/tdx.h"
#include "tdx/event_log.h"

#define RTMRS_THAT_REPLAY 3 /* RTMR3 is the guest's own, and often extended without an entry */

void tdx_event_log_settle(struct tdx_case *c)
{
    struct view log = bytes_view(&c->in->evidence->event_log);
    c->events_rc = log.len ? tdx_event_log_parse(&c->events, log, &c->events_why)
                           : cofre_fail(&c->events_why, COFRE_LACKING, "no event log came with the evidence");
    if (c->events_rc == 0)
        tdx_event_log_replay(&c->events, c->replayed);
}

static bool is_given(const struct tdx_case *c)
{
    return c->in->evidence->event_log.len != 0;
}

static int check_form(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    enum policy_bit wanted = c->policy->event_log;
    if (wanted == POLICY_FORBIDDEN && is_given(c))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the policy forbids an event log, and one came with the evidence");
    if (!is_given(c))
        return wanted == POLICY_REQUIRED
                   ? cofre_fail(why, COFRE_NEGATIVE,
                                "the policy requires an event log, and none came with the evidence")
                   : say(why, CHECK_SKIP,
                         "no event log came with the evidence, and the policy requires none");
    if (c->events_rc < 0)
        return cofre_fail(why, COFRE_NEGATIVE, "%s", c->events_why.text);
    return say(why, 0, "%zu events in %zu bytes", c->events.count, c->events.len);
}

/* What the later checks need. */
static int readable(const struct tdx_case *c, struct cofre_err *why)
{
    if (!is_given(c))
        return say(why, CHECK_SKIP, "no event log came with the evidence");
    return c->events_rc < 0 ? cofre_fail(why, COFRE_LACKING, "there is no well-formed event log") : 0;
}

static bool replays(const struct tdx_case *c, unsigned rtmr)
{
    return memcmp(c->replayed[rtmr], c->quote.body->rtmr[rtmr], TDX_DIGEST_SIZE) == 0;
}

static int check_replay(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = readable(c, why);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < RTMRS_THAT_REPLAY; i++)
        if (!replays(c, i))
            return cofre_fail(why, COFRE_NEGATIVE, "the events do not come to RTMR%u of the quote", i);
    return say(why, 0, "the events come to RTMR0, RTMR1 and RTMR2 of the quote%s",
               replays(c, 3) ? ", and to RTMR3" : "; RTMR3 was extended beside the log");
}

static int check_data(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    size_t same = 0;
    int rc = readable(c, why);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < c->events.count; i++) {
        rc = tdx_event_check_data(&c->events.event[i], why);
        if (rc < 0)
            return rc;
        same += rc == 0;
    }
    return say(why, 0, "the data of %zu events is what was measured; that of %zu describes it", same,
               c->events.count - same);
}

static bool has_event(const struct tdx_case *c, const struct policy_event *wanted)
{
    for (size_t i = 0; i < c->events.count; i++) {
        const struct tdx_event *e = &c->events.event[i];
        if (e->mr == TDX_EVENT_RTMR0 + wanted->rtmr && e->type != TDX_EV_NO_ACTION &&
            policy_list_has(&wanted->digest, VIEW(e->digest)))
            return true;
    }
    return false;
}

static int check_events(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->events == 0)
        return say(why, CHECK_SKIP, "the policy asks for no event");
    if (!is_given(c))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the policy asks for events, and no event log came with the evidence");
    int rc = readable(c, why);
    for (size_t i = 0; rc == 0 && i < c->policy->events; i++) {
        const struct policy_event *wanted = &c->policy->event[i];
        if (!replays(c, wanted->rtmr))
            return cofre_fail(why, COFRE_NEGATIVE,
                              "the policy asks for an event of RTMR%u, to which the log does not replay",
                              wanted->rtmr);
        if (!has_event(c, wanted))
            return cofre_fail(why, COFRE_NEGATIVE,
                              "nothing that events[%zu] of the policy accepts was measured into RTMR%u", i,
                              wanted->rtmr);
    }
    return rc < 0 ? rc : say(why, 0, "every event that the policy asks for was measured");
}

const struct tdx_check tdx_event_log_checks[] = {
    {"tdx.event_log", check_form, 0},
    {"tdx.event_log_replay", check_replay, 0},
    {"tdx.event_data", check_data, 0},
    {"tdx.events", check_events, 0},
    {NULL, NULL, 0},
};
