/* The interface as a client sees it: who may do what, and what each call answers. */
#include "tests/unit/service/fixture.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "attest/service/route.h"
#include "attest/store/challenge.h"
#include "attest/store/credential.h"

#define NOW 1800000000

static int64_t fixed_clock(void)
{
    return NOW;
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(fixed_clock);
    *state = f;
    fixture_start(f);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

/* What each role may, written down a second time. */
static const struct {
    const char *method, *path, *may; /* NULL: everybody */
} cells[] = {
    {"GET", "/healthz", NULL},
    {"GET", "/readyz", NULL},
    {"GET", "/metrics", "audit administer"},
    {"GET", "/v1/openapi.json", NULL},
    {"POST", "/v1/challenges", "submit"},
    {"POST", "/v1/appraisals", "submit"},
    {"GET", "/v1/results", "read audit"},
    {"GET", "/v1/results/{}", "submit read audit"},
    {"GET", "/v1/keys.jwks", NULL},
    {"GET", "/v1/keys.cose", NULL},
    {"GET", "/v1/keys", "keys approve audit"},
    {"GET", "/v1/keys/{}", "keys approve audit"},
    {"POST", "/v1/keys/{}", "keys"},
    {"POST", "/v1/keys/{}/versions", "keys"},
    {"DELETE", "/v1/keys/{}/versions/{}", "keys"},
    {"PUT", "/v1/keys/{}/state", "keys"},
    {"PUT", "/v1/keys/{}/grants/{}", "keys"},
    {"DELETE", "/v1/keys/{}/grants/{}", "keys"},
    {"POST", "/v1/keys/{}/approvals", "approve"},
    {"POST", "/v1/keys/{}/export", "keys"},
    {"POST", "/v1/keys/{}/release", "submit"},
    {"GET", "/v1/import-key", "keys"},
    {"POST", "/v1/keys-backup", "keys"},
    {"POST", "/v1/keys-restore", "keys"},
    {"GET", "/v1/log/head", NULL},
    {"GET", "/v1/log/entries/{}", "submit read audit"},
    {"GET", "/v1/log/entries/{}/receipt", "submit read audit"},
    {"GET", "/v1/log/consistency/{}", NULL},
    {"GET", "/v1/collateral", "audit administer"},
    {"GET", "/v1/policies", "policies audit"},
    {"GET", "/v1/policies/{}", "policies audit"},
    {"POST", "/v1/policies/{}", "policies"},
    {"GET", "/v1/policies/{}/{}", "policies audit"},
    {"PUT", "/v1/policies/{}/active", "policies"},
    {"GET", "/v1/reference-values", "values policies audit"},
    {"POST", "/v1/reference-values", "values"},
    {"GET", "/v1/reference-values.cose", "values policies audit"},
    {"GET", "/v1/reference-values/{}", "values policies audit"},
    {"GET", "/v1/reference-values/{}/file", "values policies audit"},
    {"PUT", "/v1/reference-values/{}/retired", "values"},
    {"GET", "/v1/credentials", "administer audit"},
    {"POST", "/v1/credentials", "administer"},
    {"DELETE", "/v1/credentials/{}", "administer"},
};
#define CELLS (sizeof cells / sizeof *cells)

static void fill_path(char out[64], const char *pattern)
{
    size_t n = 0;
    for (; *pattern; pattern++)
        if (*pattern == '{' || *pattern == '}')
            n += *pattern == '{' ? (size_t)sprintf(out + n, "7") : 0;
        else
            out[n++] = *pattern;
    out[n] = 0;
}

static void each_role_may_what_it_may_and_no_more(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < CELLS; i++) {
        char path[64];
        fill_path(path, cells[i].path);
        for (size_t r = 0; r < ROLE_WORDS; r++) {
            const bool may = !cells[i].may || strstr(cells[i].may, role_words[r]);
            int status = ask(f, cells[i].method, path, role_words[r], "");
            if ((status != 403) != may || status == 401 || status == 0)
                fail_msg("%s %s as %s: %d", cells[i].method, path, role_words[r], status);
        }
        int status = ask(f, cells[i].method, path, NULL, "");
        if ((status == 401) != (cells[i].may != NULL))
            fail_msg("%s %s as anybody: %d", cells[i].method, path, status);
        status = ask(f, cells[i].method, path, "no-such-token", "");
        if ((status == 401) != (cells[i].may != NULL))
            fail_msg("%s %s with an unknown token: %d", cells[i].method, path, status);
    }
}

