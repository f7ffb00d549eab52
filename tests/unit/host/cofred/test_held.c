/* Requests that wait for a second approver, on a whole cofred: carried out once, as who asked, by what he may at that time. */
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/host/cofred/asker.h"
#include "tests/unit/host/cofred/kept.h"
#include "tests/unit/host/cofred/whole.h"
#include "vmm/base/cleanup.h"
#include "vmm/host/interface/schema.h"

#define FIRST_USER 885000
#define ANN        885500 /* who asks */
#define BOB        885501 /* who approves; both administrators of the tenant */

static struct whole whole, *const w = &whole;
static const char *missing;
static struct asker root, ann, bob;
static char kernel[80];

static void need(void)
{
    if (!missing)
        return;
    print_message("skipped: %s\n", missing);
    skip();
}

static json_t *asks(struct asker *who, int status, const char *method, const char *path, const char *body)
{
    CLEAN_FREE char *text = asker_request(method, path, "", body);
    CLEAN_ANSWER answer = {0};
    asker_send(who, text, strlen(text));
    (void)asker_read(who, &answer);
    if (answer.status != status)
        fail_msg("%s %s: %d, where %d is due: %s", method, path, answer.status, status,
                 answer.body ? answer.body : "");
    return answer.body ? json_loads(answer.body, 0, NULL) : NULL;
}

static void must(struct asker *who, int status, const char *method, const char *path, const char *body)
{
    json_decref(asks(who, status, method, path, body));
}

static void hang_up(void)
{
    asker_hang_up(&root);
    asker_hang_up(&ann);
    asker_hang_up(&bob);
}

static void define(const char *name)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{'name': '%s', 'tee': 'none', 'cpus': 1, 'memory': 67108864, 'kernel': '%s', 'cmdline': "
                   "'launch wait'}",
                   name, kernel);
    must(&root, 201, "POST", "/tenants/shop/guests", body);
}

static char *grant(const char *identity, const char *role, const char *more)
{
    static char number[24];
    char body[256];
    (void)snprintf(body, sizeof body, "{'identity': '%s', 'role': '%s', 'tenant': 'shop'%s}", identity, role,
                   more);
    CLEAN_JSON *made = asks(&root, 201, "POST", "/grants", body);
    (void)snprintf(number, sizeof number, "%s", member_text(made, "id", ""));
    return number;
}

static int up(void **state)
{
    (void)state;
    if (missing)
        return 0;
    root = (struct asker){w->socket, 0, -1};
    ann = (struct asker){w->socket, ANN, -1};
    bob = (struct asker){w->socket, BOB, -1};
    whole_start(w);
    must(&root, 201, "POST", "/tenants", "{'name': 'shop'}");
    whole_image(w, "shop", "kernel of the test", kernel);
    (void)grant("uid:885500", "administrator", "");
    (void)grant("uid:885501", "administrator", "");
    return 0;
}

static int down(void **state)
{
    (void)state;
    if (missing)
        return 0;
    hang_up();
    return whole_stop(w, SIGTERM);
}

static void set_constraint(void)
{
    must(&root, 200, "PUT", "/tenants/shop/constraints", "{'approval': ['guest.delete', 'grant.remove']}");
}

static long long held(const char *method, const char *path)
{
    CLEAN_JSON *answer = asks(&ann, 202, method, path, NULL);
    const long long number = json_integer_value(json_object_get(answer, "approval"));
    assert_true(number > 0);
    return number;
}

static void give(int status, long long number)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/approvals/%lld/give?tenant=shop", number);
    must(&bob, status, "POST", path, NULL);
}

/* As who asked sees it. A turn for each: what was approved is carried out in the one after. */
static json_t *result_of(long long number, const char *state)
{
    char id[24];
    (void)snprintf(id, sizeof id, "%lld", number);
    for (int turn = 0; turn < 1000; turn++) {
        CLEAN_JSON *session = asks(&ann, 200, "GET", "/session", NULL);
        const json_t *one;
        size_t i;
        json_array_foreach(json_object_get(session, "requests"), i, one)
        {
            if (strcmp(member_text(one, "id", ""), id) == 0 &&
                strcmp(member_text(one, "state", ""), state) == 0)
                return json_incref(json_object_get(one, "result"));
        }
    }
    fail_msg("approval %lld does not come to be %s", number, state);
    return NULL;
}

static void is_over(long long number, const char *state, int status)
{
    CLEAN_JSON *result = result_of(number, state);
    assert_int_equal(member_unsigned(result, "status", 0), status);
}

struct seen {
    unsigned done;
    bool names_both;
    const char *object;
};

static void take(void *context, const struct log_entry *e)
{
    struct seen *seen = context;
    if (e->kind != LOG_ENTRY_OPERATION || strcmp(e->operation, "guest.delete") != 0 ||
        strcmp(e->object_name, seen->object) != 0 || e->outcome != LOG_OPERATION_DONE)
        return;
    seen->done++;
    seen->names_both = strcmp(e->subject, "uid:885500") == 0 && strstr(e->detail, "given by uid:885501");
}

