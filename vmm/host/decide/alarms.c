/* Timers of runs: until one that was asked to end is ended, and before one is started again. */
#include <stdlib.h>

#include "vmm/host/decide/parts.h"

#define LOG_ROOM "decide"
#include "vmm/base/log.h"

struct alarm {
    struct decider *decider;
    uint32_t run;
    void (*ring)(struct decider *d, uint32_t run);
    struct event *event;
    TAILQ_ENTRY(alarm) entry;
};

static void alarm_free(struct alarm *a)
{
    TAILQ_REMOVE(&a->decider->alarms, a, entry);
    event_free(a->event);
    free(a);
}

static void rings(evutil_socket_t fd, short events, void *context)
{
    struct alarm *a = context;
    struct decider *d = a->decider;
    const uint32_t run = a->run;
    void (*ring)(struct decider * d, uint32_t run) = a->ring;
    (void)fd;
    (void)events;
    alarm_free(a);
    ring(d, run);
}

void alarm_set(struct decider *d, uint32_t run, unsigned seconds,
               void (*ring)(struct decider *d, uint32_t run))
{
    struct alarm *a = calloc(1, sizeof *a);
    if (!a)
        return;
    *a = (struct alarm){.decider = d, .run = run, .ring = ring, .event = evtimer_new(d->base, rings, a)};
    TAILQ_INSERT_TAIL(&d->alarms, a, entry);
    const struct timeval time = {.tv_sec = seconds};
    if (!a->event || evtimer_add(a->event, &time) < 0)
        log_error("no timer for run %u", run);
}

void alarms_drop(struct decider *d, uint32_t run)
{
    struct alarm *a, *next;
    for (a = TAILQ_FIRST(&d->alarms); a; a = next) {
        next = TAILQ_NEXT(a, entry);
        if (a->run == run)
            alarm_free(a);
    }
}

void alarms_free(struct decider *d)
{
    while (!TAILQ_EMPTY(&d->alarms))
        alarm_free(TAILQ_FIRST(&d->alarms));
}
