/* Keys to guests: who gets one, and all the ways in which somebody else might. */
#include "tests/unit/service/bound_guest.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/service/ledger.h"
#include "keys/hpke.h"
#include "keys/release.h"
#include "tests/unit/channel/ends.h"
#include "tests/unit/service/sealed_import.h"
#include "vmm/agent/key.h"
#include "vmm/base/json.h"

static int64_t later; /* than the machine's clock */

static int64_t now(void)
{
    return time(NULL) + later;
}

#define VALUE  "the key of the disk, 32 bytes..."
#define STRICT "{\"snp\": {}}"

static void owner(struct fixture *f, int status, const char *method, const char *path, const char *body)
{
    int got = ask(f, method, path, "keys", body);
    if (got != status)
        fail_msg("%s %s: %d in place of %d: %s", method, path, got, status, f->answer);
}

/* A key of a known value, granted to the policy "web". */
static void make_key(struct fixture *f, const char *name, const char *more)
{
    char body[1024], path[128];
    owner(f, 200, "GET", "/v1/import-key", NULL);
    CLEAN_JSON *answer = answer_json(f);
    CLEAN_JSON *import = sealed_import(answer, name, (struct view){(const uint8_t *)VALUE, 32});
    char *text = json_dumps(import, 0);
    snprintf(body, sizeof body, "{\"import\": %s%s}", text, more);
    free(text);
    snprintf(path, sizeof path, "/v1/keys/%s", name);
    owner(f, 201, "POST", path, body);
    snprintf(path, sizeof path, "/v1/keys/%s/grants/web", name);
    owner(f, 200, "PUT", path, "{}");
}

static int setup(void **state)
{
    struct fixture *f = fixture_new(now);
    *state = f;
    later = 0;
    bound_guest_open(f);
    fixture_start(f);
    fixture_add_credential(f, "approver-b", "approve", "", now() + 3600);
    bound_guest_use_policy(f, STRICT);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    bound_guest_close();
    return 0;
}

/* A guest that asks: each part may be another than it should be. */
struct asking {
    struct client *c;       /* on which it asks */
    struct client *made_on; /* to which its evidence is bound; NULL: c */
    const char *name, *made_for, *policy;
    enum hpke_kem kem;
    EVP_PKEY *key;   /* the recipient, made where it is NULL */
    EVP_PKEY *named; /* in the evidence; NULL: key */
    bool plain;      /* evidence for a channel, not for a release */
    int version;
    const char *nonce; /* NULL: a new one */
    char body[1 << 17];
    char given[65];
};

static void hex_of(char hex[131], struct hpke_public *public, enum hpke_kem kem, EVP_PKEY *key)
{
    assert_int_equal(hpke_public_of(public, kem, key, NULL), 0);
    hex_encode(hex, public->data, public->len);
}

static void prepare(struct fixture *f, struct asking *a)
{
    uint8_t nonce[32], report_data[CHANNEL_REPORT_DATA];
    char hex[131], more[32] = "";
    struct hpke_public recipient, named;
    CLEAN_BYTES key = {0};
    a->name = a->name ? a->name : "disk";
    const char *made_for = a->made_for ? a->made_for : a->name;
    if (!a->key)
        assert_int_equal(hpke_key_new(&a->key, a->kem, NULL), 0);
    if (a->nonce)
        snprintf(a->given, sizeof a->given, "%s", a->nonce);
    else
        bound_guest_challenge(f, a->c, a->given);
    hex_of(hex, &named, a->kem, a->named ? a->named : a->key);
    hex_of(hex, &recipient, a->kem, a->key);
    const struct channel_binding b =
        bound_guest_binding(a->made_on ? a->made_on : a->c, a->given, nonce, &key);
    assert_int_equal(a->plain ? channel_report_data(report_data, &b, NULL)
                              : channel_release_report_data(
                                    report_data, &b, (struct view){named.data, named.len},
                                    (struct view){(const uint8_t *)made_for, strlen(made_for)}, NULL),
                     0);
    char *evidence = bound_guest_evidence(report_data);
    if (a->version)
        snprintf(more, sizeof more, ", \"version\": %d", a->version);
    snprintf(a->body, sizeof a->body,
             "{\"policy\": \"%s\", \"challenge\": \"%s\", \"recipient\": \"%s\", \"kem\": \"%s\", "
             "\"evidence\": %s%s}",
             a->policy ? a->policy : "web", a->given, hex, hpke_kem_names[a->kem], evidence, more);
    free(evidence);
}