static void no_route_is_left_out_of_that(void **state)
{
    size_t count = 0;
    (void)state;
    for (const struct route *route = routes; route->method; route++, count++) {
        bool found = false;
        for (size_t i = 0; i < CELLS; i++)
            found |= strcmp(cells[i].method, route->method) == 0 && strcmp(cells[i].path, route->path) == 0;
        if (!found)
            fail_msg("%s %s", route->method, route->path);
    }
    assert_int_equal(count, CELLS);
}

/* "/v1/policies/{name}" is the table's "/v1/policies/{}". */
static void without_names(char out[64], const char *path)
{
    size_t n = 0;
    for (bool inside = false; *path; path++) {
        inside = *path == '{' || (inside && *path != '}');
        if (!inside || *path == '{')
            out[n++] = *path;
    }
    out[n] = 0;
}

static const char *roles_of(const char *method, const char *path)
{
    for (size_t i = 0; i < CELLS; i++)
        if (strcasecmp(cells[i].method, method) == 0 && strcmp(cells[i].path, path) == 0)
            return cells[i].may ? cells[i].may : "";
    fail_msg("the document has %s %s, which the service has not", method, path);
    return NULL;
}

/* As many roles as the table has for it, and each of them; the refusals that follow from that. */
static void check_operation(const char *method, const char *path, json_t *operation)
{
    json_t *roles = json_object_get(operation, "x-roles"),
           *responses = json_object_get(operation, "responses"), *role;
    const char *may = roles_of(method, path);
    size_t words = *may != 0, i;
    for (const char *p = may; *p; p++)
        words += *p == ' ';
    if (json_array_size(roles) != words)
        fail_msg("%s %s: other roles than \"%s\"", method, path, may);
    json_array_foreach(roles, i, role)
    {
        if (!strstr(may, json_string_value(role)))
            fail_msg("%s %s: %s", method, path, json_string_value(role));
    }
    for (const char *const *status = (const char *const[]){"401", "403", NULL}; *status; status++)
        if ((json_object_get(responses, *status) != NULL) != (words != 0))
            fail_msg("%s %s: %s", method, path, *status);
    assert_non_null(json_object_get(responses, "default"));
    assert_int_equal(json_array_size(json_object_get(operation, "security")), words ? 2 : 0);
}

static void the_document_has_each_route_and_no_other(void **state)
{
    struct fixture *f = *state;
    const char *path, *method;
    json_t *methods, *operation;
    size_t count = 0;
    assert_int_equal(ask(f, "GET", "/v1/openapi.json", NULL, NULL), 200);
    json_t *document = answer_json(f);
    json_object_foreach(json_object_get(document, "paths"), path, methods)
    {
        char bare[64];
        without_names(bare, path);
        json_object_foreach(methods, method, operation)
        {
            if (strcmp(method, "parameters") == 0)
                continue;
            check_operation(method, bare, operation);
            count++;
        }
    }
    assert_int_equal(count, CELLS);
    json_decref(document);
}

static void a_credential_ends_with_its_time(void **state)
{
    struct fixture *f = *state;
    fixture_add_credential(f, "late", "audit", "", NOW);
    assert_int_equal(ask(f, "GET", "/v1/policies", "late", NULL), 401);
    assert_member(f, "detail", "the credential is not known, or has expired");
}

