/* From a challenge to a signed result in the log, with the evidence of an emulated SNP guest. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/evidence.h"
#include "attest/log/entry.h"
#include "attest/log/receipt.h"
#include "attest/token/token.h"
#include "tests/unit/service/guest.h"
#include "vmm/base/json.h"

static int64_t skew; /* of the service's clock: chains are made by the real one */
static int64_t clock_of_service(void)
{
    return time(NULL) + skew;
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(clock_of_service);
    *state = f;
    skew = 0;
    guest_open(f);
    fixture_start(f);
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {}}"), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    guest_close();
    return 0;
}

static void new_challenge_as(struct fixture *f, const char *token, char out[65])
{
    assert_int_equal(ask(f, "POST", "/v1/challenges", token, NULL), 201);
    json_t *object = answer_json(f);
    strcpy(out, json_string_value(json_object_get(object, "nonce")));
    json_decref(object);
}

static void new_challenge(struct fixture *f, char out[65])
{
    new_challenge_as(f, "submit", out);
}

static int appraise_as(struct fixture *f, const char *token, const char *kind, const char *nonce,
                       const char *evidence, const char *header)
{
    static char body[1 << 17];
    snprintf(body, sizeof body, "{\"policy\": \"web\", \"%s\": \"%s\", \"evidence\": %s}", kind, nonce,
             evidence);
    return ask_with(f, &f->connection, "POST", "/v1/appraisals", token, header, body);
}

static const char *text(json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    assert_non_null(value);
    return value;
}

static void read_keys(struct fixture *f, struct cose_keys *keys, const char *path)
{
    struct cofre_err err = {""};
    assert_int_equal(ask(f, "GET", path, NULL, NULL), 200);
    const char *length = strstr(f->answer, "Content-Length: ");
    const struct view body = {(const uint8_t *)answer_body(f), strtoul(length + 16, NULL, 10)};
    if (keys_read(keys, body, &err) < 0)
        fail_msg("%s", err.text);
}

static void a_challenge_leads_to_signed_results(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    new_challenge(f, nonce);
    char *evidence = guest_evidence(nonce);
    assert_int_equal(appraise_as(f, "submit", "challenge", nonce, evidence, NULL), 200);
    CLEAN_JSON *result = answer_json(f);
    assert_string_equal(text(result, "outcome"), "pass");
    assert_string_equal(text(result, "tee"), "snp");
    assert_string_equal(text(json_object_get(result, "verdict"), "verdict"), "pass");

    CLEAN_COSE_KEYS cose = {0}, jwks = {0};
    CLEAN_EAR by_cwt = {0}, by_jwt = {0};
    CLEAN_BYTES cwt = {0};
    struct cofre_err err = {""};
    read_keys(f, &cose, "/v1/keys.cose");
    read_keys(f, &jwks, "/v1/keys.jwks");
    assert_int_equal(base64_decode(&cwt, EAR_TOKEN_MAX, text(result, "cwt"), &err), 0);
    const char *jwt = text(result, "jwt");
    assert_int_equal(cwt_verify(&by_cwt, bytes_view(&cwt), &cose, &err), 0);
    assert_int_equal(jwt_verify(&by_jwt, (struct view){(const uint8_t *)jwt, strlen(jwt)}, &jwks, &err), 0);
    assert_string_equal(by_cwt.issuer, FIXTURE_NAME);
    assert_int_equal(by_cwt.expires - by_cwt.issued, 3600);
    assert_int_equal(by_jwt.submods, 1);
    assert_string_equal(by_jwt.submod[0].verdict, "pass");
    assert_true(by_jwt.submod[0].emulated);
    uint8_t expected[32];
    assert_true(hex_decode(expected, 32, nonce));
    assert_int_equal(by_jwt.nonce.len, 32);
    assert_memory_equal(by_jwt.nonce.data, expected, 32);
    free(evidence);
}

