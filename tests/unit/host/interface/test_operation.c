#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/host/interface/operation.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void every_row_is_whole_and_named_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        const struct operation *o = &operations[i];
        assert_non_null(o->name);
        assert_ptr_equal(operation_find(o->name), o);
        assert_int_equal(operation_number(o), i);
        assert_non_null(strchr(o->name, '.'));
        assert_non_null(o->help);
        assert_true(o->status == 200 || o->status == 201 || o->status == 202 || o->status == 204);
        assert_true(operation_part_count(o) <= OPERATION_PARTS_MAX);
        assert_true(o->scope != OF_TENANT || strncmp(o->path, "/v1/tenants/{tenant}", 20) == 0);
        assert_true((o->status == 204) == (!o->answer && !o->type));
        assert_true(strcmp(o->method, "GET") != 0 || (!o->body && !(o->flags & OPERATION_CHANGES)));
        assert_false(o->body && o->flags & OPERATION_UPLOADS);
        for (size_t k = 0; k < i; k++)
            assert_true(strcmp(o->method, operations[k].method) != 0 ||
                        strcmp(o->path, operations[k].path) != 0);
    }
    assert_null(operation_find("guest.fly"));
}

static void paths_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *name, *part[3];
    } paths[] = {
        {"GET", "/v1/tenants", "tenant.list", {NULL}},
        {"POST", "/v1/tenants", "tenant.create", {NULL}},
        {"DELETE", "/v1/tenants/a", "tenant.delete", {"a"}},
        {"GET", "/v1/tenants/a-1/guests", "guest.list", {"a-1"}},
        {"POST", "/v1/tenants/red/guests/web/start", "guest.start", {"red", "web"}},
        {"POST", "/v1/tenants/red/guests/start/start", "guest.start", {"red", "start"}},
        {"PATCH", "/v1/tenants/red/guests/web/limits", "guest.limit", {"red", "web"}},
        {"PUT", "/v1/tenants/red/images/" DIGEST, "image.add", {"red", DIGEST}},
        {"GET", "/v1/tenants/red/images/" DIGEST, "image.show", {"red", DIGEST}},
        {"GET", "/v1/tenants/red/images/newest", "image.show", {"red", "newest"}},
        {"POST", "/v1/approvals/17/give", "approval.give", {"17"}},
        {"GET", "/v1/audit/proofs/0", "audit.proof", {"0"}},
        {"GET", "/v1/metrics", "host.metrics", {NULL}},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct operation *o = NULL;
        struct operation_parts parts;
        assert_int_equal(operation_match(&o, &parts, paths[i].method, paths[i].path, NULL), MATCH);
        assert_string_equal(o->name, paths[i].name);
        assert_int_equal(parts.count, operation_part_count(o));
        for (size_t k = 0; k < parts.count; k++)
            assert_string_equal(parts.text[k], paths[i].part[k]);
    }
}

static void other_paths_are_not(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum operation_match is;
    } paths[] = {
        {"GET", "", MATCH_NO_PATH},
        {"GET", "/", MATCH_NO_PATH},
        {"GET", "/v1", MATCH_NO_PATH},
        {"GET", "/v1/tenants/", MATCH_NO_PATH},
        {"GET", "//v1/tenants", MATCH_NO_PATH},
        {"GET", "/v1//tenants", MATCH_NO_PATH},
        {"GET", "/v1/tenants/red/guests/", MATCH_NO_PATH},
        {"GET", "/v1/tenants//guests", MATCH_NO_PATH},
        {"GET", "/V1/tenants", MATCH_NO_PATH},
        {"GET", "v1/tenants", MATCH_NO_PATH},
        {"GET", "http://host/v1/tenants", MATCH_NO_PATH},
        {"GET", "/v1/tenants/../tenants", MATCH_NO_PATH},
        {"GET", "/v1/tenants/..", MATCH_BAD_PART},
        {"GET", "/v1/tenants/%61", MATCH_BAD_PART},
        {"GET", "/v1/tenants/red%2fguests", MATCH_BAD_PART},
        {"GET", "/v1/tenants/Red", MATCH_BAD_PART},
        {"GET", "/v1/tenants/-red", MATCH_BAD_PART},
        {"GET", "/v1/tenants/red-", MATCH_BAD_PART},
        {"GET", "/v1/tenants/r\xc3\xa4", MATCH_BAD_PART},
        {"GET", "/v1/tenants/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         MATCH_BAD_PART},
        {"PUT", "/v1/tenants/red/images/newest", MATCH_BAD_PART},
        {"PUT", "/v1/tenants/red/images/sha256:0123", MATCH_BAD_PART},
        {"GET", "/v1/audit/proofs/00", MATCH_BAD_PART},
        {"GET", "/v1/audit/proofs/9223372036854775808", MATCH_BAD_PART},
        {"DELETE", "/v1/tenants", MATCH_NO_METHOD},
        {"get", "/v1/tenants", MATCH_NO_METHOD},
        {"OPTIONS", "/v1/host", MATCH_NO_METHOD},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const struct operation *o = NULL;
        struct operation_parts parts;
        struct cofre_err err;
        if (operation_match(&o, &parts, paths[i].method, paths[i].path, &err) != paths[i].is)
            fail_msg("%s %s", paths[i].method, paths[i].path);
        assert_null(o);
    }
}

static void a_path_says_which_methods_it_has(void **state)
{
    (void)state;
    char methods[64];
    operation_methods(methods, sizeof methods, "/v1/tenants/red/guests/web");
    assert_string_equal(methods, "GET, PUT, DELETE");
    operation_methods(methods, sizeof methods, "/v1/nothing");
    assert_string_equal(methods, "");
    operation_methods(methods, 6, "/v1/tenants/red/guests/web");
    assert_true(strlen(methods) < 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole_and_named_once),
        cmocka_unit_test(paths_are_found),
        cmocka_unit_test(other_paths_are_not),
        cmocka_unit_test(a_path_says_which_methods_it_has),
    };
    return cmocka_run_group_tests_name("host/operation", tests, NULL, NULL);
}
