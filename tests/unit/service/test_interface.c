/* The interface as a client sees it: who may do what, and what each call answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/service/access.h"
#include "attest/service/route.h"
#include "attest/service/service.h"
#include "attest/store/challenge.h"
#include "attest/store/credential.h"
#include "tests/unit/service/client.h"

#define NOW 1800000000

static int64_t fixed_clock(void)
{
    return NOW;
}

struct fixture {
    char folder[64], certificate[96], key[96], ca[96], database[96];
    struct identity identity, client;
    struct trust_config config;
    struct trust *trust;
    struct db *db;
    uint16_t port;
    struct client connection;
    char answer[65536];
};

static void write_pem(const char *path, const struct identity *id, bool key)
{
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    assert_int_equal(
        key ? PEM_write_PrivateKey(to, id->key, NULL, NULL, 0, NULL, NULL) : PEM_write_X509(to, id->cert), 1);
    fclose(to);
}

static const char *const roles[] = {"submit", "read", "values", "policies", "audit", "administer"};
#define ROLES (sizeof roles / sizeof *roles)

/* Each role has a token of its own name. */
static void add_credential(struct fixture *f, const char *token, const char *role, int64_t expires)
{
    uint8_t digest[32];
    struct cofre_err err;
    access_token_digest(digest, token);
    const struct credential c = {.digest = {digest, 32},
                                 .name = token,
                                 .roles = role,
                                 .scope = "",
                                 .made = 1,
                                 .made_by = "test",
                                 .expires = expires};
    assert_int_equal(credential_add(f->db, &c, &err), 0);
}

static int start_service(struct fixture *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    struct cofre_err err = {""};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&at, len) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return -1;
    f->port = ntohs(at.sin_port);
    int rc = trust_start(&f->trust, &f->config, &fd, 1, fixed_clock, &err);
    close(fd);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return rc;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct cofre_err err = {""};
    strcpy(f->folder, "/tmp/cofre-trust-XXXXXX");
    *state = f;
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->certificate, sizeof f->certificate, "%s/cert.pem", f->folder);
    snprintf(f->key, sizeof f->key, "%s/key.pem", f->folder);
    snprintf(f->ca, sizeof f->ca, "%s/ca.pem", f->folder);
    snprintf(f->database, sizeof f->database, "%s/db", f->folder);
    f->identity = identity_new("trust");
    f->client = identity_new("a client");
    write_pem(f->certificate, &f->identity, false);
    write_pem(f->key, &f->identity, true);
    write_pem(f->ca, &f->client, false);
    f->config = (struct trust_config){.certificate = f->certificate,
                                      .key = f->key,
                                      .client_ca = f->ca,
                                      .database = f->database,
                                      .workers = 2,
                                      .challenge_seconds = 300,
                                      .limits = {64, 16, 16384, 1 << 20, 30}};
    if (start_service(f) < 0 || db_open(&f->db, f->database, &err) < 0)
        return -1;
    for (size_t i = 0; i < ROLES; i++)
        add_credential(f, roles[i], roles[i], NOW + 1);
    f->connection = client_new(f->port);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char line[128];
    client_close(&f->connection);
    trust_stop(f->trust);
    db_close(f->db);
    identity_free(&f->identity);
    identity_free(&f->client);
    snprintf(line, sizeof line, "rm -rf '%s'", f->folder);
    assert_int_equal(system(line), 0);
    free(f);
    return 0;
}

/* token NULL: none is shown; body NULL: none is sent. */
static int ask_on(struct fixture *f, struct client *c, const char *method, const char *path,
                  const char *token, const char *body)
{
    static char request[32768];
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\n", method, path);
    if (token)
        n += snprintf(request + n, sizeof request - (size_t)n, "Authorization: Bearer %s\r\n", token);
    if (body)
        n += snprintf(request + n, sizeof request - (size_t)n, "Content-Type: application/json\r\n");
    snprintf(request + n, sizeof request - (size_t)n, "Content-Length: %zu\r\n\r\n%s",
             body ? strlen(body) : 0, body ? body : "");
    return client_ask(c, request, f->answer, sizeof f->answer);
}

static int ask(struct fixture *f, const char *method, const char *path, const char *token, const char *body)
{
    return ask_on(f, &f->connection, method, path, token, body);
}

static json_t *answer(struct fixture *f)
{
    json_t *object = json_loads(strstr(f->answer, "\r\n\r\n") + 4, 0, NULL);
    assert_non_null(object);
    return object;
}

static void assert_member(struct fixture *f, const char *name, const char *value)
{
    json_t *object = answer(f);
    assert_string_equal(json_string_value(json_object_get(object, name)), value);
    json_decref(object);
}

/* What each role may, written down a second time. */
static const struct {
    const char *method, *path, *may; /* NULL: everybody */
} cells[] = {
    {"GET", "/healthz", NULL},
    {"GET", "/readyz", NULL},
    {"GET", "/metrics", "audit administer"},
    {"POST", "/v1/challenges", "submit"},
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
        for (size_t r = 0; r < ROLES; r++) {
            const bool may = !cells[i].may || strstr(cells[i].may, roles[r]);
            int status = ask(f, cells[i].method, path, roles[r], "");
            if ((status != 403) != may || status == 401 || status == 0)
                fail_msg("%s %s as %s: %d", cells[i].method, path, roles[r], status);
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
    add_credential(f, "late", "audit", NOW);
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
    assert_int_equal(ask_on(f, &c, "GET", "/v1/policies", NULL, NULL),
                     401); /* vouched for, but nobody that is known */
    assert_int_equal(X509_digest(f->client.cert, EVP_sha256(), digest, &len), 1);
    const struct credential known = {.digest = {digest, 32},
                                     .name = "c",
                                     .roles = "audit",
                                     .scope = "",
                                     .made_by = "t",
                                     .expires = NOW + 9};
    assert_int_equal(credential_add(f->db, &known, &err), 0);
    assert_int_equal(ask_on(f, &c, "GET", "/v1/policies", NULL, NULL), 200);
    assert_int_equal(ask_on(f, &c, "POST", "/v1/policies/web", NULL, "{}"), 403);
    assert_int_equal(ask_on(f, &c, "GET", "/v1/policies", "no-such-token", NULL),
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
    json_t *object = answer(f);
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
    json_t *object = answer(f);
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
