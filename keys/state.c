#include "keys/state.h"

#include <string.h>

const char *const guest_key_state_names[GUEST_KEY_STATES] = {"created", "active", "disabled", "destroyed"};

#define NO (-1)
/* From a state, by an event. A created key becomes active with its first grant, and is enabled to what it can be: active. */
static const struct {
    const char *word; /* "cannot be ..." */
    signed char to[GUEST_KEY_STATES];
} events[KEY_EVENTS] = {
    /*                                   created      active      disabled      destroyed */
    [KEY_EVENT_GRANT] = {"granted", {GUEST_KEY_ACTIVE, GUEST_KEY_ACTIVE, NO, NO}},
    [KEY_EVENT_REVOKE] = {"revoked", {NO, GUEST_KEY_ACTIVE, GUEST_KEY_DISABLED, NO}},
    [KEY_EVENT_ROTATE] = {"rotated", {GUEST_KEY_CREATED, GUEST_KEY_ACTIVE, NO, NO}},
    [KEY_EVENT_RETIRE] = {"relieved of a version",
                          {GUEST_KEY_CREATED, GUEST_KEY_ACTIVE, GUEST_KEY_DISABLED, NO}},
    [KEY_EVENT_DISABLE] = {"disabled", {GUEST_KEY_DISABLED, GUEST_KEY_DISABLED, NO, NO}},
    [KEY_EVENT_ENABLE] = {"enabled", {NO, NO, GUEST_KEY_ACTIVE, NO}},
    [KEY_EVENT_DESTROY] = {"destroyed",
                           {GUEST_KEY_DESTROYED, GUEST_KEY_DESTROYED, GUEST_KEY_DESTROYED,
                            GUEST_KEY_DESTROYED}},
    [KEY_EVENT_RELEASE] = {"released", {NO, GUEST_KEY_ACTIVE, NO, NO}},
    [KEY_EVENT_EXPORT] = {"exported", {GUEST_KEY_CREATED, GUEST_KEY_ACTIVE, NO, NO}},
};

int guest_key_state_after(enum guest_key_state *state, enum key_event event, const char *name,
                          struct cofre_err *err)
{
    const int to = events[event].to[*state];
    if (to == NO)
        return cofre_fail(err, COFRE_USAGE, "the key \"%s\" is %s, and cannot be %s", name,
                          guest_key_state_names[*state], events[event].word);
    *state = (enum guest_key_state)to;
    return 0;
}

int guest_key_state_parse(enum guest_key_state *out, const char *word, struct cofre_err *err)
{
    for (int i = 0; i < GUEST_KEY_STATES; i++)
        if (strcmp(guest_key_state_names[i], word) == 0) {
            *out = (enum guest_key_state)i;
            return 0;
        }
    return cofre_fail(err, COFRE_FAILED, "\"%.32s\" is no state of a key", word);
}