static void assert_logged_once(const char *guest)
{
    struct kept kept;
    struct seen seen = {.object = guest};
    int64_t after = -1;
    kept_open(&kept, w->state);
    kept_entries(&kept, &after, take, &seen);
    kept_close(&kept);
    assert_int_equal(seen.done, 1);
    assert_true(seen.names_both);
}

static void what_is_approved_is_carried_out_at_once_and_once(void **state)
{
    (void)state;
    need();
    define("web");
    set_constraint();
    const long long number = held("DELETE", "/tenants/shop/guests/web");
    must(&ann, 200, "GET", "/tenants/shop/guests/web", NULL);
    char own[96];
    (void)snprintf(own, sizeof own, "/approvals/%lld/give?tenant=shop", number);
    must(&ann, 409, "POST", own, NULL);
    give(200, number);
    is_over(number, "used", 204);
    must(&ann, 404, "GET", "/tenants/shop/guests/web", NULL);
    give(409, number);
    define("web"); /* another guest of that name is not meant */
    assert_true(held("DELETE", "/tenants/shop/guests/web") != number);
    must(&ann, 200, "GET", "/tenants/shop/guests/web", NULL);
    assert_logged_once("web");
}

static void a_guest_that_ran_is_deleted_with_what_the_host_has_of_it(void **state)
{
    (void)state;
    need();
    define("ran");
    must(&root, 202, "POST", "/tenants/shop/guests/ran/start", NULL);
    must(&root, 200, "GET", "/tenants/shop/guests/ran/wait?state=running", NULL);
    must(&root, 202, "POST", "/tenants/shop/guests/ran/kill", NULL);
    must(&root, 200, "GET", "/tenants/shop/guests/ran/wait", NULL);
    const long long number = held("DELETE", "/tenants/shop/guests/ran");
    give(200, number);
    json_t *result = NULL; /* used from its first half on, and a result with the second */
    while (!result)
        result = result_of(number, "used");
    json_decref(result);
    must(&ann, 404, "GET", "/tenants/shop/guests/ran", NULL);
    assert_logged_once("ran");
}

/* Found by an attack: the grant's number stands in the path, and what was approved of one served any other. */
static void the_grant_that_was_approved_is_removed_and_no_other(void **state)
{
    char first[24], second[24], path[96];
    (void)state;
    need();
    strcpy(first, grant("uid:17", "viewer", ""));
    strcpy(second, grant("uid:18", "viewer", ""));
    (void)snprintf(path, sizeof path, "/grants/%s?tenant=shop", first);
    const long long number = held("DELETE", path);
    (void)snprintf(path, sizeof path, "/grants/%s?tenant=shop", second);
    const long long other = held("DELETE", path);
    assert_true(other != number);
    give(200, number);
    is_over(number, "used", 204);
    CLEAN_JSON *grants = asks(&root, 200, "GET", "/grants?tenant=shop", NULL);
    CLEAN_FREE char *text = json_dumps(grants, 0);
    assert_null(strstr(text, "uid:17"));
    assert_non_null(strstr(text, "uid:18"));
}

static void rights_that_were_lost_in_between_are_lost(void **state)
{
    (void)state;
    need();
    define("kept");
    const long long number = held("DELETE", "/tenants/shop/guests/kept");
    (void)grant("uid:885500", "launcher", ", 'deny': true");
    give(200, number);
    is_over(number, "failed", 404); /* of launchers' operations is guest.show */
    must(&root, 200, "GET", "/tenants/shop/guests/kept", NULL);
}

/* As a crash between the two turns leaves it: given, and not carried out. */
static void what_a_crash_left_is_carried_out_at_the_start(void **state)
{
    char sql[160], path[192];
    sqlite3 *db = NULL;
    (void)state;
    need();
    define("left");
    const long long number = held("DELETE", "/tenants/shop/guests/left");
    hang_up();
    (void)whole_stop(w, SIGKILL);
    (void)snprintf(path, sizeof path, "%s/cofred.db", w->state);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE access_approval SET state = 'given', by_whom = 'uid:885501' WHERE number = %lld",
                   number);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int round = 0; round < 2; round++) { /* once, however often it starts */
        whole_start(w);
        is_over(number, "used", 204);
        must(&root, 404, "GET", "/tenants/shop/guests/left", NULL);
        hang_up();
        if (round == 0)
            assert_int_equal(whole_stop(w, SIGTERM), 0);
    }
    assert_logged_once("left");
}

int main(int argc, char **argv)
{
    const struct whole_wish wish = {FIRST_USER, "", "", ""};
    missing =
        argc == 3 ? whole_make_as(w, argv[1], argv[2], &wish) : "neither cofred nor a stand-in was named";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_approved_is_carried_out_at_once_and_once),
        cmocka_unit_test(a_guest_that_ran_is_deleted_with_what_the_host_has_of_it),
        cmocka_unit_test(the_grant_that_was_approved_is_removed_and_no_other),
        cmocka_unit_test(what_a_crash_left_is_carried_out_at_the_start),
        cmocka_unit_test(rights_that_were_lost_in_between_are_lost),
    };
    int rc = cmocka_run_group_tests(tests, up, down);
    whole_free(w);
    return rc;
}