static int appraise_without_jwt(struct fixture *f, const char *nonce, const char *evidence)
{
    static char body[1 << 17];
    snprintf(body, sizeof body, "{\"policy\": \"web\", \"nonce\": \"%s\", \"evidence\": %s, \"jwt\": false}",
             nonce, evidence);
    return ask_with(f, &f->connection, "POST", "/v1/appraisals", "submit", "Idempotency-Key: a\r\n", body);
}

static json_t *ask_for_result(struct fixture *f, json_t *result)
{
    char path[96];
    snprintf(path, sizeof path, "/v1/results/%s", text(result, "id"));
    assert_int_equal(ask(f, "GET", path, "read", NULL), 200);
    return answer_json(f);
}

static void a_jwt_that_was_declined_is_made_when_it_is_asked_for(void **state)
{
    struct fixture *f = *state;
    const char *nonce = "00112233445566778899aabbccddeeff";
    char *evidence = guest_evidence(nonce);
    assert_int_equal(appraise_without_jwt(f, nonce, evidence), 200);
    CLEAN_JSON *result = answer_json(f);
    assert_null(json_object_get(result, "jwt"));
    assert_int_equal(appraise_without_jwt(f, nonce, evidence), 200);
    CLEAN_JSON *repeated = answer_json(f);
    assert_true(json_equal(result, repeated));

    CLEAN_JSON *whole = ask_for_result(f, result);
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_EAR by_cwt = {0}, by_jwt = {0};
    CLEAN_BYTES cwt = {0}, one = {0}, other = {0};
    const char *jwt = text(whole, "jwt");
    read_keys(f, &keys, "/v1/keys.jwks");
    assert_int_equal(base64_decode(&cwt, EAR_TOKEN_MAX, text(result, "cwt"), NULL), 0);
    assert_int_equal(cwt_verify(&by_cwt, bytes_view(&cwt), &keys, NULL), 0);
    assert_int_equal(jwt_verify(&by_jwt, (struct view){(const uint8_t *)jwt, strlen(jwt)}, &keys, NULL), 0);
    assert_int_equal(ear_cbor(&one, &by_cwt, NULL) + ear_cbor(&other, &by_jwt, NULL), 0);
    assert_true(view_equal(bytes_view(&one), bytes_view(&other)));
    assert_int_equal(json_object_del(whole, "jwt"), 0);
    assert_true(json_equal(result, whole));
    free(evidence);
}

/* Else who may write into the database could have anything signed. */
static void what_the_service_did_not_sign_it_does_not_sign_again(void **state)
{
    struct fixture *f = *state;
    const char *nonce = "00112233445566778899aabbccddeeff";
    char *evidence = guest_evidence(nonce);
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_EAR ear = {0};
    CLEAN_BYTES cwt = {0}, forged = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_int_equal(appraise_without_jwt(f, nonce, evidence), 200);
    CLEAN_JSON *result = answer_json(f);
    read_keys(f, &keys, "/v1/keys.cose");
    assert_int_equal(base64_decode(&cwt, EAR_TOKEN_MAX, text(result, "cwt"), NULL), 0);
    assert_int_equal(cwt_verify(&ear, bytes_view(&cwt), &keys, NULL), 0);
    assert_int_equal(cwt_sign(&forged, &ear, key, NULL), 0);
    assert_int_equal(DB_RUN(f->db, "UPDATE result SET cwt = $1 WHERE id = $2", NULL, NULL, NULL,
                            db_bytes(bytes_view(&forged)), db_text(text(result, "id"))),
                     1);
    CLEAN_JSON *changed = ask_for_result(f, result);
    assert_string_not_equal(text(changed, "cwt"), text(result, "cwt"));
    assert_null(json_object_get(changed, "jwt"));
    EVP_PKEY_free(key);
    free(evidence);
}