static int send_it(struct fixture *f, struct asking *a)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/keys/%s/release", a->name);
    return ask_with(f, a->c, "POST", path, "submit", NULL, a->body);
}

static int release(struct fixture *f, struct asking *a)
{
    prepare(f, a);
    return send_it(f, a);
}

/* The answer's key, opened as docs/keys.md says. */
static void opens_to(struct fixture *f, struct asking *a, int version, const char *value, size_t len)
{
    char aad[256];
    uint8_t text[600];
    CLEAN_BYTES enc = {0}, sealed = {0};
    CLEAN_JSON *answer = answer_json(f);
    const char *result = json_string_value(json_object_get(answer, "result"));
    assert_int_equal(json_integer_value(json_object_get(answer, "version")), version);
    assert_int_equal(hex_decode_some(&enc, 65, json_string_value(json_object_get(answer, "enc")), NULL), 0);
    assert_int_equal(
        hex_decode_some(&sealed, 600, json_string_value(json_object_get(answer, "sealed")), NULL), 0);
    int n = snprintf(aad, sizeof aad, "%s %d %s", a->name, version, result);
    const struct hpke_about about = {{a->kem, HPKE_AES_256_GCM},
                                     {(const uint8_t *)"cofre key release 1", 19},
                                     {(const uint8_t *)aad, (size_t)n}};
    assert_int_equal(hpke_open(text, &about, a->key, bytes_view(&enc), bytes_view(&sealed), NULL), 0);
    assert_int_equal(sealed.len - HPKE_OVERHEAD, len);
    assert_memory_equal(text, value, len);
}

static int64_t released(struct fixture *f, const char *name)
{
    return key_release_count(f->db, name, (struct view){0}, 0, INT64_MAX, NULL);
}

/* Nothing that could be a key is in the answer, and nothing was counted. */
static void refused(struct fixture *f, struct asking *a, int status, const char *code, const char *sentence)
{
    int got = release(f, a);
    if (got != status)
        fail_msg("%d in place of %d: %s", got, status, f->answer);
    assert_member(f, "code", code);
    if (sentence)
        assert_member(f, "detail", sentence);
    assert_null(strstr(f->answer, "sealed"));
    assert_int_equal(released(f, "disk"), 0);
    EVP_PKEY_free(a->key);
    a->key = NULL;
}

#define NOT_BOUND                                                                                            \
    "the policy \"web\" is not satisfied: snp.report_data: the evidence is not bound to this channel: it "   \
    "was made for "                                                                                          \
    "another one, or for another key"

static void a_guest_that_is_what_it_should_be_gets_the_key(void **state)
{
    struct fixture *f = *state;
    make_key(f, "disk", "");
    for (int kem = 0; kem < HPKE_KEMS; kem++) {
        struct client c = bound_guest_connection(f);
        struct asking a = {.c = &c, .kem = (enum hpke_kem)kem};
        assert_int_equal(release(f, &a), 200);
        opens_to(f, &a, 1, VALUE, 32);
        assert_int_equal(released(f, "disk"), kem + 1);
        EVP_PKEY_free(a.key);
        client_close(&c);
    }
}

static void who_has_it_is_known_and_in_the_log(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    struct asking a = {.c = &c};
    make_key(f, "disk", "");
    assert_int_equal(release(f, &a), 200);
    CLEAN_JSON *answer = answer_json(f);
    const char *result = json_string_value(json_object_get(answer, "result"));
    const struct log_entry verdict = entry_of(f, 5), entry = entry_of(f, 6);
    assert_int_equal(verdict.kind, LOG_ENTRY_VERDICT);
    assert_int_equal(verdict.outcome, LOG_PASSED);
    assert_string_equal(entry.action, "released");
    assert_string_equal(entry.object, "key");
    assert_string_equal(entry.object_name, "disk");
    assert_int_equal(entry.object_version, 1);
    assert_string_equal(entry.actor, "submit");
    assert_non_null(strstr(entry.detail, "policy web 1; result "));
    assert_non_null(strstr(entry.detail, result));
    char path[64], guest[65];
    hex_encode(guest, entry.digest.data, 32);
    owner(f, 200, "GET", "/v1/keys/disk", NULL);
    CLEAN_JSON *key = answer_json(f);
    json_t *holder = json_array_get(json_object_get(key, "holders"), 0);
    assert_string_equal(json_string_value(json_object_get(holder, "guest")), guest);
    assert_int_equal(json_integer_value(json_object_get(holder, "releases")), 1);
    snprintf(path, sizeof path, "/v1/results/%s", result);
    assert_int_equal(ask(f, "GET", path, "audit", NULL), 200); /* the verdict it went by */
    EVP_PKEY_free(a.key);
    client_close(&c);
}

