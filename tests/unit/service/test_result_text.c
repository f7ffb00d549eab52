/* A result as it is answered: what it says, read back, is what was to be said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/service/result_text.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

static void a_result_has_its_verdict_and_the_jwt_that_there_is(void **state)
{
    struct result r = {.id = "00112233445566778899aabbccddeeff",
                       .made = 1,
                       .tee = "snp",
                       .outcome = "pass",
                       .policy = "web",
                       .policy_version = 2,
                       .verdict = "{\"verdict\":\"pass\"}",
                       .cwt = {(const uint8_t *)"\xd2\x84\xff", 3},
                       .jwt = "e30.e30.e30",
                       .log_index = 7};
    (void)state;
    CLEAN_JSON *expected =
        json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:i}, s:i, s:s, s:s, s:{s:s}}", "id", r.id, "made",
                  "1970-01-01T00:00:01Z", "outcome", "pass", "tee", "snp", "policy", "name", "web", "version",
                  2, "log_entry", 7, "cwt", "0oT/", "jwt", r.jwt, "verdict", "verdict", "pass");
    CLEAN_JSON *both = result_json(&r);
    assert_true(json_equal(both, expected));
    r.jwt = "";
    CLEAN_JSON *one = result_json(&r);
    assert_int_equal(json_object_del(expected, "jwt"), 0);
    assert_true(json_equal(one, expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_has_its_verdict_and_the_jwt_that_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