static void a_repeated_request_gets_the_first_ones_answer(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    static char first[1 << 18];
    new_challenge(f, nonce);
    char *evidence = guest_evidence(nonce), *other = guest_evidence("00112233445566778899aabbccddeeff");
    assert_int_equal(appraise_as(f, "submit", "challenge", nonce, evidence, NULL), 200);
    strcpy(first, answer_body(f));
    assert_int_equal(appraise_as(f, "submit", "challenge", nonce, evidence, NULL), 200);
    assert_string_equal(answer_body(f), first);
    /* But the nonce is used up for everything else. */
    assert_int_equal(appraise_as(f, "submit", "challenge", nonce, other, NULL), 409);
    assert_member(f, "detail", "the nonce was not given out here, or was used before");
    fixture_add_credential(f, "another", "submit", "", clock_of_service() + 60);
    assert_int_equal(appraise_as(f, "another", "challenge", nonce, evidence, NULL), 409);
    free(evidence);
    free(other);
}

static void a_challenge_ends_with_its_time(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    new_challenge(f, nonce);
    char *evidence = guest_evidence(nonce);
    skew = 301;
    assert_int_equal(appraise_as(f, "submit", "challenge", nonce, evidence, NULL), 409);
    assert_non_null(strstr(f->answer, "the nonce expired"));
    free(evidence);
}

/* Nobody brings it back: an hour later it is gone, by the next one. */
static void a_challenge_is_forgotten_an_hour_after_its_end(void **state)
{
    struct fixture *f = *state;
    char nonce[65], later[65];
    new_challenge(f, nonce);
    char *evidence = guest_evidence(nonce);
    skew = 300 + 3601;
    fixture_add_credential(f, "later", "submit", "", clock_of_service() + 60);
    new_challenge_as(f, "later", later);
    assert_int_equal(appraise_as(f, "later", "challenge", nonce, evidence, NULL), 409);
    assert_member(f, "detail", "the nonce was not given out here, or was used before");
    free(evidence);
}

static void evidence_on_another_nonce_fails(void **state)
{
    struct fixture *f = *state;
    char nonce[65];
    new_challenge(f, nonce);
    char *evidence = guest_evidence("00112233445566778899aabbccddeeff");
    assert_int_equal(appraise_as(f, "submit", "challenge", nonce, evidence, NULL), 200);
    assert_member(f, "outcome", "fail");
    free(evidence);
}

#define OWN "00112233445566778899aabbccddeeff"

static void a_callers_own_nonce_is_judged_each_time(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN);
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    CLEAN_JSON *first = answer_json(f);
    assert_string_equal(text(first, "outcome"), "pass");
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    CLEAN_JSON *second = answer_json(f);
    assert_string_not_equal(text(first, "id"), text(second, "id"));
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, "Idempotency-Key: a\r\n"), 200);
    CLEAN_JSON *third = answer_json(f);
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, "Idempotency-Key: a\r\n"), 200);
    assert_member(f, "id", text(third, "id"));
    free(evidence);
}