static void older_versions_are_had_by_number_until_they_are_retired(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    struct asking a = {.c = &c, .version = 1};
    make_key(f, "disk", "");
    owner(f, 201, "POST", "/v1/keys/disk/versions", "{}");
    owner(f, 200, "DELETE", "/v1/keys/disk/grants/web", NULL);
    owner(f, 200, "PUT", "/v1/keys/disk/grants/web", "{}");
    assert_int_equal(release(f, &a), 200);
    opens_to(f, &a, 1, VALUE, 32);
    EVP_PKEY_free(a.key);
    a.key = NULL;
    owner(f, 200, "DELETE", "/v1/keys/disk/versions/1", NULL);
    assert_int_equal(release(f, &a), 404);
    assert_member(f, "detail", "the key \"disk\" has no version 1");
    EVP_PKEY_free(a.key);
    client_close(&c);
}

/* The host carries the guest's evidence over a connection of its own. */
static void a_relayed_request_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client guests = bound_guest_connection(f), relays = bound_guest_connection(f);
    struct asking a = {.c = &relays, .made_on = &guests};
    make_key(f, "disk", "");
    refused(f, &a, 403, "verdict", NOT_BOUND);
    assert_int_equal(entry_of(f, 5).outcome, LOG_FAILED); /* and it is logged */
    client_close(&guests);
    client_close(&relays);
}

static void a_key_is_sealed_to_the_recipient_in_the_evidence_alone(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    struct asking a = {.c = &c};
    make_key(f, "disk", "");
    for (int kem = 0; kem < HPKE_KEMS; kem++) {
        a.kem = (enum hpke_kem)kem;
        assert_int_equal(hpke_key_new(&a.named, a.kem, NULL), 0);
        refused(f, &a, 403, "verdict", NOT_BOUND);
        EVP_PKEY_free(a.named);
    }
    client_close(&c);
}

static void evidence_for_something_else_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    make_key(f, "disk", "");
    make_key(f, "other", "");
    refused(f, &(struct asking){.c = &c, .made_for = "other"}, 403, "verdict", NOT_BOUND);
    refused(f, &(struct asking){.c = &c, .plain = true}, 403, "verdict", NOT_BOUND);
    client_close(&c);
}

static void a_request_that_comes_again_gets_nothing_and_is_not_counted(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    struct asking a = {.c = &c};
    make_key(f, "disk", "");
    assert_int_equal(release(f, &a), 200);
    assert_int_equal(send_it(f, &a), 409);
    assert_member(f, "detail", "the nonce was not given out here, or was used before");
    assert_int_equal(released(f, "disk"), 1);
    EVP_PKEY_free(a.key);
    client_close(&c);
}

static void a_nonce_of_somebody_elses_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    make_key(f, "disk", "");
    refused(f,
            &(struct asking){.c = &c,
                             .nonce = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
            409, "nonce", "the nonce was not given out here, or was used before");
    client_close(&c);
}

static void a_nonce_that_expired_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    struct asking a = {.c = &c};
    make_key(f, "disk", "");
    prepare(f, &a);
    later = 301;
    assert_int_equal(send_it(f, &a), 409);
    assert_int_equal(released(f, "disk"), 0);
    EVP_PKEY_free(a.key);
    client_close(&c);
}

static void a_platform_with_an_old_tcb_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    bound_guest_use_policy(f, "{\"snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 255}}}}");
    make_key(f, "disk", "");
    struct asking a = {.c = &c};
    refused(f, &a, 403, "verdict", NULL);
    assert_non_null(strstr(f->answer, "snp"));
    client_close(&c);
}

static void a_guest_of_another_measurement_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    char policy[256];
    snprintf(policy, sizeof policy, "{\"snp\": {\"measurement\": [\"%096d\"]}}", 7);
    bound_guest_use_policy(f, policy);
    make_key(f, "disk", "");
    refused(f, &(struct asking){.c = &c}, 403, "verdict", NULL);
    client_close(&c);
}