static void a_certificate_stands_for_a_caller_too(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[32];
    unsigned len;
    struct cofre_err err;
    struct client c = client_connect(f->port);
    assert_true(client_handshake(&c, &f->client, 0x0304));
    assert_int_equal(ask_with(f, &c, "GET", "/v1/policies", NULL, NULL, NULL),
                     401); /* vouched for, but nobody that is known */
    assert_int_equal(X509_digest(f->client.cert, EVP_sha256(), digest, &len), 1);
    const struct credential known = {.digest = {digest, 32},
                                     .name = "c",
                                     .roles = "audit",
                                     .scope = "",
                                     .made_by = "t",
                                     .expires = NOW + 9};
    assert_int_equal(credential_add(f->db, &known, &err), 0);
    assert_int_equal(ask_with(f, &c, "GET", "/v1/policies", NULL, NULL, NULL), 200);
    assert_int_equal(ask_with(f, &c, "POST", "/v1/policies/web", NULL, NULL, "{}"), 403);
    assert_int_equal(ask_with(f, &c, "GET", "/v1/policies", "no-such-token", NULL, NULL),
                     401); /* what is shown besides counts */
    client_close(&c);
}

static void paths_and_methods_that_are_not_there_are_told_so(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {
        "/", "/v1", "/v1/policies/", "/v1/policies/a/b/c", "/v1/challenges/x", "/healthz/"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (ask(f, "GET", paths[i], "audit", NULL) != 404)
            fail_msg("%s", paths[i]);
    assert_int_equal(ask(f, "DELETE", "/v1/policies/web", "policies", NULL), 405);
    assert_non_null(strstr(f->answer, "Allow: GET, POST"));
}

static void head_is_get_without_its_body(void **state)
{
    struct fixture *f = *state;
    static char answer[4096];
    assert_true(client_send(&f->connection, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_int_equal(client_answer(&f->connection, answer, sizeof answer), 200);
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    assert_int_equal(ask(f, "HEAD", "/v1/credentials", NULL, NULL), 401);
    assert_int_equal(ask(f, "HEAD", "/v1/credentials", "read", NULL), 403);
    assert_int_equal(ask(f, "HEAD", "/v1/challenges", "submit", NULL), 405);
    assert_int_equal(ask(f, "GET", "/healthz", NULL, NULL), 200); /* the connection is where it should be */
    assert_non_null(strstr(f->answer, "alive"));
}

static void a_challenge_is_kept_until_it_expires(void **state)
{
    struct fixture *f = *state;
    uint8_t nonce[32];
    struct cofre_err err;
    assert_int_equal(ask(f, "POST", "/v1/challenges", "submit", NULL), 201);
    json_t *object = answer_json(f);
    assert_string_equal(json_string_value(json_object_get(object, "expires")), "2027-01-15T08:05:00Z");
    assert_true(hex_decode(nonce, 32, json_string_value(json_object_get(object, "nonce"))));
    json_decref(object);
    assert_int_equal(challenge_use(f->db, (struct view){nonce, 32}, NOW + 299, &err), 0);
    assert_int_equal(challenge_use(f->db, (struct view){nonce, 32}, NOW + 299, &err), -COFRE_NEGATIVE);
}

static void policies_are_added_shown_and_made_active(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "GET", "/v1/policies/web", "audit", NULL), 404);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {\"max_vmpl\": 1}}"), 201);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {\"max_vmpl\": 2}}"), 201);
    assert_non_null(strstr(f->answer, "\"version\":2"));
    assert_int_equal(ask(f, "GET", "/v1/policies/web/active", "audit", NULL), 404);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 3}"), 404);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    assert_int_equal(ask(f, "GET", "/v1/policies/web/active", "audit", NULL), 200);
    assert_non_null(strstr(f->answer, "\"policy\":{\"snp\":{\"max_vmpl\":1}}"));
    assert_non_null(strstr(f->answer, "\"made_by\":\"policies\""));
    assert_int_equal(ask(f, "GET", "/v1/policies/web/2", "audit", NULL), 200);
    assert_non_null(strstr(f->answer, "\"active\":false"));
    assert_int_equal(ask(f, "GET", "/v1/policies/web/0", "audit", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/policies/web/x", "audit", NULL), 404);
}

static void a_policy_that_is_none_is_not_added(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {\"max_vmlp\": 1}}"), 422);
    assert_member(f, "detail", "policy: snp.max_vmlp is not a member that a policy has");
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": "), 400);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "[]"), 400);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", NULL), 415);
    assert_int_equal(ask(f, "POST", "/v1/policies/-x", "policies", "{}"), 422);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": \"1\"}"), 422);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1, \"x\": 1}"), 422);
    assert_int_equal(ask(f, "GET", "/v1/policies", "audit", NULL), 200);
    assert_non_null(strstr(f->answer, "{\"policies\":[]}"));
}

