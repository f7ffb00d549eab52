/* A verdict as it is printed, kept and answered: byte by byte what was to be said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/verdict.h"
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
    assert_non_null(v->advisories);
}

#define HEAD                                                                                                 \
    "{\"verdict\":\"fail\",\"outcome\":\"fail\",\"tee\":\"snp\",\"version\":4294967295,\"product\":"         \
    "\"Milan\","                                                                                             \
    "\"emulated\":true,\"root\":\"none\",\"checks\":["
#define PASSED                                                                                               \
    "{\"id\":\"snp.a\",\"ok\":true,\"why\":\"a \\\"sentence\\\" \\\\ with\\tall\\n that \\u0001 is / "       \
    "escaped\"}"
#define REST                                                                                                 \
    ",{\"id\":\"snp.b\",\"ok\":false,\"why\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x92\"}"                      \
    ",{\"id\":\"snp.c\",\"ok\":null,\"why\":\"\",\"unjudged\":true}"                                         \
    ",{\"id\":\"snp.d\",\"ok\":null,\"why\":\"\x7f\",\"skipped\":true}"
#define CLAIMS                                                                                               \
    "],\"claims\":{\"deep\":{\"list\":[-1,null,true,\"x\"],\"none\":{}},\"empty\":[],"                       \
    "\"large\":9223372036854775807,\"real\":0.5,\"false\":false},"
#define ADVISORIES "\"advisories\":[\"INTEL-SA-00001\",\"INTEL-SA-00002\"]"

static void assert_text(const struct verdict *v, const char *expected)
{
    CLEAN_FREE char *text = verdict_text(v);
    CLEAN_JSON *object = verdict_json(v);
    assert_non_null(text);
    assert_string_equal(text, expected);
    CLEAN_FREE char *again = json_dumps(object, JSON_COMPACT);
    assert_non_null(again);
    assert_string_equal(again, expected);
}

static void each_check_is_told_with_its_outcome(void **state)
{
    CLEAN_VERDICT v;
    (void)state;
    make_verdict(&v);
    assert_text(&v, HEAD PASSED REST CLAIMS "\"tcb_status\":null," ADVISORIES "}");
    v.tcb_status = "UpToDate";
    v.reference = json_pack("{s:s, s:i}", "name", "web", "version", 3);
    assert_text(&v, HEAD PASSED REST CLAIMS "\"tcb_status\":\"UpToDate\"," ADVISORIES
                                            ",\"reference\":{\"name\":\"web\",\"version\":3}}");
}

static void the_verdict_is_told_twice_for_those_who_take_pass_alone(void **state)
{
    static const struct {
        size_t checks;
        const char *verdict, *outcome;
    } told[] = {{0, "fail", "fail"}, {1, "pass", "pass"}, {2, "fail", "unjudged"}, {3, "fail", "fail"}};
    (void)state;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        CLEAN_VERDICT v;
        make_verdict(&v);
        v.check[1].outcome = CHECK_UNJUDGED;
        v.check[2].outcome = CHECK_FAILED;
        v.count = told[i].checks;
        CLEAN_JSON *object = verdict_json(&v);
        assert_int_equal(json_array_size(json_object_get(object, "checks")), told[i].checks);
        assert_string_equal(json_string_value(json_object_get(object, "verdict")), told[i].verdict);
        assert_string_equal(json_string_value(json_object_get(object, "outcome")), told[i].outcome);
    }
}

static void a_verdict_without_claims_is_not_written(void **state)
{
    CLEAN_VERDICT v;
    (void)state;
    make_verdict(&v);
    json_decref(v.claims);
    v.claims = NULL;
    assert_null(verdict_text(&v));
    assert_null(verdict_json(&v));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_check_is_told_with_its_outcome),
        cmocka_unit_test(the_verdict_is_told_twice_for_those_who_take_pass_alone),
        cmocka_unit_test(a_verdict_without_claims_is_not_written),
        cmocka_unit_test(what_is_no_text_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