static void what_the_owner_withdrew_works_no_more(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    make_key(f, "disk", "");
    owner(f, 200, "DELETE", "/v1/keys/disk/grants/web", NULL);
    refused(f, &(struct asking){.c = &c}, 422, "not-valid",
            "the key \"disk\" is not granted to the policy \"web\"");
    owner(f, 200, "PUT", "/v1/keys/disk/grants/web", "{}");
    owner(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"disabled\"}");
    refused(f, &(struct asking){.c = &c}, 422, "not-valid",
            "the key \"disk\" is disabled, and cannot be released");
    owner(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"destroyed\"}");
    refused(f, &(struct asking){.c = &c}, 422, "not-valid",
            "the key \"disk\" is destroyed, and cannot be released");
    refused(f, &(struct asking){.c = &c, .name = "none"}, 404, "not-found", "there is no key \"none\"");
    client_close(&c);
}

/* Another policy that it satisfies is not the key's; and that a version that judges less strictly is active does not matter. */
static void the_policy_is_the_one_that_the_owner_granted(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    bound_guest_use_policy(f, "{\"snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 255}}}}");
    make_key(f, "disk", "");
    assert_int_equal(ask(f, "POST", "/v1/policies/lax", "policies", STRICT), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/lax/active", "policies", "{\"version\": 1}"), 200);
    refused(f, &(struct asking){.c = &c, .policy = "lax"}, 422, "not-valid",
            "the key \"disk\" is not granted to the policy \"lax\"");
    bound_guest_use_policy(f, STRICT);
    refused(f, &(struct asking){.c = &c}, 403, "verdict", NULL);
    assert_int_equal(db_script(f->db, "UPDATE policy SET document = '{\"snp\":{}}'", NULL), 0);
    refused(f, &(struct asking){.c = &c}, 422, "not-valid",
            "version 2 of the policy \"web\" is not what the key was granted to");
    client_close(&c);
}

static void a_grant_that_was_written_into_the_database_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    make_key(f, "disk", "");
    owner(f, 200, "DELETE", "/v1/keys/disk/grants/web", NULL);
    make_key(f, "other", "");
    assert_int_equal(db_script(f->db,
                               "INSERT INTO guest_key_grant (name, policy, version, digest)"
                               " SELECT 'disk', policy, version, digest FROM guest_key_grant",
                               NULL),
                     0);
    refused(f, &(struct asking){.c = &c}, 500, "failed", "the service failed; its log says how");
    client_close(&c);
}

static void rates_are_kept(void **state)
{
    static const struct {
        const char *name, *limits, *sentence;
    } keys[] = {
        {"disk", ", \"per_guest\": 2",
         "this guest had the key \"disk\" 2 times within an hour, which is as often as it may"},
        {"swap", ", \"per_hour\": 2",
         "the key \"swap\" was released 2 times within an hour, which is as often as it may be"},
    };
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    for (size_t i = 0; i < 2; i++) {
        make_key(f, keys[i].name, keys[i].limits);
        for (int n = 0; n < 3; n++) {
            struct asking a = {.c = &c, .name = keys[i].name};
            assert_int_equal(release(f, &a), n < 2 ? 200 : 429);
            if (n == 2)
                assert_member(f, "detail", keys[i].sentence);
            EVP_PKEY_free(a.key);
        }
        assert_int_equal(released(f, keys[i].name), 2);
    }
    client_close(&c);
}

/* The guest that asks, as those who approve see it. */
static void asking_guest(struct fixture *f, char body[128])
{
    assert_int_equal(ask(f, "GET", "/v1/keys/disk", "approve", NULL), 200);
    CLEAN_JSON *key = answer_json(f);
    json_t *requests = json_object_get(key, "requests");
    assert_int_equal(json_array_size(requests), 1);
    snprintf(body, 128, "{\"guest\": \"%s\"}",
             json_string_value(json_object_get(json_array_get(requests, 0), "guest")));
}

static void a_quorum_is_waited_for_and_good_once(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    char body[128];
    make_key(f, "disk", ", \"quorum\": 2");
    refused(f, &(struct asking){.c = &c}, 403, "quorum",
            "the key \"disk\" needs 2 approvals for this guest, and has 0");
    asking_guest(f, body);
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approve", body), 200);
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approve", body),
                     200); /* the same one twice is one */
    refused(f, &(struct asking){.c = &c}, 403, "quorum",
            "the key \"disk\" needs 2 approvals for this guest, and has 1");
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approver-b", body), 200);
    struct asking a = {.c = &c};
    assert_int_equal(release(f, &a), 200);
    opens_to(f, &a, 1, VALUE, 32);
    EVP_PKEY_free(a.key);
    a.key = NULL;
    assert_int_equal(release(f, &a), 403);
    assert_member(f, "detail", "the key \"disk\" needs 2 approvals for this guest, and has 0");
    assert_int_equal(released(f, "disk"), 1);
    EVP_PKEY_free(a.key);
    client_close(&c);
}

