/* Results over attested TLS: evidence bound to the guest's own connection to the service, and to its key in it. */
#include "tests/unit/service/bound_guest.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "attest/store/credential.h"
#include "attest/token/token.h"
#include "tests/unit/channel/ends.h"
#include "vmm/agent/result.h"
#include "vmm/base/json.h"

static int64_t now(void)
{
    return time(NULL);
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(now);
    *state = f;
    bound_guest_open(f);
    fixture_start(f);
    bound_guest_use_policy(f, "{\"snp\": {}}");
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    bound_guest_close();
    return 0;
}

/* What a guest makes of its connection. */
static char *evidence_bound_to(struct client *c, const char *nonce, enum channel_end end)
{
    uint8_t bytes[32], report_data[CHANNEL_REPORT_DATA];
    CLEAN_BYTES key = {0};
    struct channel_binding b = bound_guest_binding(c, nonce, bytes, &key);
    b.end = end;
    assert_int_equal(channel_report_data(report_data, &b, NULL), 0);
    return bound_guest_evidence(report_data);
}

static int submit(struct fixture *f, struct client *c, const char *nonce, const char *evidence)
{
    static char body[1 << 17];
    snprintf(body, sizeof body,
             "{\"policy\": \"web\", \"challenge\": \"%s\", \"binding\": \"channel\", \"evidence\": %s}",
             nonce, evidence);
    return ask_with(f, c, "POST", "/v1/appraisals", "submit", NULL, body);
}

static const char *why_of_report_data(json_t *result)
{
    size_t i;
    json_t *check;
    json_array_foreach(json_object_get(json_object_get(result, "verdict"), "checks"), i, check)
    {
        if (strcmp(json_string_value(json_object_get(check, "id")), "snp.report_data") == 0)
            return json_string_value(json_object_get(check, "why"));
    }
    return "";
}

static void read_token(struct fixture *f, json_t *result, struct ear *ear)
{
    CLEAN_COSE_KEYS keys = {0};
    struct cofre_err err = {""};
    const char *jwt = json_string_value(json_object_get(result, "jwt"));
    assert_int_equal(ask(f, "GET", "/v1/keys.jwks", NULL, NULL), 200);
    const char *length = strstr(f->answer, "Content-Length: ");
    const struct view body = {(const uint8_t *)answer_body(f), strtoul(length + 16, NULL, 10)};
    assert_int_equal(keys_read(&keys, body, &err), 0);
    assert_int_equal(jwt_verify(ear, (struct view){(const uint8_t *)jwt, strlen(jwt)}, &keys, &err), 0);
}

