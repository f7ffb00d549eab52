/* Texts that are kept and answered: what they say, read back, is what was to be said. */
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

static void add_check(struct verdict *v, const char *id, enum check_outcome outcome, const char *why)
{
    struct check_result *c = &v->check[v->count++];
    c->id = id;
    c->outcome = outcome;
    (void)snprintf(c->why, sizeof c->why, "%s", why);
}

static void make_verdict(struct verdict *v)
{
    *v = (struct verdict){
        .tee = "snp", .version = UINT32_MAX, .product = "Milan", .root = "none", .emulated = true};
    add_check(v, "snp.a", CHECK_PASSED, "a \"sentence\" \\ with\tall\n that \x01 is / escaped");
    add_check(v, "snp.b", CHECK_FAILED, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x92");
    add_check(v, "snp.c", CHECK_UNJUDGED, "");
    add_check(v, "snp.d", CHECK_SKIPPED, "\x7f");
    v->claims = json_pack("{s:{s:[i, n, b, s], s:{}}, s:[], s:I, s:f, s:b}", "deep", "list", -1, 1, "x",
                          "none", "empty", "large", (json_int_t)INT64_MAX, "real", 0.5, "false", 0);
    v->advisories = json_pack("[s, s]", "INTEL-SA-00001", "INTEL-SA-00002");
    assert_non_null(v->claims);
}

static void assert_same(const struct verdict *v)
{
    CLEAN_JSON *object = verdict_json(v);
    CLEAN_FREE char *text = verdict_text(v);
    assert_non_null(object);
    assert_non_null(text);
    CLEAN_JSON *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_equal(object, read));
    assert_null(strchr(text, '\n'));
}

static void a_verdicts_text_says_what_its_object_does(void **state)
{
    CLEAN_VERDICT v;
    (void)state;
    make_verdict(&v);
    assert_same(&v);
    v.tcb_status = "UpToDate";
    v.reference = json_pack("{s:s, s:i}", "name", "web", "version", 3);
    assert_same(&v);
    v.count = 1;
    assert_same(&v);
    v.count = 0;
    assert_same(&v);
}

static void what_is_no_text_is_not_written(void **state)
{
    static const char *const bad[] = {"\xff", "\xc3", "\xed\xa0\x80", "a\xe2\x82"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEAN_VERDICT v;
        make_verdict(&v);
        CLEAN_FREE char *good = verdict_text(&v);
        assert_non_null(good);
        add_check(&v, "snp.e", CHECK_PASSED, bad[i]);
        CLEAN_FREE char *text = verdict_text(&v);
        CLEAN_JSON *object = verdict_json(&v);
        if (text || object)
            fail_msg("the %zuth is taken for a sentence", i);
    }
}

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
        cmocka_unit_test(a_verdicts_text_says_what_its_object_does),
        cmocka_unit_test(what_is_no_text_is_not_written),
        cmocka_unit_test(a_result_has_its_verdict_and_the_jwt_that_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