static void approvals_that_are_old_or_forged_do_not_count(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    char body[128];
    make_key(f, "disk", ", \"quorum\": 1");
    refused(f, &(struct asking){.c = &c}, 403, "quorum", NULL);
    asking_guest(f, body);
    assert_int_equal(
        db_script(
            f->db,
            "INSERT INTO guest_key_approval (name, guest, approver, expires, mac)"
            " SELECT 'disk', guest, 'forger', 9999999999, mac FROM guest_key_request, guest_key_generation",
            NULL),
        0);
    refused(f, &(struct asking){.c = &c}, 403, "quorum", NULL);
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approve", body), 200);
    assert_int_equal(db_script(f->db, "UPDATE guest_key_approval SET expires = expires + 1", NULL), 0);
    refused(f, &(struct asking){.c = &c}, 403, "quorum", NULL);
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approve", body), 200);
    struct asking a = {.c = &c};
    prepare(f, &a);
    assert_int_equal(db_script(f->db, "UPDATE guest_key_approval SET expires = 1", NULL), 0);
    assert_int_equal(send_it(f, &a), 403);
    EVP_PKEY_free(a.key);
    client_close(&c);
}

/* Acknowledged is what is kept, and nothing else: no key without its entry in the log. */
static void what_cannot_be_kept_is_not_released(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    make_key(f, "disk", "");
    assert_int_equal(db_script(f->db, "ALTER TABLE log_head RENAME TO hidden", NULL), 0);
    refused(f, &(struct asking){.c = &c}, 503, "unavailable", NULL);
    assert_int_equal(db_script(f->db, "ALTER TABLE hidden RENAME TO log_head", NULL), 0);
    struct asking a = {.c = &c};
    assert_int_equal(release(f, &a), 200);
    EVP_PKEY_free(a.key);
    client_close(&c);
}

static void requests_that_cannot_be_are_told_why(void **state)
{
    struct fixture *f = *state;
    struct client c = bound_guest_connection(f);
    static const char format[] =
        "{\"policy\": \"web\", \"challenge\": \"%032d\", \"recipient\": \"%s\", \"kem\": \"%s\","
        " \"evidence\": {}}";
    char body[512];
    make_key(f, "disk", "");
    struct client bare = client_new(f->port);
    snprintf(body, sizeof body, format, 7, "0900000000000000000000000000000000000000000000000000000000000000",
             "X25519");
    assert_int_equal(ask_with(f, &bare, "POST", "/v1/keys/disk/release", "submit", NULL, body), 422);
    assert_member(f, "detail",
                  "the client has shown no certificate, whose key the evidence could be bound to");
    client_close(&bare);
    snprintf(body, sizeof body, format, 7, "09", "X25519");
    assert_int_equal(ask_with(f, &c, "POST", "/v1/keys/disk/release", "submit", NULL, body), 422);
    assert_member(f, "detail", "recipient: it is no public key of X25519");
    snprintf(body, sizeof body, format, 7, "09", "P-521");
    assert_int_equal(ask_with(f, &c, "POST", "/v1/keys/disk/release", "submit", NULL, body), 422);
    assert_member(f, "detail", "kem: it is to be \"P-256\" or \"X25519\"");
    assert_int_equal(ask_with(f, &c, "POST", "/v1/keys/disk/release", "submit", NULL, "{}"), 422);
    client_close(&c);
}

/* The guest's own program, in this process. */

static int fetch(struct fixture *f, const char *name, uint8_t key[AGENT_KEY_MAX], struct cofre_err *err)
{
    char url[64];
    const struct channel_identity identity = {bound_guest_key.key, bound_guest_key.cert};
    const struct trust_client_options options = {
        .url = url, .ca = f->certificate, .token = "submit", .identity = &identity, .seconds = 20};
    struct agent_key_request request = {.policy = "web", .name = name, .evidence = bound_guest_evidence_file};
    snprintf(url, sizeof url, "https://127.0.0.1:%u", f->port);
    int rc = trust_client_open(&request.client, &options, err);
    if (rc < 0)
        return rc;
    rc = agent_key_fetch(key, &request, err);
    trust_client_free(request.client);
    return rc;
}

static void the_agent_gets_its_key(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err = {""};
    uint8_t key[AGENT_KEY_MAX];
    make_key(f, "disk", "");
    if (fetch(f, "disk", key, &err) != 32)
        fail_msg("%s", err.text);
    assert_memory_equal(key, VALUE, 32);
    assert_true(bytes_are_zero(key + 32, sizeof key - 32));
}