static void a_new_token_works_until_it_is_removed(void **state)
{
    struct fixture *f = *state;
    char token[128];
    assert_int_equal(
        ask(f, "POST", "/v1/credentials", "administer",
            "{\"name\": \"ci\", \"roles\": \"submit audit\", \"expires\": \"2027-01-16T00:00:00Z\"}"),
        201);
    json_t *object = answer_json(f);
    snprintf(token, sizeof token, "%s", json_string_value(json_object_get(object, "token")));
    json_decref(object);
    assert_int_equal(strlen(token), 64);
    assert_int_equal(ask(f, "POST", "/v1/challenges", token, NULL), 201);
    assert_int_equal(ask(f, "GET", "/v1/credentials", token, NULL), 200);
    assert_non_null(strstr(f->answer, "\"name\":\"ci\",\"roles\":\"submit audit\""));
    assert_null(strstr(f->answer, token));
    assert_int_equal(ask(f, "POST", "/v1/credentials", token, "{}"), 403);
    assert_int_equal(ask(f, "DELETE", "/v1/credentials/ci", "administer", NULL), 204);
    assert_int_equal(ask(f, "POST", "/v1/challenges", token, NULL), 401);
    assert_int_equal(ask(f, "DELETE", "/v1/credentials/ci", "administer", NULL), 404);
}

static void who_changed_what_is_in_the_log(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *action, *object, *name;
        int version;
        const char *actor, *content, *detail;
    } wanted[] = {
        {"added", "policy", "web", 1, "policies", "{\"snp\":{}}", ""},
        {"activated", "policy", "web", 1, "policies", "{\"snp\":{}}", ""},
        {"added", "credential", "ci", 0, "administer", NULL,
         "submit; until 2027-01-16T00:00:00Z; policy web"},
        {"removed", "credential", "ci", 0, "administer", "ci", ""},
    };
    uint8_t of_token[32];
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {}}"), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    assert_int_equal(ask(f, "POST", "/v1/credentials", "administer",
                         "{\"name\": \"ci\", \"roles\": \"submit\", \"scope\": \"web\","
                         " \"expires\": \"2027-01-16T00:00:00Z\"}"),
                     201);
    json_t *given = answer_json(f);
    access_token_digest(of_token, json_string_value(json_object_get(given, "token")));
    json_decref(given);
    assert_int_equal(ask(f, "DELETE", "/v1/credentials/ci", "administer", NULL), 204);
    assert_memory_equal(entry_of(f, 3).digest.data, of_token, 32);
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct log_entry entry = entry_of(f, i + 1);
        uint8_t digest[32];
        assert_int_equal(entry.kind, LOG_ENTRY_CHANGE);
        assert_int_equal(entry.time, NOW);
        assert_string_equal(entry.action, wanted[i].action);
        assert_string_equal(entry.object, wanted[i].object);
        assert_string_equal(entry.object_name, wanted[i].name);
        assert_int_equal(entry.object_version, wanted[i].version);
        assert_string_equal(entry.actor, wanted[i].actor);
        assert_string_equal(entry.detail, wanted[i].detail);
        if (!wanted[i].content)
            continue;
        EVP_Digest(wanted[i].content, strlen(wanted[i].content), digest, NULL, EVP_sha256(), NULL);
        assert_memory_equal(entry.digest.data, digest, 32);
    }
    assert_int_equal(ask(f, "GET", "/v1/log/entries/5", "audit", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/log/entries/0", "submit", NULL), 200);
    assert_int_equal(ask(f, "GET", "/v1/log/entries/1", "submit", NULL), 403);
    assert_int_equal(ask(f, "GET", "/v1/log/entries/1/receipt", "audit", NULL), 200);
}

static void what_fails_is_not_logged(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 404);
    assert_int_equal(ask(f, "DELETE", "/v1/credentials/nobody", "administer", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/log/head", NULL, NULL), 404);
}

static void a_change_that_cannot_be_logged_is_not_made(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err;
    assert_int_equal(db_script(f->db, "DROP TABLE log_head", &err), 0);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {}}"), 500);
    assert_int_equal(ask(f, "GET", "/v1/policies", "audit", NULL), 200);
    assert_non_null(strstr(f->answer, "{\"policies\":[]}"));
}

static void credentials_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *detail;
        int status;
    } bad[] = {
        {"{\"name\": \"x y\", \"roles\": \"read\", \"expires\": \"2027-01-16T00:00:00Z\"}",
         "name: a name has 1 to 64", 422},
        {"{\"name\": \"x\", \"roles\": \"root\", \"expires\": \"2027-01-16T00:00:00Z\"}",
         "\\\"root\\\" is no role", 422},
        {"{\"name\": \"x\", \"roles\": \"\", \"expires\": \"2027-01-16T00:00:00Z\"}", "roles: there are none",
         422},
        {"{\"name\": \"x\", \"roles\": \"read\", \"expires\": \"2026-01-16T00:00:00Z\"}", "that time is over",
         422},
        {"{\"name\": \"x\", \"roles\": \"read\", \"expires\": \"tomorrow\"}", "is not a time", 422},
        {"{\"name\": \"x\", \"roles\": \"read\"}", "the body: ", 422},
        {"{\"name\": \"x\", \"roles\": \"read\", \"expires\": \"2027-01-16T00:00:00Z\", "
         "\"certificate_sha256\": \"00\"}",
         "64 hexadecimal digits", 422},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(f, "POST", "/v1/credentials", "administer", bad[i].body), bad[i].status);
        if (!strstr(f->answer, bad[i].detail))
            fail_msg("%s", f->answer);
    }
}

