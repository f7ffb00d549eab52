#include "tests/unit/attest/outcomes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void verdict_list(const struct verdict *v, enum check_outcome outcome, char out[1024])
{
    out[0] = 0;
    for (size_t i = 0; i < v->count; i++)
        if (v->check[i].outcome == outcome) {
            strncat(out, v->check[i].id, 1023 - strlen(out));
            strncat(out, " ", 1023 - strlen(out));
        }
}

void verdict_must_pass(const struct verdict *v)
{
    char failed[1024], unjudged[1024];
    verdict_list(v, CHECK_FAILED, failed);
    verdict_list(v, CHECK_UNJUDGED, unjudged);
    assert_string_equal(failed, "");
    assert_string_equal(unjudged, "");
    assert_int_equal(verdict_outcome(v), CHECK_PASSED);
}

void verdict_must_fail_only(const struct verdict *v, const char *ids)
{
    char failed[1024], expected[160], first[80];
    verdict_list(v, CHECK_FAILED, failed);
    (void)snprintf(expected, sizeof expected, "%s ", ids);
    assert_string_equal(failed, expected);
    assert_int_equal(verdict_outcome(v), CHECK_FAILED);
    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(ids, " "), ids);
    assert_true(strlen(verdict_check(v, first)->why) > 10);
}

void verdict_must_be_unjudged(const struct verdict *v, const char *id)
{
    char failed[1024];
    verdict_list(v, CHECK_FAILED, failed);
    assert_string_equal(failed, "");
    assert_int_equal(verdict_outcome(v), CHECK_UNJUDGED);
    assert_int_equal(verdict_check(v, id)->outcome, CHECK_UNJUDGED);
}
