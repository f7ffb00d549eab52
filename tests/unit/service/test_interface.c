/* The interface as a client sees it: who may do what, and what each call answers. */
#include "tests/unit/service/fixture.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

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
    {"POST", "/v1/challenges", "submit"},
    {"POST", "/v1/appraisals", "submit"},
    {"GET", "/v1/results", "read audit"},
    {"GET", "/v1/results/{}", "submit read audit"},
    {"GET", "/v1/keys.jwks", NULL},
    {"GET", "/v1/keys.cose", NULL},
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
        T(a_credential_ends_with_its_time),
        T(a_certificate_stands_for_a_caller_too),
        T(paths_and_methods_that_are_not_there_are_told_so),
        T(a_challenge_is_kept_until_it_expires),
        T(policies_are_added_shown_and_made_active),
        T(a_policy_that_is_none_is_not_added),
        T(a_new_token_works_until_it_is_removed),
        T(credentials_that_cannot_be_are_refused),
        T(a_database_that_is_gone_is_no_answer_of_ours),
        T(metrics_count),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
