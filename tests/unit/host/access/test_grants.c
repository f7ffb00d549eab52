/* Who may hand on, take back and define what: every way up that is known, tried. */
#include "tests/unit/host/access/check.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/host/access/made.h"
#include "vmm/base/json.h"
#include "vmm/host/access/rows.h"

static struct made made;
static struct cofre_err err;

static int start(void **state)
{
    (void)state;
    made_start(&made);
    assert_int_equal(access_begin(made.db, "user:root", NOW, &err), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    made_end(&made);
    return 0;
}

/* 0, or negative whether it was refused by the decision or by the operation. */
static int try(const char *who, const char *operation, const char *args)
{
    const struct access_caller caller = made_caller(who);
    int rc;
    (void)made_do(&made, &caller, operation, args, &rc, NULL, &err);
    return rc;
}

static int64_t rows(void)
{
    int64_t count = -1;
    assert_int_equal(
        db_run(made.db, "SELECT COUNT(*) FROM access_grant", NULL, 0, db_take_integer, &count, &err), 1);
    return count;
}

static void number_of(char args[64], int64_t number, const char *tenant)
{
    (void)snprintf(args, 64, "{'grant': '%lld'%s%s%s}", (long long)number, *tenant ? ", 'tenant': '" : "",
                   tenant, *tenant ? "'" : "");
}

static void the_first_administrator_is_made_once(void **state)
{
    (void)state;
    assert_int_equal(access_begin(made.db, "uid:0", NOW, &err), 1);
    assert_int_equal(rows(), 1);
    assert_int_equal(
        try("user:root", "grant.add", "{'identity': 'user:ann', 'role': 'administrator', 'tenant': 'blue'}"),
        0);
    assert_int_equal(rows(), 2);
}

static void nobody_grants_what_he_does_not_hold_there(void **state)
{
    static const char *const refused[] = {
        "{'identity': 'user:eve', 'role': 'administrator'}",
        "{'identity': 'user:eve', 'role': 'viewer'}",
        "{'identity': 'user:eve', 'role': 'viewer', 'tenant': 'red'}",
        "{'identity': 'user:ann', 'role': 'administrator'}",
        "{'identity': 'user:eve', 'role': 'host-reader'}",
        "{'identity': 'user:eve', 'role': 'no-such-role', 'tenant': 'blue'}",
        "{'identity': 'eve', 'role': 'viewer', 'tenant': 'blue'}",
        "{'identity': 'user:eve', 'role': 'viewer', 'tenant': 'blue', 'until': '2026-01-01T00:00:00Z'}",
    };
    static const char *const allowed[] = {
        "{'identity': 'user:bob', 'role': 'operator', 'tenant': 'blue', 'labels': {'env': 'dev'}}",
        "{'identity': 'user:bob', 'role': 'administrator', 'tenant': 'blue'}",
        "{'identity': 'group:corp:ops', 'role': 'viewer', 'tenant': 'blue', 'until': '2099-01-01T00:00:00Z'}",
    };
    (void)state;
    (void)made_grant(&made, "user:ann", "administrator", "blue", "{}", false);
    const int64_t before = rows();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (try("user:ann", "grant.add", refused[i]) == 0)
            fail_msg("%s was granted", refused[i]);
    assert_int_equal(rows(), before);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (try("user:ann", "grant.add", allowed[i]) < 0)
            fail_msg("%s: %s", allowed[i], err.text);
    assert_true(try("user:ann", "grant.add", allowed[0]) < 0); /* said already */
    assert_int_equal(rows(), before + 3);
}

/* What one holds for some labels, for a time, or but for what is denied, goes no further. */
static void what_is_held_in_part_is_handed_on_in_part(void **state)
{
    (void)state;
    assert_int_equal(
        try("user:root", "role.define", "{'role': 'giver', 'operations': ['grant.*', 'guest.*']}"), 0);
    (void)made_grant(&made, "user:ann", "giver", "blue", "{'env': 'dev'}", false);
    (void)made_grant(&made, "user:ann", "giver", "blue", "{}", false);
    (void)made_grant(&made, "user:ann", "operator", "blue", "{'secret': 'yes'}", true);
    assert_true(try("user:ann", "grant.add", "{'identity': 'user:eve', 'role': 'giver', 'tenant': 'blue'}") <
                0);
    assert_true(try("user:ann", "grant.add",
                    "{'identity': 'user:eve', 'role': 'giver', 'tenant': 'blue', 'labels': {'env': 'dev'}}") <
                0);
    assert_int_equal(
        try("user:ann", "grant.add",
            "{'identity': 'user:eve', 'role': 'giver', 'tenant': 'blue', 'labels': {'secret': 'no'}}"),
        0);
    assert_int_equal(
        db_script(made.db, "UPDATE access_grant SET until = 1800000100 WHERE subject = 'user:ann'", &err), 0);
    assert_true(
        try("user:ann", "grant.add",
            "{'identity': 'user:eve', 'role': 'giver', 'tenant': 'blue', 'labels': {'secret': 'mine'}}") < 0);
    assert_true(try("user:ann", "grant.add",
                    "{'identity': 'user:eve', 'role': 'giver', 'tenant': 'blue', 'labels': {'secret': "
                    "'mine'}, 'until': "
                    "'2027-01-15T08:01:41Z'}") < 0);
    assert_int_equal(try("user:ann", "grant.add",
                         "{'identity': 'user:eve', 'role': 'giver', 'tenant': 'blue', 'labels': {'secret': "
                         "'mine'}, 'until': "
                         "'2027-01-15T08:01:40Z'}"),
                     0);
}

static void the_last_administrator_stays(void **state)
{
    char args[64];
    (void)state;
    int64_t number = 0;
    assert_int_equal(
        db_run(made.db, "SELECT number FROM access_grant", NULL, 0, db_take_integer, &number, &err), 1);
    number_of(args, number, "");
    assert_true(try("user:root", "grant.remove", args) < 0);
    assert_non_null(strstr(err.text, "administrator"));
    assert_int_equal(rows(), 1);
}

struct two {
    const char *refused;
    int rc;
};

static int refused_and_something_else(struct db *db, void *context, struct cofre_err *e)
{
    struct two *two = context;
    (void)db;
    (void)e;
    two->rc = try("user:root", "grant.remove", two->refused);
    return try("user:root", "grant.add", "{'identity': 'user:bob', 'role': 'viewer'}");
}

/* One transaction has many callers' operations in it. */
static void what_is_refused_leaves_no_trace_in_the_transaction(void **state)
{
    char args[64];
    int64_t number = 0;
    (void)state;
    assert_int_equal(
        db_run(made.db, "SELECT number FROM access_grant", NULL, 0, db_take_integer, &number, &err), 1);
    number_of(args, number, "");
    struct two two = {.refused = args};
    assert_int_equal(db_atomically(made.db, refused_and_something_else, &two, &err), 0);
    assert_int_equal(two.rc, -COFRE_NEGATIVE);
    assert_int_equal(rows(), 2);
}

static void who_may_be_nobody_is_no_last_administrator(void **state)
{
    char args[64], other[64];
    int64_t number = 0;
    (void)state;
    assert_int_equal(
        db_run(made.db, "SELECT number FROM access_grant", NULL, 0, db_take_integer, &number, &err), 1);
    number_of(args, number, "");
    /* a group is nobody for certain, one of a tenant not of the host, one of some labels not of all */
    (void)made_grant(&made, "group:corp:ops", "administrator", "", "{}", false);
    (void)made_grant(&made, "user:bob", "administrator", "blue", "{}", false);
    (void)made_grant(&made, "user:cat", "administrator", "", "{'env': 'dev'}", false);
    assert_true(try("user:root", "grant.remove", args) < 0);
    (void)made_grant(&made, "user:dan", "administrator", "", "{}", false);
    number_of(other, made_grant(&made, "user:dan", "administrator", "", "{}", true), "");
    assert_true(try("user:root", "grant.remove", args) < 0);
    assert_int_equal(try("user:root", "grant.remove", other), 0);
    assert_int_equal(try("user:root", "grant.remove", args), 0);
}

static void no_denial_shuts_out_the_last_administrator_or_its_giver(void **state)
{
    (void)state;
    (void)made_grant(&made, "user:bob", "administrator", "blue", "{}", false);
    assert_true(try("user:root", "grant.add",
                    "{'identity': 'user:root', 'role': 'administrator', 'deny': true}") < 0);
    assert_true(try("user:bob", "grant.add",
                    "{'identity': 'user:bob', 'role': 'administrator', 'tenant': 'blue', 'deny': true}") < 0);
    assert_int_equal(try("user:bob", "grant.add",
                         "{'identity': 'user:bob', 'role': 'image-manager', 'tenant': 'blue', 'deny': true}"),
                     0);
}

/* ann is denied by the host's administrator, and tries what she has to be free of it. */
static void nobody_frees_himself_of_a_denial(void **state)
{
    char args[64];
    (void)state;
    (void)made_grant(&made, "user:ann", "administrator", "blue", "{}", false);
    assert_int_equal(try("user:root", "role.define", "{'role': 'starting', 'operations': ['guest.start']}"),
                     0);
    const int64_t denied = made_grant(&made, "user:ann", "starting", "blue", "{}", true);
    number_of(args, denied, "blue");
    assert_true(try("user:ann", "grant.remove", args) < 0);
    number_of(args, denied, "");
    assert_true(try("user:ann", "grant.remove", args) < 0);
    assert_true(try("user:ann", "role.define", "{'role': 'starting', 'operations': ['guest.list']}") < 0);
    assert_true(try("user:ann", "role.delete", "{'role': 'starting'}") < 0);
    assert_true(
        try("user:ann", "grant.add", "{'identity': 'user:eve', 'role': 'launcher', 'tenant': 'blue'}") < 0);
    assert_true(try("user:ann", "grant.add", "{'identity': 'uid:1', 'role': 'starting', 'tenant': 'blue'}") <
                0);
    /* of the host's administrators one who is denied himself is no better off */
    (void)made_grant(&made, "user:dan", "administrator", "", "{}", false);
    const int64_t wide = made_grant(&made, "user:dan", "starting", "", "{}", true);
    number_of(args, wide, "");
    assert_true(try("user:dan", "grant.remove", args) < 0);
    assert_true(try("user:dan", "role.define", "{'role': 'starting', 'operations': ['guest.list']}") < 0);
    assert_int_equal(try("user:root", "grant.remove", args), 0);
}

/* What is denied in one tenant is lacking of all of them. */
static void a_denial_in_one_tenant_counts_where_all_are_granted(void **state)
{
    (void)state;
    (void)made_grant(&made, "user:dan", "administrator", "", "{}", false);
    (void)made_grant(&made, "user:dan", "operator", "blue", "{}", true);
    assert_true(try("user:dan", "grant.add", "{'identity': 'user:eve', 'role': 'launcher'}") < 0);
    assert_true(
        try("user:dan", "grant.add", "{'identity': 'user:eve', 'role': 'launcher', 'tenant': 'blue'}") < 0);
    assert_int_equal(
        try("user:dan", "grant.add", "{'identity': 'user:eve', 'role': 'launcher', 'tenant': 'red'}"), 0);
}

/* A tenant's administrator cannot keep the host's out. */
static void a_tenants_denial_does_not_bind_who_grants_in_all(void **state)
{
    char args[64];
    struct access_decision decision;
    const struct access_caller root = made_caller("user:root");
    const struct access_request r = {.operation = operation_find("guest.list"), .tenant = "blue", .now = NOW};
    (void)state;
    (void)made_grant(&made, "user:ann", "administrator", "blue", "{}", false);
    assert_int_equal(try("user:ann", "grant.add",
                         "{'identity': 'user:root', 'role': 'launcher', 'tenant': 'blue', 'deny': true}"),
                     0);
    assert_int_equal(access_decide(&decision, made.access, made.db, &root, &r, &err), 0);
    assert_int_equal(decision.outcome, ACCESS_REFUSED);
    number_of(args, decision.grant, "blue");
    assert_int_equal(try("user:root", "grant.remove", args), 0);
    assert_int_equal(access_decide(&decision, made.access, made.db, &root, &r, &err), 0);
    assert_int_equal(decision.outcome, ACCESS_ALLOWED);
}

static void another_tenants_grants_are_not_there(void **state)
{
    char args[64];
    (void)state;
    (void)made_grant(&made, "user:ann", "administrator", "blue", "{}", false);
    const int64_t red = made_grant(&made, "user:bob", "viewer", "red", "{}", false);
    number_of(args, red, "blue");
    assert_true(try("user:ann", "grant.remove", args) < 0);
    number_of(args, red, "red");
    assert_true(try("user:ann", "grant.remove", args) < 0);
    json_t *list = NULL;
    const struct access_caller ann = made_caller("user:ann");
    int rc;
    assert_int_equal(made_do(&made, &ann, "grant.list", "{'tenant': 'blue'}", &rc, &list, &err),
                     ACCESS_ALLOWED);
    assert_int_equal(json_array_size(json_object_get(list, "grants")), 1);
    json_decref(list);
    assert_int_equal(made_do(&made, &ann, "grant.list", "{}", &rc, NULL, &err), ACCESS_REFUSED);
    assert_int_equal(made_do(&made, &ann, "grant.list", "{'tenant': 'red'}", &rc, NULL, &err), ACCESS_ABSENT);
}

static void roles_that_are_granted_stay_what_they_are(void **state)
{
    (void)state;
    assert_true(try("user:root", "role.define", "{'role': 'viewer', 'operations': ['*']}") < 0);
    assert_true(try("user:root", "role.delete", "{'role': 'administrator'}") < 0);
    assert_true(try("user:root", "role.define", "{'role': 'odd', 'operations': ['guest.fly']}") < 0);
    assert_true(try("user:root", "role.define", "{'role': 'odd', 'operations': ['guest']}") < 0);
    assert_true(try("user:root", "role.define", "{'role': 'odd', 'operations': []}") < 0);
    assert_int_equal(
        try("user:root", "role.define", "{'role': 'definer', 'operations': ['role.*', 'guest.list']}"), 0);
    (void)made_grant(&made, "user:ann", "definer", "", "{}", false);
    assert_true(try("user:root", "role.delete", "{'role': 'definer'}") < 0);
    /* a role that she has, or that others have, does not become more than she has */
    assert_true(try("user:ann", "role.define", "{'role': 'definer', 'operations': ['*']}") < 0);
    assert_int_equal(try("user:ann", "role.define", "{'role': 'mine', 'operations': ['*']}"), 0);
    assert_true(try("user:ann", "grant.add", "{'identity': 'user:ann', 'role': 'mine'}") < 0);
    (void)made_grant(&made, "user:bob", "mine", "", "{}", true);
    assert_true(try("user:ann", "role.define", "{'role': 'mine', 'operations': ['guest.list']}") < 0);
    assert_int_equal(try("user:root", "role.define", "{'role': 'mine', 'operations': ['guest.list']}"), 0);
    assert_true(try("user:root", "role.delete", "{'role': 'mine'}") < 0);
    assert_int_equal(db_script(made.db, "DELETE FROM access_grant WHERE role = 'mine'", &err), 0);
    assert_int_equal(try("user:root", "role.delete", "{'role': 'mine'}"), 0);
    assert_true(try("user:root", "role.delete", "{'role': 'mine'}") < 0);
}

static void an_identity_that_is_a_users_is_granted_to_the_user(void **state)
{
    (void)state;
    assert_int_equal(access_config_map(&made.config, "ann", "uid:1000", &err), 0);
    assert_true(try("user:root", "grant.add", "{'identity': 'uid:1000', 'role': 'viewer'}") < 0);
    assert_non_null(strstr(err.text, "user:ann"));
    assert_int_equal(try("user:root", "grant.add", "{'identity': 'user:ann', 'role': 'viewer'}"), 0);
}

static void a_tenant_of_the_same_name_inherits_nothing(void **state)
{
    struct access_decision decision;
    const struct access_caller ann = made_caller("user:ann");
    const struct access_request r = {.operation = operation_find("guest.list"), .tenant = "blue", .now = NOW};
    (void)state;
    (void)made_grant(&made, "user:ann", "launcher", "blue", "{}", false);
    assert_int_equal(access_decide(&decision, made.access, made.db, &ann, &r, &err), 0);
    assert_int_equal(decision.outcome, ACCESS_ALLOWED);
    assert_int_equal(access_forget_tenant(made.db, "", &err), -COFRE_USAGE);
    assert_int_equal(access_forget_tenant(made.db, "blue", &err), 0);
    assert_int_equal(access_decide(&decision, made.access, made.db, &ann, &r, &err), 0);
    assert_int_equal(decision.outcome, ACCESS_ABSENT);
    assert_int_equal(rows(), 1);
}

static void a_session_says_who_one_is_and_what_one_may(void **state)
{
    json_t *answer = NULL, *name;
    const struct access_caller ann = made_member("user:ann", "group:corp:ops");
    size_t i;
    int rc;
    bool starts = false;
    (void)state;
    (void)made_grant(&made, "group:corp:ops", "viewer", "blue", "{}", false);
    (void)made_grant(&made, "user:ann", "operator", "red", "{'env': 'dev'}", false);
    (void)made_grant(&made, "user:bob", "administrator", "", "{}", false);
    assert_int_equal(made_do(&made, &ann, "session.show", "{}", &rc, &answer, &err), ACCESS_ALLOWED);
    assert_int_equal(rc, 0);
    assert_string_equal(json_string_value(json_object_get(answer, "identity")), "user:ann");
    assert_int_equal(json_array_size(json_object_get(answer, "grants")), 2);
    json_array_foreach(json_object_get(answer, "operations"), i, name)
    {
        starts |= strcmp(json_string_value(name), "guest.start") == 0;
        assert_string_not_equal(json_string_value(name), "guest.delete");
        assert_string_not_equal(json_string_value(name), "grant.add");
    }
    assert_true(starts);
    json_decref(answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_administrator_is_made_once),
        TEST(nobody_grants_what_he_does_not_hold_there),
        TEST(what_is_held_in_part_is_handed_on_in_part),
        TEST(the_last_administrator_stays),
        TEST(what_is_refused_leaves_no_trace_in_the_transaction),
        TEST(who_may_be_nobody_is_no_last_administrator),
        TEST(no_denial_shuts_out_the_last_administrator_or_its_giver),
        TEST(nobody_frees_himself_of_a_denial),
        TEST(a_denial_in_one_tenant_counts_where_all_are_granted),
        TEST(a_tenants_denial_does_not_bind_who_grants_in_all),
        TEST(another_tenants_grants_are_not_there),
        TEST(roles_that_are_granted_stay_what_they_are),
        TEST(an_identity_that_is_a_users_is_granted_to_the_user),
        TEST(a_tenant_of_the_same_name_inherits_nothing),
        TEST(a_session_says_who_one_is_and_what_one_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