static void the_agent_is_told_why_it_gets_none(void **state)
{
    struct fixture *f = *state;
    struct cofre_err err = {""};
    uint8_t key[AGENT_KEY_MAX];
    make_key(f, "disk", ", \"quorum\": 1");
    memset(key, 1, sizeof key);
    assert_int_equal(fetch(f, "disk", key, &err), -COFRE_FAILED);
    assert_non_null(
        strstr(err.text, " answers 403: the key \"disk\" needs 1 approvals for this guest, and has 0"));
    assert_true(bytes_are_zero(key, sizeof key));
    assert_int_equal(fetch(f, "../policies", key, &err), -COFRE_USAGE);
    assert_string_equal(err.text, "\"../policies\" is no name of a key");
}

/* What happens between the verdict and the transaction that keeps the release, which the linker has pass by here (--wrap). */
static const char *between; /* a whole request of the owner's; NULL: nothing */
static struct fixture *of_between;

void __real_ledger_give(struct ledger *ledger, struct record *record);
void __wrap_ledger_give(struct ledger *ledger, struct record *record);
void __wrap_ledger_give(struct ledger *ledger, struct record *record)
{
    if (between) {
        static char answer[4096];
        struct client c = client_new(of_between->port);
        const char *request = between;
        between = NULL;
        if (client_ask(&c, request, answer, sizeof answer) != 200)
            abort();
        client_close(&c);
    }
    __real_ledger_give(ledger, record);
}

static void what_the_owner_withdraws_after_the_verdict_is_not_released(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name, *request;
    } deeds[] = {
#define OWNER "Host: x\r\nAuthorization: Bearer keys\r\nContent-Type: application/json\r\nContent-Length: "
        {"revoked", "DELETE /v1/keys/revoked/grants/web HTTP/1.1\r\n" OWNER "0\r\n\r\n"},
        {"disabled", "PUT /v1/keys/disabled/state HTTP/1.1\r\n" OWNER "21\r\n\r\n{\"state\": \"disabled\"}"},
        {"destroyed",
         "PUT /v1/keys/destroyed/state HTTP/1.1\r\n" OWNER "22\r\n\r\n{\"state\": \"destroyed\"}"},
    };
    of_between = f;
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        char sentence[128];
        struct client c = bound_guest_connection(f);
        struct asking a = {.c = &c, .name = deeds[i].name};
        make_key(f, deeds[i].name, "");
        prepare(f, &a);
        between = deeds[i].request;
        assert_int_equal(send_it(f, &a), 403);
        assert_null(between);
        assert_member(f, "code", "changed");
        snprintf(sentence, sizeof sentence, "the key \"%s\" was changed meanwhile: ask again", a.name);
        assert_member(f, "detail", sentence);
        assert_null(strstr(f->answer, "sealed"));
        assert_int_equal(released(f, deeds[i].name), 0);
        EVP_PKEY_free(a.key);
        a.key = NULL;
        assert_int_equal(release(f, &a), 422);
        EVP_PKEY_free(a.key);
        client_close(&c);
    }
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_guest_that_is_what_it_should_be_gets_the_key),
        T(who_has_it_is_known_and_in_the_log),
        T(older_versions_are_had_by_number_until_they_are_retired),
        T(a_relayed_request_gets_nothing),
        T(a_key_is_sealed_to_the_recipient_in_the_evidence_alone),
        T(evidence_for_something_else_gets_nothing),
        T(a_request_that_comes_again_gets_nothing_and_is_not_counted),
        T(a_nonce_of_somebody_elses_gets_nothing),
        T(a_nonce_that_expired_gets_nothing),
        T(a_platform_with_an_old_tcb_gets_nothing),
        T(a_guest_of_another_measurement_gets_nothing),
        T(what_the_owner_withdrew_works_no_more),
        T(what_the_owner_withdraws_after_the_verdict_is_not_released),
        T(the_policy_is_the_one_that_the_owner_granted),
        T(a_grant_that_was_written_into_the_database_gets_nothing),
        T(rates_are_kept),
        T(a_quorum_is_waited_for_and_good_once),
        T(approvals_that_are_old_or_forged_do_not_count),
        T(what_cannot_be_kept_is_not_released),
        T(requests_that_cannot_be_are_told_why),
        T(the_agent_gets_its_key),
        T(the_agent_is_told_why_it_gets_none),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