static void results_are_read_by_those_who_may(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN), path[160], hex[65];
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    CLEAN_JSON *result = answer_json(f);
    snprintf(path, sizeof path, "/v1/results/%s", text(result, "id"));
    fixture_add_credential(f, "another", "submit", "", clock_of_service() + 60);
    assert_int_equal(ask(f, "GET", path, "submit", NULL), 200);
    CLEAN_JSON *again = answer_json(f);
    assert_true(json_equal(result, again));
    assert_int_equal(ask(f, "GET", path, "read", NULL), 200);
    assert_int_equal(ask(f, "GET", path, "another", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/results/00", "read", NULL), 404);

    CLEAN_EVIDENCE parsed = {0};
    uint8_t digest[32];
    assert_int_equal(
        evidence_parse(&parsed, (struct view){(const uint8_t *)evidence, strlen(evidence)}, NULL), 0);
    assert_int_equal(EVP_Digest(parsed.report.data, parsed.report.len, digest, NULL, EVP_sha256(), NULL), 1);
    hex_encode(hex, digest, sizeof digest);
    snprintf(path, sizeof path, "/v1/results?evidence_sha256=%s", hex);
    assert_int_equal(ask(f, "GET", path, "audit", NULL), 200);
    CLEAN_JSON *list = answer_json(f);
    assert_int_equal(json_array_size(json_object_get(list, "results")), 1);
    assert_int_equal(ask(f, "GET", "/v1/results", "audit", NULL), 422);
    free(evidence);
}

static struct view raw_answer(struct fixture *f, struct bytes *keep)
{
    const char *length = strstr(f->answer, "Content-Length: ");
    assert_int_equal(
        bytes_copy(keep, (struct view){(const uint8_t *)answer_body(f), strtoul(length + 16, NULL, 10)},
                   NULL),
        0);
    return bytes_view(keep);
}

static void each_result_is_in_the_log(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN), path[96];
    CLEAN_COSE_KEYS keys = {0};
    CLEAN_BYTES old_head = {0}, entry = {0}, receipt = {0}, growth = {0}, cwt = {0};
    struct log_head older;
    struct log_receipt proof;
    struct log_entry said;
    struct cofre_err err = {""};
    read_keys(f, &keys, "/v1/keys.cose");
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    assert_int_equal(ask(f, "GET", "/v1/log/head", NULL, NULL), 200);
    assert_int_equal(log_head_verify(&older, raw_answer(f, &old_head), &keys, &err), 0);
    assert_string_equal(older.name, FIXTURE_NAME);
    assert_int_equal(older.state.size, 4); /* its first entry, what setup did, and the verdict */
    for (int i = 0; i < 3; i++)
        assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    CLEAN_JSON *result = answer_json(f);
    const int number = (int)json_integer_value(json_object_get(result, "log_entry"));
    assert_int_equal(number, 6);

    snprintf(path, sizeof path, "/v1/log/entries/%d", number);
    assert_int_equal(ask(f, "GET", path, "read", NULL), 200);
    assert_int_equal(log_entry_read(&said, raw_answer(f, &entry), &err), 0);
    assert_int_equal(said.outcome, LOG_PASSED);
    uint8_t digest[32];
    assert_int_equal(base64_decode(&cwt, EAR_TOKEN_MAX, text(result, "cwt"), &err), 0);
    assert_int_equal(EVP_Digest(cwt.data, cwt.len, digest, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(said.token.data, digest, 32);
    strcat(path, "/receipt");
    assert_int_equal(ask(f, "GET", path, "read", NULL), 200);
    assert_int_equal(
        log_receipt_verify_inclusion(&proof, raw_answer(f, &receipt), bytes_view(&entry), &keys, &err), 0);
    assert_int_equal(proof.inclusion.index, number);

    assert_int_equal(ask(f, "GET", "/v1/log/consistency/4", NULL, NULL), 200);
    assert_int_equal(log_receipt_verify_consistency(&proof, raw_answer(f, &growth), &older, &keys, &err), 0);
    assert_int_equal(proof.head.state.size, 7);
    assert_memory_equal(&proof.head.state.id, &older.state.id, sizeof older.state.id);
    assert_int_equal(ask(f, "GET", "/v1/log/entries/7", "read", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/log/entries/7/receipt", "read", NULL), 404);
    assert_int_equal(ask(f, "GET", "/v1/log/consistency/8", NULL, NULL), 404);
    free(evidence);
}

static void what_was_answered_is_there_after_a_restart(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN), path[96];
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    CLEAN_JSON *result = answer_json(f);
    snprintf(path, sizeof path, "/v1/results/%s", text(result, "id"));
    fixture_stop(f);
    fixture_start(f);
    assert_int_equal(ask(f, "GET", path, "read", NULL), 200);
    CLEAN_JSON *again = answer_json(f);
    assert_true(json_equal(result, again));
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    CLEAN_JSON *next = answer_json(f);
    assert_int_equal(json_integer_value(json_object_get(next, "log_entry")), 4);
    free(evidence);
}

static void requests_that_cannot_be_judged_say_why(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *detail;
        int status;
    } bad[] = {
        {"{}", "the body: ", 422},
        {"{\"policy\": \"web\", \"evidence\": {}}", "has to have \\\"challenge\\\"", 422},
        {"{\"policy\": \"web\", \"evidence\": {}, \"nonce\": \"0011223344556677\", \"challenge\": "
         "\"0011223344556677\"}",
         "and not both", 422},
        {"{\"policy\": \"web\", \"evidence\": {}, \"nonce\": \"00\"}", "nonce: 1 bytes are too few", 422},
        {"{\"policy\": \"web\", \"evidence\": {}, \"nonce\": \"0011223344556677\", \"jwt\": 0}",
         "the body: ", 422},
        {"{\"policy\": \"web\", \"evidence\": {}, \"nonce\": \"xx11223344556677\"}", "nonce: ", 422},
        {"{\"policy\": \"db\", \"evidence\": {}, \"nonce\": \"0011223344556677\"}",
         "no policy \\\"db\\\" is active", 404},
        {"{\"policy\": \"-\", \"evidence\": {}, \"nonce\": \"0011223344556677\"}", "policy: a name has", 422},
        {"{\"policy\": \"web\", \"evidence\": {}, \"nonce\": \"0011223344556677\"}", "evidence: ", 400},
        {"{\"policy\": \"web\", \"evidence\": {\"cofre_evidence\": 1, \"tee\": \"snp\", \"report\": "
         "\"AAAA\"}, \"nonce\": \"0011223344556677\"}",
         "report", 400},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int status = ask(f, "POST", "/v1/appraisals", "submit", bad[i].body);
        if (status != bad[i].status || !strstr(f->answer, bad[i].detail))
            fail_msg("%s: %s", bad[i].body, f->answer);
    }
}

static void a_scope_is_the_only_policy_that_a_caller_may_use(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN);
    fixture_add_credential(f, "scoped", "submit", "db", clock_of_service() + 60);
    assert_int_equal(appraise_as(f, "scoped", "nonce", OWN, evidence, NULL), 422);
    assert_member(f, "detail", "scoped may use the policy \"db\" alone");
    free(evidence);
}

static void without_the_emulated_root_nothing_passes(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN);
    struct cofre_err err;
    f->config.trust_roots.path[0] = NULL;
    assert_int_equal(trust_reload(f->trust, &f->config, &err), 0);
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    assert_member(f, "outcome", "fail");
    free(evidence);
}

