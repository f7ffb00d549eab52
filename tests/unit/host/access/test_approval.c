/* Second approvers: what waits, who may approve it, and what an approval is good for. */
#include "tests/unit/host/access/check.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/host/access/made.h"
#include "vmm/base/json.h"
#include "vmm/host/access/approval.h"

static struct made made;
static struct cofre_err err;

static int start(void **state)
{
    (void)state;
    made_start(&made);
    assert_int_equal(access_config_approval(&made.config, "guest.delete", &err), 0);
    (void)made_grant(&made, "user:ann", "administrator", "blue", "{}", false);
    (void)made_grant(&made, "user:bob", "administrator", "blue", "{}", false);
    (void)made_grant(&made, "user:cat", "launcher", "blue", "{}", false);
    (void)made_grant(&made, "user:red", "administrator", "red", "{}", false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    made_end(&made);
    return 0;
}

static int64_t carried_out; /* the approval by which what is asked is carried out; 0: it is asked */

static struct access_decision ask_at(const struct access_caller *caller, const char *operation,
                                     const char *guest, const json_t *body, int64_t now)
{
    struct access_decision decision;
    CLEAN_JSON *labels = json_object();
    struct operation_parts part = {.text = {"blue"}, .count = 2};
    (void)snprintf(part.text[1], sizeof part.text[1], "%s", guest);
    const struct access_request r = {.operation = operation_find(operation),
                                     .tenant = "blue",
                                     .resource = guest,
                                     .labels = labels,
                                     .part = &part,
                                     .body = body,
                                     .approval = carried_out,
                                     .now = now};
    assert_int_equal(access_decide(&decision, made.access, made.db, caller, &r, &err), 0);
    return decision;
}

static struct access_decision carry_out_at(const struct access_caller *caller, const char *guest,
                                           int64_t approval, int64_t now)
{
    carried_out = approval;
    const struct access_decision decision = ask_at(caller, "guest.delete", guest, NULL, now);
    carried_out = 0;
    return decision;
}

static struct access_decision carry_out(const struct access_caller *caller, const char *guest,
                                        int64_t approval)
{
    return carry_out_at(caller, guest, approval, NOW);
}

static struct access_decision ask(const struct access_caller *caller, const char *guest)
{
    return ask_at(caller, "guest.delete", guest, NULL, NOW);
}

static int settle(const struct access_caller *caller, const char *operation, int64_t number,
                  const char *tenant)
{
    char args[96];
    int rc;
    (void)snprintf(args, sizeof args, "{'approval': '%lld', 'tenant': '%s'}", (long long)number, tenant);
    (void)made_do(&made, caller, operation, args, &rc, NULL, &err);
    return rc;
}

static void what_was_approved_is_done_once(void **state)
{
    const struct access_caller cat = made_caller("user:cat"), ann = made_caller("user:ann");
    (void)state;
    const struct access_decision first = ask(&cat, "web"), again = ask(&cat, "web");
    assert_int_equal(first.outcome, ACCESS_HELD);
    assert_int_equal(again.outcome, ACCESS_HELD);
    assert_true(first.approval > 0);
    assert_int_equal(again.approval, first.approval);
    assert_int_equal(carry_out(&cat, "web", first.approval).outcome, ACCESS_REFUSED); /* not yet */
    assert_int_equal(settle(&ann, "approval.give", first.approval, "blue"), 0);
    assert_int_equal(settle(&ann, "approval.give", first.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(ask(&cat, "web").approval, first.approval); /* who asks again uses nothing up */
    const struct access_decision done = carry_out(&cat, "web", first.approval);
    assert_int_equal(done.outcome, ACCESS_ALLOWED);
    assert_int_equal(done.approval, first.approval);
    assert_int_equal(carry_out(&cat, "web", first.approval).outcome, ACCESS_REFUSED);
    const struct access_decision more = ask(&cat, "web");
    assert_int_equal(more.outcome, ACCESS_HELD);
    assert_int_not_equal(more.approval, first.approval);
}

static void what_was_approved_is_that_request_of_that_caller(void **state)
{
    const struct access_caller cat = made_caller("user:cat"), ann = made_caller("user:ann"),
                               bob = made_caller("user:bob");
    CLEAN_JSON *body = made_json("{'force': true}");
    (void)state;
    const struct access_decision held = ask(&cat, "web");
    assert_int_equal(settle(&ann, "approval.give", held.approval, "blue"), 0);
    assert_int_equal(carry_out(&cat, "db", held.approval).outcome, ACCESS_REFUSED);
    assert_int_equal(carry_out(&bob, "web", held.approval).outcome, ACCESS_REFUSED);
    assert_int_equal(carry_out(&ann, "web", held.approval).outcome, ACCESS_REFUSED);
    carried_out = held.approval;
    assert_int_equal(ask_at(&cat, "guest.delete", "web", body, NOW).outcome, ACCESS_REFUSED);
    carried_out = 0;
    assert_int_equal(carry_out(&cat, "web", held.approval).outcome, ACCESS_ALLOWED);
}

/* What the one who asked may no longer do, an approval does not let him do. */
static void an_approval_grants_nothing(void **state)
{
    const struct access_caller cat = made_caller("user:cat"), ann = made_caller("user:ann");
    (void)state;
    const struct access_decision held = ask(&cat, "web");
    assert_int_equal(settle(&ann, "approval.give", held.approval, "blue"), 0);
    (void)made_grant(&made, "user:cat", "launcher", "blue", "{}", true);
    (void)made_grant(&made, "user:cat", "auditor", "blue", "{}", false);
    assert_int_equal(carry_out(&cat, "web", held.approval).outcome, ACCESS_ABSENT);
}

/* A grant and a role are named by the path alone. */
static void what_a_path_names_is_part_of_the_request(void **state)
{
    const struct access_caller ann = made_caller("user:ann");
    struct operation_parts first = {.text = {"17"}, .count = 1}, second = {.text = {"18"}, .count = 1};
    struct access_decision of_first, of_second;
    (void)state;
    assert_int_equal(access_config_approval(&made.config, "grant.remove", &err), 0);
    struct access_request r = {
        .operation = operation_find("grant.remove"), .tenant = "blue", .part = &first, .now = NOW};
    assert_int_equal(access_decide(&of_first, made.access, made.db, &ann, &r, &err), 0);
    r.part = &second;
    assert_int_equal(access_decide(&of_second, made.access, made.db, &ann, &r, &err), 0);
    assert_int_equal(of_second.outcome, ACCESS_HELD);
    assert_int_not_equal(of_second.approval, of_first.approval);
}

/* As the decider finds it: who asked with his groups, what, and who approved. */
static void what_was_approved_can_be_read_back(void **state)
{
    struct access_caller dan = made_member("user:dan", "group:corp:ops");
    const struct access_caller ann = made_caller("user:ann");
    struct approval_given given;
    (void)state;
    (void)made_grant(&made, "group:corp:ops", "launcher", "blue", "{}", false);
    const struct access_decision held = ask(&dan, "web");
    assert_int_equal(approval_given_next(&given, made.db, 0, &err), 1);
    assert_int_equal(settle(&ann, "approval.give", held.approval, "blue"), 0);
    assert_int_equal(approval_given_next(&given, made.db, 0, &err), 0);
    assert_int_equal(given.number, held.approval);
    assert_string_equal(given.operation->name, "guest.delete");
    assert_int_equal(given.part.count, 2);
    assert_string_equal(given.part.text[1], "web");
    assert_string_equal(given.by, "user:ann");
    assert_int_equal(given.who.own, 1);
    assert_int_equal(given.who.principals, 2);
    assert_string_equal(given.who.principal[1].text, "group:corp:ops");
    assert_int_equal(carry_out(&given.who, "web", held.approval).outcome, ACCESS_ALLOWED);
    approval_given_free(&given);
    assert_int_equal(approval_given_next(&given, made.db, 0, &err), 1);
}

static void who_asked_does_not_approve_under_another_name(void **state)
{
    struct access_caller ann = made_caller("user:ann"), cert = made_caller("cert:CN=ann"),
                         uid = made_caller("uid:1000");
    (void)state;
    (void)made_grant(&made, "cert:CN=ann", "administrator", "blue", "{}", false);
    (void)made_grant(&made, "uid:1000", "administrator", "blue", "{}", false);
    const struct access_decision held = ask(&ann, "web");
    assert_int_equal(settle(&ann, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    assert_non_null(strstr(err.text, "somebody else"));
    /* two names that the configuration makes one's */
    const struct access_decision other = ask(&cert, "db");
    assert_int_equal(access_config_map(&made.config, "ann", "cert:CN=ann", &err), 0);
    assert_int_equal(access_config_map(&made.config, "ann", "uid:1000", &err), 0);
    assert_int_equal(settle(&uid, "approval.give", other.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(settle(&ann, "approval.give", other.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(settle(&cert, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(settle(&uid, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    const struct access_caller bob = made_caller("user:bob");
    assert_int_equal(settle(&bob, "approval.give", held.approval, "blue"), 0);
}

static void only_who_may_approve_there_does(void **state)
{
    const struct access_caller ann = made_caller("user:ann"), cat = made_caller("user:cat"),
                               red = made_caller("user:red"), eve = made_caller("user:eve");
    (void)state;
    const struct access_decision held = ask(&ann, "web");
    assert_int_equal(settle(&cat, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(settle(&red, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(settle(&red, "approval.give", held.approval, "red"), -COFRE_NEGATIVE);
    assert_int_equal(settle(&eve, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    assert_int_equal(ask(&ann, "web").outcome, ACCESS_HELD);
}

static void what_was_refused_or_has_expired_waits_no_more(void **state)
{
    const struct access_caller cat = made_caller("user:cat"), ann = made_caller("user:ann");
    (void)state;
    const struct access_decision held = ask(&cat, "web");
    assert_int_equal(settle(&ann, "approval.refuse", held.approval, "blue"), 0);
    assert_int_equal(settle(&ann, "approval.give", held.approval, "blue"), -COFRE_NEGATIVE);
    const struct access_decision next = ask(&cat, "web");
    assert_int_not_equal(next.approval, held.approval);
    assert_int_equal(settle(&ann, "approval.give", next.approval, "blue"), 0);
    assert_int_equal(carry_out_at(&cat, "web", next.approval, NOW + APPROVAL_LIFETIME).outcome,
                     ACCESS_REFUSED);
    const struct access_decision late = ask_at(&cat, "guest.delete", "web", NULL, NOW + APPROVAL_LIFETIME);
    assert_int_equal(late.outcome, ACCESS_HELD);
    assert_int_not_equal(late.approval, next.approval);
}

static void one_caller_makes_a_bounded_number_of_requests(void **state)
{
    const struct access_caller cat = made_caller("user:cat");
    char name[16];
    (void)state;
    for (int i = 0; i < APPROVAL_WAITING_MAX; i++) {
        (void)snprintf(name, sizeof name, "web-%d", i);
        assert_int_equal(ask(&cat, name).outcome, ACCESS_HELD);
    }
    assert_int_equal(ask(&cat, "one-more").outcome, ACCESS_REFUSED);
    assert_int_equal(ask(&cat, "web-0").outcome, ACCESS_HELD);
}

/* A tenant's own list; and nobody takes it away alone. */
static void a_tenants_list_is_changed_by_two(void **state)
{
    const struct access_caller ann = made_caller("user:ann"), bob = made_caller("user:bob");
    int rc;
    (void)state;
    assert_int_equal(made_do(&made, &ann, "constraint.set", "{'tenant': 'blue', 'approval': ['grant.*']}",
                             &rc, NULL, &err),
                     ACCESS_ALLOWED);
    assert_int_equal(rc, 0);
    assert_int_equal(made_do(&made, &ann, "grant.add",
                             "{'tenant': 'blue', 'identity': 'uid:9', 'role': 'administrator'}", &rc, NULL,
                             &err),
                     ACCESS_HELD);
    assert_int_equal(made_do(&made, &ann, "constraint.set", "{'tenant': 'blue'}", &rc, NULL, &err),
                     ACCESS_HELD);
    assert_int_equal(made_do(&made, &bob, "constraint.set", "{'tenant': 'blue'}", &rc, NULL, &err),
                     ACCESS_HELD);
    json_t *list = NULL;
    assert_int_equal(made_do(&made, &bob, "approval.list", "{'tenant': 'blue'}", &rc, &list, &err),
                     ACCESS_ALLOWED);
    const json_t *approvals = json_object_get(list, "approvals"), *second = json_array_get(approvals, 1);
    assert_int_equal(json_array_size(approvals), 3);
    assert_string_equal(json_string_value(json_object_get(second, "operation")), "constraint.set");
    assert_string_equal(json_string_value(json_object_get(second, "by")), "user:ann");
    assert_string_equal(json_string_value(json_object_get(second, "state")), "waiting");
    const long long number = strtoll(json_string_value(json_object_get(second, "id")), NULL, 10);
    assert_int_equal(settle(&bob, "approval.give", number, "blue"), 0);
    json_decref(list);
    made.approval = number;
    assert_int_equal(made_do(&made, &ann, "constraint.set", "{'tenant': 'blue'}", &rc, NULL, &err),
                     ACCESS_ALLOWED);
    made.approval = 0;
    assert_int_equal(made_do(&made, &ann, "grant.add",
                             "{'tenant': 'blue', 'identity': 'uid:8', 'role': 'viewer'}", &rc, NULL, &err),
                     ACCESS_ALLOWED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_approved_is_done_once),
        TEST(what_was_approved_is_that_request_of_that_caller),
        TEST(an_approval_grants_nothing),
        TEST(what_a_path_names_is_part_of_the_request),
        TEST(what_was_approved_can_be_read_back),
        TEST(who_asked_does_not_approve_under_another_name),
        TEST(only_who_may_approve_there_does),
        TEST(what_was_refused_or_has_expired_waits_no_more),
        TEST(one_caller_makes_a_bounded_number_of_requests),
        TEST(a_tenants_list_is_changed_by_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
