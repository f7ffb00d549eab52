/* States of guests: every event in every state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/host/store/state.h"

/* As people say it: one row a state; start, stop, kill, pause, resume, limit, delete, launched, ended, broke; "-" where it cannot be. */
static const struct {
    const char *state, *next[GUEST_EVENTS];
} meant[] = {
    {"stopped", {"starting", "-", "-", "-", "-", "stopped", "deleting", "-", "-", "-"}},
    {"starting", {"-", "stopping", "stopping", "-", "-", "-", "-", "running", "failed", "failed"}},
    {"running", {"-", "stopping", "stopping", "paused", "-", "running", "-", "running", "stopped", "failed"}},
    {"paused", {"-", "stopping", "stopping", "-", "running", "paused", "-", "-", "stopped", "failed"}},
    {"stopping", {"-", "stopping", "stopping", "-", "-", "-", "-", "stopping", "stopped", "stopped"}},
    {"failed", {"starting", "-", "-", "-", "-", "failed", "deleting", "-", "-", "-"}},
    {"deleting", {"-", "-", "-", "-", "-", "-", "deleting", "-", "-", "-"}},
};

static void each_event_leads_where_it_is_meant_to(void **context)
{
    (void)context;
    assert_int_equal(sizeof meant / sizeof *meant, GUEST_STATES);
    for (size_t i = 0; i < GUEST_STATES; i++) {
        enum guest_state state, next;
        assert_int_equal(guest_state_parse(&state, meant[i].state, NULL), 0);
        for (int event = 0; event < GUEST_EVENTS; event++) {
            const int rc = guest_next(&next, state, (enum guest_event)event, NULL);
            const char *is = rc < 0 ? "-" : guest_state_names[next];
            if (strcmp(is, meant[i].next[event]) != 0)
                fail_msg("%s, event %d: %s, and %s is meant", meant[i].state, event, is,
                         meant[i].next[event]);
        }
    }
}

static void a_refusal_names_the_state_and_what_was_asked(void **context)
{
    struct cofre_err err = {""};
    enum guest_state next = GUEST_RUNNING;
    (void)context;
    assert_int_equal(guest_next(&next, GUEST_PAUSED, GUEST_START, &err), -2);
    assert_string_equal(err.text, "a guest that is paused cannot be started");
    assert_int_equal(next, GUEST_RUNNING);
}

static void whoever_ends_can_be_started_or_deleted(void **context)
{
    enum guest_state next;
    (void)context;
    for (int state = 0; state < GUEST_STATES; state++)
        for (int event = GUEST_ENDED; event <= GUEST_BROKE; event++)
            if (guest_next(&next, (enum guest_state)state, (enum guest_event)event, NULL) == 0) {
                assert_int_equal(guest_next(&next, next, GUEST_START, NULL), 0);
                assert_int_equal(next, GUEST_STARTING);
            }
}

static void a_word_that_is_no_state_is_refused(void **context)
{
    enum guest_state state;
    (void)context;
    assert_int_equal(guest_state_parse(&state, "Running", NULL), -5);
    assert_int_equal(guest_state_parse(&state, NULL, NULL), -5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_leads_where_it_is_meant_to),
        cmocka_unit_test(a_refusal_names_the_state_and_what_was_asked),
        cmocka_unit_test(whoever_ends_can_be_started_or_deleted),
        cmocka_unit_test(a_word_that_is_no_state_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