static void a_database_that_is_gone_is_no_answer_of_ours(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err;
    assert_int_equal(ask(f, "GET", "/readyz", NULL, NULL), 200);
    assert_int_equal(
        db_script(f->db, "DROP TABLE schema_version; DROP TABLE policy_active; DROP TABLE policy", &err), 0);
    assert_int_equal(ask(f, "GET", "/readyz", NULL, NULL), 500);
    assert_int_equal(ask(f, "GET", "/v1/policies", "audit", NULL), 500);
    assert_member(f, "detail", "the service failed; its log says how");
    assert_int_equal(ask(f, "GET", "/healthz", NULL, NULL), 200);
}

static void metrics_count(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "GET", "/healthz", NULL, NULL), 200);
    assert_int_equal(ask(f, "GET", "/metrics", "audit", NULL), 200);
    assert_non_null(strstr(f->answer, "\ncofre_trust_requests_total 2\n"));
    assert_non_null(strstr(f->answer, "\ncofre_trust_connections 1\n"));
    assert_non_null(strstr(f->answer, "Content-Type: text/plain; version=0.0.4"));
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_role_may_what_it_may_and_no_more),
        cmocka_unit_test(no_route_is_left_out_of_that),
        T(the_document_has_each_route_and_no_other),
        T(a_credential_ends_with_its_time),
        T(a_certificate_stands_for_a_caller_too),
        T(paths_and_methods_that_are_not_there_are_told_so),
        T(head_is_get_without_its_body),
        T(a_challenge_is_kept_until_it_expires),
        T(policies_are_added_shown_and_made_active),
        T(a_policy_that_is_none_is_not_added),
        T(a_new_token_works_until_it_is_removed),
        T(who_changed_what_is_in_the_log),
        T(what_fails_is_not_logged),
        T(a_change_that_cannot_be_logged_is_not_made),
        T(credentials_that_cannot_be_are_refused),
        T(a_database_that_is_gone_is_no_answer_of_ours),
        T(metrics_count),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
