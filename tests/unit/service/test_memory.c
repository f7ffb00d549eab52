/* A worker's memory of policies: each text has its own meaning, and more than it holds are no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/service/memory.h"

static const struct policy *policy_of(struct memory *m, unsigned svn)
{
    char text[64];
    uint8_t digest[32];
    struct cofre_err err = {""};
    const struct policy *out = NULL;
    (void)snprintf(text, sizeof text, "{\"snp\": {\"min_guest_svn\": %u}}", svn);
    if (memory_policy(m, &out, digest, (struct view){(const uint8_t *)text, strlen(text)}, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(out->snp.min_guest_svn, svn);
    return out;
}

static void a_policy_is_read_once_and_never_taken_for_another(void **state)
{
    struct memory *m = calloc(1, sizeof *m);
    (void)state;
    const struct policy *first = policy_of(m, 1);
    assert_ptr_not_equal(policy_of(m, 2), first);
    assert_ptr_equal(policy_of(m, 1), first);
    for (unsigned i = 0; i < 3 * MEMORY_POLICIES; i++)
        (void)policy_of(m, i);
    for (unsigned i = 0; i < 3 * MEMORY_POLICIES; i++)
        (void)policy_of(m, i);
    memory_free(m);
    free(m);
}

static void a_text_that_is_none_leaves_nothing(void **state)
{
    static const char bad[] = "{\"snp\": {\"no such\": 1}}";
    struct memory *m = calloc(1, sizeof *m);
    uint8_t digest[32];
    struct cofre_err err;
    const struct policy *out = NULL;
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            memory_policy(m, &out, digest, (struct view){(const uint8_t *)bad, strlen(bad)}, &err),
            -COFRE_USAGE);
    assert_null(out);
    memory_free(m);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_is_read_once_and_never_taken_for_another),
        cmocka_unit_test(a_text_that_is_none_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
