#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/base/thread.h"

struct seen {
    bool ran, was_confined;
    sigset_t blocked;
};

static char confined_as[16];

static int confine(const char *kind, struct cofre_err *err)
{
    strncpy(confined_as, kind, sizeof confined_as - 1);
    return strcmp(kind, "unknown") ? 0 : cofre_fail(err, COFRE_FAILED, "no list for %s", kind);
}

static void *note(void *context)
{
    struct seen *seen = context;
    seen->ran = true;
    seen->was_confined = confined_as[0] != 0;
    pthread_sigmask(SIG_BLOCK, NULL, &seen->blocked);
    return NULL;
}

static void a_thread_begins_with_its_confinement(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct cofre_err err;
    pthread_t thread;
    confined_as[0] = 0;
    assert_int_equal(thread_start(&thread, "vcpu", note, &seen, &err), 0);
    assert_string_equal(confined_as, "vcpu");
    pthread_join(thread, NULL);
    assert_true(seen.ran && seen.was_confined);
}

static void a_thread_that_cannot_be_confined_does_not_run(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct cofre_err err;
    pthread_t thread;
    assert_int_equal(thread_start(&thread, "unknown", note, &seen, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "no list for unknown");
    assert_false(seen.ran);
}

static void a_thread_takes_no_signals_and_its_starter_keeps_its_own(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct cofre_err err;
    pthread_t thread;
    sigset_t mine;
    assert_int_equal(thread_start(&thread, "block", note, &seen, &err), 0);
    pthread_join(thread, NULL);
    assert_true(sigismember(&seen.blocked, SIGTERM) && sigismember(&seen.blocked, SIGRTMIN));
    pthread_sigmask(SIG_BLOCK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_begins_with_its_confinement),
        cmocka_unit_test(a_thread_that_cannot_be_confined_does_not_run),
        cmocka_unit_test(a_thread_takes_no_signals_and_its_starter_keeps_its_own),
    };
    thread_begin_with(confine);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
