/* The life of a key that is released to guests, and of its versions, as tables. */
#ifndef COFRE_KEYS_STATE_H
#define COFRE_KEYS_STATE_H

#include "vmm/base/error.h"

/*
 * created: it has a value, and no policy gets it yet. active: guests of its policies get it. disabled: nobody does, until it is
 * enabled. destroyed: its values are gone; the name stays taken.
 */
enum guest_key_state { GUEST_KEY_CREATED, GUEST_KEY_ACTIVE, GUEST_KEY_DISABLED, GUEST_KEY_DESTROYED };
extern const char *const guest_key_state_names[];
#define GUEST_KEY_STATES 4

enum key_event {
    KEY_EVENT_GRANT,
    KEY_EVENT_REVOKE,
    KEY_EVENT_ROTATE, /* a new version, which is the current one from then on */
    KEY_EVENT_RETIRE, /* an older version's value goes */
    KEY_EVENT_DISABLE,
    KEY_EVENT_ENABLE,
    KEY_EVENT_DESTROY,
    KEY_EVENT_RELEASE,
    KEY_EVENT_EXPORT
};
#define KEY_EVENTS 9

/* The state after it. -COFRE_USAGE with a sentence: that cannot happen to such a key. */
int guest_key_state_after(enum guest_key_state *state, enum key_event event, const char *name,
                          struct cofre_err *err);
/* By name; -COFRE_FAILED: it is none. */
int guest_key_state_parse(enum guest_key_state *out, const char *word, struct cofre_err *err);

#endif