static void a_result_says_to_which_key_it_is_bound(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    uint8_t digest[32];
    CLEAN_BYTES key = {0};
    struct client c = bound_guest_connection(f);
    bound_guest_challenge(f, &c, nonce);
    char *evidence = evidence_bound_to(&c, nonce, CHANNEL_CLIENT);
    assert_int_equal(submit(f, &c, nonce, evidence), 200);
    CLEAN_JSON *result = answer_json(f);
    assert_string_equal(json_string_value(json_object_get(result, "outcome")), "pass");
    assert_string_equal(why_of_report_data(result), "the evidence is bound to this channel and its key");
    CLEAN_EAR ear = {0};
    read_token(f, result, &ear);
    assert_int_equal(channel_key_of(&key, bound_guest_key.cert, NULL), 0);
    assert_int_equal(EVP_Digest(key.data, key.len, digest, NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(ear.submod[0].channel_key.len, 32);
    assert_memory_equal(ear.submod[0].channel_key.data, digest, 32);
    assert_int_equal(ear.nonce.len, 32);
    client_close(&c);
    free(evidence);
}

static void fails_as_not_bound(struct fixture *f, struct client *c, const char *nonce, const char *evidence)
{
    assert_int_equal(submit(f, c, nonce, evidence), 200);
    CLEAN_JSON *result = answer_json(f);
    assert_string_equal(json_string_value(json_object_get(result, "outcome")), "fail");
    assert_string_equal(why_of_report_data(result),
                        "the evidence is not bound to this channel: it was made for "
                        "another one, or for another key");
    CLEAN_EAR ear = {0};
    read_token(f, result, &ear);
    assert_int_equal(ear.submod[0].channel_key.len, 0);
}

/* The middleman has a connection of its own, even with the guest's key: the exporter is another. */
static void evidence_of_another_connection_fails(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    struct client guests = bound_guest_connection(f), relays = bound_guest_connection(f);
    bound_guest_challenge(f, &relays, nonce);
    char *evidence = evidence_bound_to(&guests, nonce, CHANNEL_CLIENT);
    fails_as_not_bound(f, &relays, nonce, evidence);
    client_close(&guests);
    client_close(&relays);
    free(evidence);
}

static void a_result_is_not_had_again_over_another_connection(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    struct client guests = bound_guest_connection(f), relays = bound_guest_connection(f);
    bound_guest_challenge(f, &guests, nonce);
    char *evidence = evidence_bound_to(&guests, nonce, CHANNEL_CLIENT);
    assert_int_equal(submit(f, &guests, nonce, evidence), 200);
    assert_int_equal(submit(f, &guests, nonce, evidence), 200); /* but over the same one */
    assert_int_equal(submit(f, &relays, nonce, evidence), 409);
    assert_member(f, "detail", "the nonce was not given out here, or was used before");
    client_close(&guests);
    client_close(&relays);
    free(evidence);
}

static void evidence_over_something_else_fails(void **state)
{
    struct fixture *f = *state;
    char nonce[65], other[65];
    uint8_t plain[CHANNEL_REPORT_DATA] = {0};
    struct client c = bound_guest_connection(f);
    bound_guest_challenge(f, &c, nonce);
    char *reflected = evidence_bound_to(&c, nonce, CHANNEL_SERVER);
    fails_as_not_bound(f, &c, nonce, reflected);
    bound_guest_challenge(f, &c, other);
    char *old = evidence_bound_to(&c, nonce, CHANNEL_CLIENT);
    fails_as_not_bound(f, &c, other, old);
    bound_guest_challenge(f, &c, nonce);
    char *empty = bound_guest_evidence(plain);
    fails_as_not_bound(f, &c, nonce, empty);
    bound_guest_challenge(f, &c, nonce);
    assert_true(hex_decode(plain, 32, nonce));
    char *unbound = bound_guest_evidence(plain);
    fails_as_not_bound(f, &c, nonce, unbound);
    client_close(&c);
    free(reflected);
    free(old);
    free(empty);
    free(unbound);
}

static void bound_evidence_is_not_taken_for_an_unbound_nonce(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    static char body[1 << 17];
    struct client c = bound_guest_connection(f);
    bound_guest_challenge(f, &c, nonce);
    char *evidence = evidence_bound_to(&c, nonce, CHANNEL_CLIENT);
    snprintf(body, sizeof body, "{\"policy\": \"web\", \"challenge\": \"%s\", \"evidence\": %s}", nonce,
             evidence);
    assert_int_equal(ask_with(f, &c, "POST", "/v1/appraisals", "submit", NULL, body), 200);
    assert_member(f, "outcome", "fail");
    client_close(&c);
    free(evidence);
}

static void what_cannot_be_bound_is_told_why(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    struct client c = bound_guest_connection(f);
    bound_guest_challenge(f, &c, nonce);
    assert_int_equal(submit(f, &f->connection, nonce, "{}"), 422);
    assert_member(f, "detail",
                  "binding: the client has shown no certificate, whose key the evidence could be bound to");
    assert_int_equal(ask_with(f, &c, "POST", "/v1/appraisals", "submit", NULL,
                              "{\"policy\": \"web\", \"nonce\": \"0011223344556677\", \"binding\": \"tls\", "
                              "\"evidence\": {}}"),
                     422);
    assert_member(f, "detail", "binding: it is to be \"channel\", or not there");
    client_close(&c);
}

static void a_certificate_that_nobody_vouches_for_stands_for_nobody(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[32];
    unsigned len;
    struct client c = bound_guest_connection(f);
    assert_int_equal(X509_digest(bound_guest_key.cert, EVP_sha256(), digest, &len), 1);
    const struct credential known = {.digest = {digest, 32},
                                     .name = "c",
                                     .roles = "submit",
                                     .scope = "",
                                     .made_by = "t",
                                     .expires = now() + 60};
    assert_int_equal(credential_add(f->db, &known, NULL), 0);
    assert_int_equal(ask_with(f, &c, "POST", "/v1/challenges", NULL, NULL, NULL), 401);
    client_close(&c);
}

/* The guest's own program, in this process. */
static int fetch(const char *ca, uint16_t port, json_t **out, struct cofre_err *err)
{
    char url[64];
    const struct channel_identity identity = {bound_guest_key.key, bound_guest_key.cert};
    const struct trust_client_options options = {
        .url = url, .ca = ca, .token = "submit", .identity = &identity, .seconds = 20};
    struct agent_result_request request = {.policy = "web", .evidence = bound_guest_evidence_file};
    snprintf(url, sizeof url, "https://127.0.0.1:%u", port);
    int rc = trust_client_open(&request.client, &options, err);
    if (rc < 0)
        return rc;
    rc = agent_result_fetch(out, &request, err);
    trust_client_free(request.client);
    return rc;
}

static void a_guest_gets_its_result(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err = {""};
    CLEAN_JSON *result = NULL;
    if (fetch(f->certificate, f->port, &result, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(json_string_value(json_object_get(result, "outcome")), "pass");
    CLEAN_EAR ear = {0};
    read_token(f, result, &ear);
    assert_int_equal(ear.submod[0].channel_key.len, 32);
}

static void a_guest_speaks_to_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err;
    json_t *result = NULL;
    char expected[256];
    assert_int_equal(fetch(f->ca, f->port, &result, &err), -COFRE_NEGATIVE); /* another CA */
    snprintf(expected, sizeof expected,
             "https://127.0.0.1:%u is not who it should be: self-signed certificate", f->port);
    assert_string_equal(err.text, expected);
    assert_int_equal(fetch(bound_guest_root_file, 1, &result, &err), -COFRE_FAILED);
    assert_string_equal(err.text, "https://127.0.0.1:1: no answer came in time, or no connection");
    assert_int_equal(fetch(f->database, f->port, &result, &err), -COFRE_USAGE);
    assert_null(result);
}

static void what_the_service_refuses_is_told_to_the_guest(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err;
    json_t *result = NULL;
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    fixture_stop(f);
    f->config.limits.body = 4096; /* less than evidence has */
    fixture_start(f);
    assert_int_equal(fetch(f->certificate, f->port, &result, &err), -COFRE_FAILED);
    assert_non_null(strstr(err.text, " answers 413: the request's body has "));
    assert_null(result);
}

/* A middleman who stole the service's key: the guest believes him, and the service does not. */
struct thief {
    int listener;
    uint16_t port, service;
    const struct channel_identity *stolen, *own;
    struct raw front, back;
};

static void pass_on(struct raw *raw, const struct channel_stream *stream)
{
    (void)stream;
    relay_between(((struct thief *)raw->context)->front.tls, raw->tls);
}

static void turn_to_the_service(struct raw *raw, const struct channel_stream *stream)
{
    struct thief *t = raw->context;
    struct client c = client_connect(t->service);
    (void)stream;
    t->back = (struct raw){.identity = t->own, .script = pass_on, .context = t};
    raw_start(&t->back, c.fd);
    raw_join(&t->back);
}

static void *steal(void *context)
{
    struct thief *t = context;
    t->front =
        (struct raw){.server = true, .identity = t->stolen, .script = turn_to_the_service, .context = t};
    raw_start(&t->front, accept(t->listener, NULL, NULL));
    raw_join(&t->front);
    return NULL;
}

static void a_relay_with_the_services_own_key_gets_no_result(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    struct cofre_err err = {""};
    pthread_t thread;
    CLEAN_JSON *result = NULL;
    CLEAN_IDENTITY own = {0};
    const struct channel_identity stolen = {f->identity.key, f->identity.cert};
    struct thief t = {
        .listener = socket(AF_INET, SOCK_STREAM, 0), .service = f->port, .stolen = &stolen, .own = &own};
    assert_int_equal(channel_identity_new(&own, NULL), 0);
    assert_int_equal(bind(t.listener, (const struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(t.listener, 1), 0);
    assert_int_equal(getsockname(t.listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&thread, NULL, steal, &t), 0);
    int rc = fetch(f->certificate, ntohs(at.sin_port), &result, &err);
    pthread_join(thread, NULL);
    close(t.listener);
    if (rc < 0)
        fail_msg("%s", err.text);
    assert_string_equal(json_string_value(json_object_get(result, "outcome")), "fail");
    assert_string_equal(why_of_report_data(result),
                        "the evidence is not bound to this channel: it was made for "
                        "another one, or for another key");
    CLEAN_EAR ear = {0};
    read_token(f, result, &ear);
    assert_int_equal(ear.submod[0].channel_key.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_result_says_to_which_key_it_is_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(evidence_of_another_connection_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(a_result_is_not_had_again_over_another_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(evidence_over_something_else_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(bound_evidence_is_not_taken_for_an_unbound_nonce, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_bound_is_told_why, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_that_nobody_vouches_for_stands_for_nobody, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_guest_gets_its_result, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guest_speaks_to_nobody_else, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_service_refuses_is_told_to_the_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_relay_with_the_services_own_key_gets_no_result, setup, teardown),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
