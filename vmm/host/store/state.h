/* What a guest is doing, as the database has it: exactly one of these, changed by events and by nothing else. */
#ifndef COFRE_HOST_STATE_H
#define COFRE_HOST_STATE_H

#include "vmm/base/error.h"

enum guest_state {
    GUEST_STOPPED,
    GUEST_STARTING, /* hands was, or will be, asked to start it; no launch of it is final yet */
    GUEST_RUNNING,
    GUEST_PAUSED,
    GUEST_STOPPING, /* asked to end, or being ended */
    GUEST_FAILED,   /* it did not come to run, or ended by what is no end of a guest; else as stopped */
    GUEST_DELETING, /* its row goes when what the host has of it is gone */
    GUEST_STATES,
};

enum guest_event {
    /* somebody asks */
    GUEST_START,
    GUEST_STOP,
    GUEST_KILL,
    GUEST_PAUSE,
    GUEST_RESUME,
    GUEST_LIMIT,
    GUEST_DELETE,
    /* it came to pass */
    GUEST_LAUNCHED,
    GUEST_ENDED, /* as guests end */
    GUEST_BROKE, /* its launch failed, or its monitor ended in some other way */
    GUEST_EVENTS,
};

extern const char *const guest_state_names[GUEST_STATES];

/* "stopped", as the database has it. -COFRE_FAILED for what is none. */
int guest_state_parse(enum guest_state *out, const char *name, struct cofre_err *err);

/* -COFRE_USAGE, with a sentence, where the event cannot be in that state; of an event that came to pass, this is a defect, or
 * news that came late. */
int guest_next(enum guest_state *out, enum guest_state state, enum guest_event event, struct cofre_err *err);

#endif