static void files_that_are_no_good_leave_the_old_ones(void **state)
{
    struct fixture *f = *state;
    char *evidence = guest_evidence(OWN);
    char *list = f->config.crls.path[0];
    struct cofre_err err = {""};
    f->config.crls.path[0] = f->certificate;
    assert_int_equal(trust_reload(f->trust, &f->config, &err), -COFRE_MALFORMED);
    assert_non_null(strstr(err.text, f->certificate));
    assert_int_equal(appraise_as(f, "submit", "nonce", OWN, evidence, NULL), 200);
    assert_member(f, "outcome", "pass");
    f->config.crls.path[0] = list;
    free(evidence);
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_challenge_leads_to_signed_results),
        T(a_jwt_that_was_declined_is_made_when_it_is_asked_for),
        T(what_the_service_did_not_sign_it_does_not_sign_again),
        T(a_repeated_request_gets_the_first_ones_answer),
        T(a_challenge_ends_with_its_time),
        T(a_challenge_is_forgotten_an_hour_after_its_end),
        T(evidence_on_another_nonce_fails),
        T(a_callers_own_nonce_is_judged_each_time),
        T(results_are_read_by_those_who_may),
        T(each_result_is_in_the_log),
        T(what_was_answered_is_there_after_a_restart),
        T(requests_that_cannot_be_judged_say_why),
        T(a_scope_is_the_only_policy_that_a_caller_may_use),
        T(without_the_emulated_root_nothing_passes),
        T(files_that_are_no_good_leave_the_old_ones),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
