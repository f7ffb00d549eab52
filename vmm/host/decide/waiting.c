/* Who waits for a guest to be in a state. */
#include <stdlib.h>
#include <string.h>

#include "vmm/host/decide/parts.h"

#define SECONDS 30 /* where it is not said */

struct waiter {
    struct decider *decider;
    struct call *call; /* held; its guest is as it was last seen */
    char state[16];    /* "": stopped or failed */
    struct event *late;
    TAILQ_ENTRY(waiter) entry;
};

static bool is_it(const struct waiter *w, enum guest_state state)
{
    if (!*w->state)
        return state == GUEST_STOPPED || state == GUEST_FAILED;
    return strcmp(w->state, guest_state_names[state]) == 0;
}

static void waiter_free(struct waiter *w)
{
    TAILQ_REMOVE(&w->decider->waiters, w, entry);
    event_free(w->late);
    free(w);
}

static void end(struct waiter *w, const struct guest_row *guest)
{
    struct call *call = w->call;
    waiter_free(w);
    json_decref(call->answer);
    call->answer = guest_show(guest, NULL);
    call_finish(call);
}

static void too_late(evutil_socket_t fd, short events, void *context)
{
    struct waiter *w = context;
    (void)fd;
    (void)events;
    end(w, &w->call->guest);
}

void waiters_look(struct decider *d, const struct guest_row *guest)
{
    struct waiter *w, *next;
    for (w = TAILQ_FIRST(&d->waiters); w; w = next) {
        next = TAILQ_NEXT(w, entry);
        if (w->call->guest.number != guest->number)
            continue;
        w->call->guest.state = guest->state;
        if (is_it(w, guest->state))
            end(w, guest);
    }
}

void waiters_forget(struct decider *d, const struct caller *caller)
{
    struct waiter *w, *next;
    for (w = TAILQ_FIRST(&d->waiters); w; w = next) {
        next = TAILQ_NEXT(w, entry);
        if (w->call->caller == caller) {
            w->call->caller = NULL;
            end(w, &w->call->guest);
        }
    }
}

void waiters_free(struct decider *d)
{
    while (!TAILQ_EMPTY(&d->waiters)) {
        struct waiter *w = TAILQ_FIRST(&d->waiters);
        call_free(w->call);
        waiter_free(w);
    }
}

static void wait_for_it(struct call *call)
{
    struct decider *d = call->decider;
    struct waiter *w = calloc(1, sizeof *w);
    if (!w || !(w->late = evtimer_new(d->base, too_late, w))) {
        free(w);
        call_finish(call);
        return;
    }
    w->decider = d;
    w->call = call;
    (void)snprintf(w->state, sizeof w->state, "%s", member_text(call->request.query, "state", ""));
    TAILQ_INSERT_TAIL(&d->waiters, w, entry);
    const struct timeval time = {.tv_sec = (time_t)call_query(call, "seconds", SECONDS)};
    evtimer_add(w->late, &time);
}

int work_guest_wait(struct call *call, struct cofre_err *err)
{
    struct waiter probe = {.state = ""};
    (void)snprintf(probe.state, sizeof probe.state, "%s", member_text(call->request.query, "state", ""));
    call->answer = guest_show(&call->guest, NULL);
    if (!call->answer)
        return cofre_fail(err, COFRE_FAILED, "no memory for an answer");
    call->hold = !is_it(&probe, call->guest.state) && call->caller;
    call->then = call->hold ? wait_for_it : NULL;
    return 0;
}
