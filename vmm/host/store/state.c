#include "vmm/host/store/state.h"

#include <string.h>

const char *const guest_state_names[GUEST_STATES] = {
    [GUEST_STOPPED] = "stopped",  [GUEST_STARTING] = "starting", [GUEST_RUNNING] = "running",
    [GUEST_PAUSED] = "paused",    [GUEST_STOPPING] = "stopping", [GUEST_FAILED] = "failed",
    [GUEST_DELETING] = "deleting"};

static const char *const asks[GUEST_EVENTS] = {[GUEST_START] = "started",
                                               [GUEST_STOP] = "stopped",
                                               [GUEST_KILL] = "killed",
                                               [GUEST_PAUSE] = "paused",
                                               [GUEST_RESUME] = "resumed",
                                               [GUEST_LIMIT] = "limited",
                                               [GUEST_DELETE] = "deleted",
                                               [GUEST_LAUNCHED] = "told of as launched",
                                               [GUEST_ENDED] = "told of as ended",
                                               [GUEST_BROKE] = "told of as broken"};

/* One more than the next state; 0: it cannot be. A guest that is paused is killed as it is, and stopped after it was resumed. */
#define TO(state) (1 + GUEST_##state)
/* clang-format off */
static const unsigned char transitions[GUEST_STATES][GUEST_EVENTS] = {
    [GUEST_STOPPED]  = {[GUEST_START] = TO(STARTING), [GUEST_LIMIT] = TO(STOPPED), [GUEST_DELETE] = TO(DELETING)},
    [GUEST_FAILED]   = {[GUEST_START] = TO(STARTING), [GUEST_LIMIT] = TO(FAILED), [GUEST_DELETE] = TO(DELETING)},
    [GUEST_STARTING] = {[GUEST_STOP] = TO(STOPPING), [GUEST_KILL] = TO(STOPPING), [GUEST_LAUNCHED] = TO(RUNNING),
                        [GUEST_ENDED] = TO(FAILED), [GUEST_BROKE] = TO(FAILED)},
    [GUEST_RUNNING]  = {[GUEST_STOP] = TO(STOPPING), [GUEST_KILL] = TO(STOPPING), [GUEST_PAUSE] = TO(PAUSED), [GUEST_LIMIT] = TO(RUNNING),
                        [GUEST_LAUNCHED] = TO(RUNNING), [GUEST_ENDED] = TO(STOPPED), [GUEST_BROKE] = TO(FAILED)},
    [GUEST_PAUSED]   = {[GUEST_STOP] = TO(STOPPING), [GUEST_KILL] = TO(STOPPING), [GUEST_RESUME] = TO(RUNNING), [GUEST_LIMIT] = TO(PAUSED),
                        [GUEST_ENDED] = TO(STOPPED), [GUEST_BROKE] = TO(FAILED)},
    [GUEST_STOPPING] = {[GUEST_STOP] = TO(STOPPING), [GUEST_KILL] = TO(STOPPING), [GUEST_LAUNCHED] = TO(STOPPING),
                        [GUEST_ENDED] = TO(STOPPED), [GUEST_BROKE] = TO(STOPPED)},
    [GUEST_DELETING] = {[GUEST_DELETE] = TO(DELETING)}, /* what is left of it could not be removed: once more */
};
/* clang-format on */

int guest_state_parse(enum guest_state *out, const char *name, struct cofre_err *err)
{
    for (int state = 0; state < GUEST_STATES; state++)
        if (name && strcmp(name, guest_state_names[state]) == 0) {
            *out = (enum guest_state)state;
            return 0;
        }
    return cofre_fail(err, COFRE_FAILED, "the database has a guest in a state \"%s\"", name ? name : "");
}

int guest_next(enum guest_state *out, enum guest_state state, enum guest_event event, struct cofre_err *err)
{
    const unsigned next = transitions[state][event];
    if (!next)
        return cofre_fail(err, COFRE_USAGE, "a guest that is %s cannot be %s", guest_state_names[state],
                          asks[event]);
    *out = (enum guest_state)(next - 1);
    return 0;
}
