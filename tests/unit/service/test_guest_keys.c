/* Keys for guests over the interface: their owners' side, without a guest. */
#include "tests/unit/service/fixture.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys/hpke.h"
#include "keys/wrap.h"
#include "tests/unit/service/sealed_import.h"
#include "vmm/base/json.h"

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
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {}}"), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 1}"), 200);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void expect(struct fixture *f, int status, const char *method, const char *path, const char *body)
{
    int got = ask(f, method, path, "keys", body);
    if (got != status)
        fail_msg("%s %s: %d in place of %d: %s", method, path, got, status, f->answer);
}

static void detail_is(struct fixture *f, const char *sentence)
{
    assert_member(f, "detail", sentence);
}

static void a_key_is_made_shown_and_listed(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{\"quorum\": 2, \"per_guest\": 3, \"per_hour\": 100}");
    expect(f, 422, "POST", "/v1/keys/disk", "{}");
    detail_is(f, "there is, or was, a key \"disk\": the name is taken");
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    CLEAN_JSON *key = answer_json(f);
    const char *state_word = NULL;
    json_int_t version = 0, quorum = 0, per_guest = 0, per_hour = 0;
    assert_int_equal(json_unpack(key, "{s:s, s:I, s:I, s:I, s:I}", "state", &state_word, "version", &version,
                                 "quorum", &quorum, "per_guest", &per_guest, "per_hour", &per_hour),
                     0);
    assert_string_equal(state_word, "created");
    assert_int_equal(version, 1);
    assert_int_equal(quorum, 2);
    assert_int_equal(per_guest, 3);
    assert_int_equal(per_hour, 100);
    expect(f, 200, "GET", "/v1/keys", NULL);
    assert_non_null(strstr(f->answer, "\"name\":\"disk\",\"state\":\"created\""));
    expect(f, 404, "GET", "/v1/keys/other", NULL);
}

static void wishes_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *body, *detail;
    } bad[] = {
        {"{\"quorum\": 9}", "quorum: it is to be a number from 0 to 8"},
        {"{\"quorum\": -1}", "quorum: it is to be a number from 0 to 8"},
        {"{\"per_guest\": 1000001}", "per_guest: it is to be a number from 0 to 1000000"},
        {"{\"size\": 15}", "size: it is to be a number from 16 to 8192, and not there with import"},
        {"{\"import\": {\"enc\": \"00\", \"sealed\": \"00\"}}",
         "import: 1 bytes are nothing that was sealed"},
        {"{\"import\": {\"enc\": \"zz\", \"sealed\": \"00\"}}", NULL},
        {"{\"value\": \"00\"}", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect(f, 422, "POST", "/v1/keys/disk", bad[i].body);
        if (bad[i].detail)
            detail_is(f, bad[i].detail);
    }
    expect(f, 422, "POST", "/v1/keys/-disk", "{}");
    expect(f, 200, "GET", "/v1/keys", NULL);
    assert_non_null(strstr(f->answer, "{\"keys\":[]}"));
}

static void its_life_goes_by_the_table_of_states(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    expect(f, 404, "PUT", "/v1/keys/disk/grants/none", "{}");
    expect(f, 200, "PUT", "/v1/keys/disk/grants/web", "{}");
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"state\":\"active\""));
    assert_non_null(strstr(f->answer, "\"grants\":[{\"policy\":\"web\",\"version\":1,"));
    expect(f, 201, "POST", "/v1/keys/disk/versions", "{}");
    assert_non_null(strstr(f->answer, "\"version\":2"));
    expect(f, 422, "DELETE", "/v1/keys/disk/versions/2", NULL);
    expect(f, 200, "DELETE", "/v1/keys/disk/versions/1", NULL);
    expect(f, 404, "DELETE", "/v1/keys/disk/versions/1", NULL);
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"disabled\"}");
    expect(f, 422, "PUT", "/v1/keys/disk/grants/web", "{}");
    detail_is(f, "the key \"disk\" is disabled, and cannot be granted");
    expect(f, 200, "DELETE", "/v1/keys/disk/grants/web", NULL);
    expect(f, 404, "DELETE", "/v1/keys/disk/grants/web", NULL);
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"active\"}");
    expect(f, 422, "PUT", "/v1/keys/disk/state", "{\"state\": \"created\"}");
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"destroyed\"}");
    expect(f, 200, "PUT", "/v1/keys/disk/state",
           "{\"state\": \"destroyed\"}"); /* who got no answer asks again */
    expect(f, 422, "POST", "/v1/keys/disk/versions", "{}");
    detail_is(f, "the key \"disk\" is destroyed, and cannot be rotated");
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"versions\":[],\"grants\":[]"));
}

/* A grant is to a version. That the policy's manager has another judge now moves no key. */
static void a_grant_stays_with_the_version_it_was_given_to(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    expect(f, 200, "PUT", "/v1/keys/disk/grants/web", "{}");
    assert_int_equal(ask(f, "POST", "/v1/policies/web", "policies", "{\"snp\": {\"max_vmpl\": 3}}"), 201);
    assert_int_equal(ask(f, "PUT", "/v1/policies/web/active", "policies", "{\"version\": 2}"), 200);
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"policy\":\"web\",\"version\":1,"));
    expect(f, 200, "PUT", "/v1/keys/disk/grants/web", "{\"version\": 2}");
    expect(f, 404, "PUT", "/v1/keys/disk/grants/web", "{\"version\": 3}");
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"policy\":\"web\",\"version\":2,"));
}

static void who_did_what_to_keys_is_in_the_log(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *action, *detail;
        int version;
    } wanted[] = {{"created", "made here; quorum 0", 1},
                  {"granted", "policy web 1", 0},
                  {"rotated", "", 2},
                  {"retired", "", 1},
                  {"revoked", "policy web", 0},
                  {"disabled", "", 0},
                  {"enabled", "", 0},
                  {"destroyed", "", 0}};
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    expect(f, 200, "PUT", "/v1/keys/disk/grants/web", "{}");
    expect(f, 201, "POST", "/v1/keys/disk/versions", "{}");
    expect(f, 200, "DELETE", "/v1/keys/disk/versions/1", NULL);
    expect(f, 200, "DELETE", "/v1/keys/disk/grants/web", NULL);
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"disabled\"}");
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"active\"}");
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"destroyed\"}");
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct log_entry entry = entry_of(f, i + 3);
        assert_int_equal(entry.kind, LOG_ENTRY_CHANGE);
        assert_string_equal(entry.action, wanted[i].action);
        assert_string_equal(entry.object, "key");
        assert_string_equal(entry.object_name, "disk");
        assert_string_equal(entry.actor, "keys");
        assert_string_equal(entry.detail, wanted[i].detail);
        assert_int_equal(entry.object_version, wanted[i].version);
    }
    assert_int_equal(ask(f, "GET", "/v1/log/entries/11", "audit", NULL), 404);
}

static void a_change_that_cannot_be_logged_is_not_made_to_a_key(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    assert_int_equal(db_script(f->db, "ALTER TABLE log_head RENAME TO hidden", NULL), 0);
    expect(f, 500, "PUT", "/v1/keys/disk/state", "{\"state\": \"destroyed\"}");
    assert_int_equal(db_script(f->db, "ALTER TABLE hidden RENAME TO log_head", NULL), 0);
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"state\":\"created\""));
    assert_non_null(strstr(f->answer, "\"versions\":[{\"version\":1,"));
}

/* Transfer, by the same functions that a client has. */

static void text_of(char *out, const void *data, size_t len)
{
    hex_encode(out, data, len);
}

static char *import_of(struct fixture *f, const char *name, struct view value)
{
    static char body[2048];
    expect(f, 200, "GET", "/v1/import-key", NULL);
    CLEAN_JSON *answer = answer_json(f);
    CLEAN_JSON *import = sealed_import(answer, name, value);
    char *text = json_dumps(import, 0);
    snprintf(body, sizeof body, "{\"import\": %s}", text);
    free(text);
    return body;
}

/* Bytes of the value; rc in the status. */
static size_t export_of(struct fixture *f, enum hpke_kem kem, const char *name, int version,
                        uint8_t value[512])
{
    EVP_PKEY *key;
    struct hpke_public public;
    char hex[131], path[64], body[512];
    assert_int_equal(hpke_key_new(&key, kem, NULL), 0);
    assert_int_equal(hpke_public_of(&public, kem, key, NULL), 0);
    text_of(hex, public.data, public.len);
    snprintf(path, sizeof path, "/v1/keys/%s/export", name);
    snprintf(body, sizeof body, "{\"recipient\": \"%s\", \"kem\": \"%s\", \"version\": %d}", hex,
             hpke_kem_names[kem], version);
    expect(f, 200, "POST", path, body);
    CLEAN_JSON *answer = answer_json(f);
    CLEAN_BYTES enc = {0}, sealed = {0};
    assert_int_equal(hex_decode_some(&enc, 65, json_string_value(json_object_get(answer, "enc")), NULL), 0);
    assert_int_equal(
        hex_decode_some(&sealed, 600, json_string_value(json_object_get(answer, "sealed")), NULL), 0);
    const struct hpke_about about = {{kem, HPKE_AES_256_GCM},
                                     {(const uint8_t *)"cofre key export 1", 18},
                                     {(const uint8_t *)name, strlen(name)}};
    assert_int_equal(hpke_open(value, &about, key, bytes_view(&enc), bytes_view(&sealed), NULL), 0);
    EVP_PKEY_free(key);
    return sealed.len - HPKE_OVERHEAD;
}

static void what_is_brought_in_sealed_goes_out_sealed(void **state)
{
    struct fixture *f = *state;
    static const struct view given = {(const uint8_t *)"twenty bytes of key.", 20}, next = {given.data, 16};
    uint8_t value[512];
    expect(f, 201, "POST", "/v1/keys/disk", import_of(f, "disk", given));
    expect(f, 201, "POST", "/v1/keys/disk/versions", import_of(f, "disk", next));
    for (int kem = 0; kem < HPKE_KEMS; kem++) {
        assert_int_equal(export_of(f, (enum hpke_kem)kem, "disk", 1, value), 20);
        assert_memory_equal(value, given.data, 20);
        assert_int_equal(export_of(f, (enum hpke_kem)kem, "disk", 2, value), 16);
        assert_memory_equal(value, next.data, 16);
    }
    assert_string_equal(entry_of(f, 3).detail, "imported; quorum 0");
    assert_string_equal(entry_of(f, 5).action, "exported");
    assert_non_null(strstr(entry_of(f, 5).detail, "to 04"));
}

static void an_import_is_for_one_name(void **state)
{
    struct fixture *f = *state;
    static const struct view given = {(const uint8_t *)"twenty bytes of key.", 20};
    expect(f, 422, "POST", "/v1/keys/disc", import_of(f, "disk", given));
    detail_is(f, "import: what was sealed was changed, or is another's");
    expect(f, 422, "POST", "/v1/keys/disk", import_of(f, "disk", (struct view){given.data, 0}));
    detail_is(f, "import: a key has 1 to 8192 bytes");
}

static void exports_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;
    char off[256];
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    expect(f, 422, "POST", "/v1/keys/disk/export", "{\"recipient\": \"00\", \"kem\": \"P-384\"}");
    detail_is(f, "kem: it is to be \"P-256\" or \"X25519\"");
    expect(f, 422, "POST", "/v1/keys/disk/export", "{\"recipient\": \"00\", \"kem\": \"X25519\"}");
    snprintf(off, sizeof off, "{\"recipient\": \"04%0128d\", \"kem\": \"P-256\"}", 7); /* beside the curve */
    expect(f, 422, "POST", "/v1/keys/disk/export", off);
    detail_is(f, "recipient: it is no public key of P-256");
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"disabled\"}");
    expect(f, 422, "POST", "/v1/keys/disk/export", "{\"recipient\": \"00\", \"kem\": \"X25519\"}");
    detail_is(f, "the key \"disk\" is disabled, and cannot be exported");
}

static void nobody_owns_keys_and_says_what_a_good_guest_is(void **state)
{
    struct fixture *f = *state;
    static const char *const both[] = {"policies keys", "values approve"};
    static const char format[] =
        "{\"name\": \"%s\", \"roles\": \"%s\", \"expires\": \"2027-01-16T00:00:00Z\"}";
    char body[256];
    for (size_t i = 0; i < 2; i++) {
        snprintf(body, sizeof body, format, "ann", both[i]);
        assert_int_equal(ask(f, "POST", "/v1/credentials", "administer", body), 422);
        detail_is(f, "roles: ann would both say what a good guest is and own what it gets; "
                     "keys_with_policies in the configuration allows that");
    }
    snprintf(body, sizeof body, format, "ann", "policies");
    assert_int_equal(ask(f, "POST", "/v1/credentials", "administer", body), 201);
    snprintf(body, sizeof body, format, "ann", "keys audit"); /* nor by two credentials of one name */
    assert_int_equal(ask(f, "POST", "/v1/credentials", "administer", body), 422);
    snprintf(body, sizeof body, format, "bob", "keys audit");
    assert_int_equal(ask(f, "POST", "/v1/credentials", "administer", body), 201);
    f->config.keys_with_policies = true;
    snprintf(body, sizeof body, format, "ann", "keys audit");
    assert_int_equal(ask(f, "POST", "/v1/credentials", "administer", body), 201);
}

static void approvals_are_for_guests_that_ask(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{\"quorum\": 1}");
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approve",
                         "{\"guest\": \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}"),
                     404);
    detail_is(f, "no such guest asks for the key \"disk\"");
    assert_int_equal(ask(f, "POST", "/v1/keys/disk/approvals", "approve", "{\"guest\": \"00\"}"), 422);
}

static void a_service_without_a_root_has_no_keys(void **state)
{
    struct fixture *f = *state;
    struct keyring *kept = f->trust->keyring;
    f->trust->keyring = NULL;
    expect(f, 503, "GET", "/v1/keys", NULL);
    detail_is(f, "this service has no root key, and so keeps no keys for guests");
    expect(f, 503, "POST", "/v1/keys/disk", "{}");
    expect(f, 503, "POST", "/v1/keys-backup", NULL);
    expect(f, 503, "POST", "/v1/keys-restore", "{}");
    f->trust->keyring = kept;
}

static void a_key_that_was_changed_beside_the_service_is_not_changed_further(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    assert_int_equal(db_script(f->db, "UPDATE guest_key SET quorum = 1", NULL), 0);
    expect(f, 500, "PUT", "/v1/keys/disk/grants/web", "{}");
    expect(f, 500, "POST", "/v1/keys/disk/export",
           "{\"recipient\": \"0900000000000000000000000000000000000000000000000000000000000000\", \"kem\": "
           "\"X25519\"}");
}

/* A backup as a request to restore it, with more members. The caller frees it. */
static char *backup_of(struct fixture *f, const char *more)
{
    char *text;
    expect(f, 200, "POST", "/v1/keys-backup", NULL);
    assert_true(asprintf(&text, "{\"backup\": %s%s}", answer_body(f), more) > 0);
    return text;
}

static void forget_keys(struct fixture *f)
{
    assert_int_equal(db_script(f->db,
                               "DELETE FROM guest_key_grant; DELETE FROM guest_key_version;"
                               " DELETE FROM guest_key; UPDATE guest_key_generation SET number = 0, mac = ''",
                               NULL),
                     0);
}

static void keys_are_backed_up_and_restored_and_the_log_has_both(void **state)
{
    struct fixture *f = *state;
    static const struct view given = {(const uint8_t *)"twenty bytes of key.", 20};
    uint8_t value[512];
    expect(f, 201, "POST", "/v1/keys/disk", import_of(f, "disk", given));
    expect(f, 200, "PUT", "/v1/keys/disk/grants/web", "{}");
    char *text = backup_of(f, "");
    CLEAN_JSON *document = answer_json(f);
    const struct log_entry made = entry_of(f, 5);
    assert_string_equal(made.action, "backed up");
    assert_string_equal(made.object, "keys");
    assert_string_equal(made.object_name, json_string_value(json_object_get(document, "id")));
    assert_string_equal(made.actor, "keys");
    assert_string_equal(made.detail, "1 keys");
    assert_int_equal(made.object_version, 2);
    assert_string_equal(json_string_value(json_object_get(document, "service")), FIXTURE_NAME);
    assert_null(json_object_get(document, "root"));
    expect(f, 422, "POST", "/v1/keys-restore", text);
    forget_keys(f);
    expect(f, 200, "POST", "/v1/keys-restore", text);
    assert_non_null(strstr(f->answer, "\"generation\":3,\"brought\":1,\"stay_destroyed\":[]"));
    const struct log_entry entry = entry_of(f, 6);
    assert_string_equal(entry.action, "restored");
    assert_string_equal(entry.object_name, made.object_name);
    assert_memory_equal(&entry.digest, &made.digest, sizeof entry.digest);
    assert_string_equal(entry.detail, "of 2027-01-15T08:00:00Z; 1 keys, disabled; 0 stay destroyed");
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"state\":\"disabled\""));
    assert_non_null(strstr(f->answer, "\"policy\":\"web\",\"version\":1,"));
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"active\"}");
    assert_int_equal(export_of(f, HPKE_X25519, "disk", 1, value), 20);
    assert_memory_equal(value, given.data, 20);
    free(text);
}

static void a_destroyed_key_is_revived_by_an_explicit_word_and_the_log_says_so(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    char *both = backup_of(f, ", \"revive\": \"disk\", \"as_they_were\": true"),
         *text = backup_of(f, ", \"revive\": \"disk\"");
    expect(f, 200, "PUT", "/v1/keys/disk/state", "{\"state\": \"destroyed\"}");
    expect(f, 422, "POST", "/v1/keys-restore", both);
    detail_is(f, "the body: a key that is revived is disabled, not as it was");
    expect(f, 200, "POST", "/v1/keys-restore", text);
    assert_string_equal(entry_of(f, 7).detail, "of 2027-01-15T08:00:00Z; revived disk, disabled");
    expect(f, 200, "GET", "/v1/keys/disk", NULL);
    assert_non_null(strstr(f->answer, "\"state\":\"disabled\""));
    free(text);
    free(both);
}

static void a_restore_that_cannot_be_logged_is_not_made(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, "POST", "/v1/keys/disk", "{}");
    char *text = backup_of(f, "");
    forget_keys(f);
    assert_int_equal(db_script(f->db, "ALTER TABLE log_head RENAME TO hidden", NULL), 0);
    expect(f, 500, "POST", "/v1/keys-restore", text);
    expect(f, 500, "POST", "/v1/keys-backup", NULL); /* nor is one handed out that nobody knows of */
    assert_null(strstr(f->answer, "sealed"));
    assert_int_equal(db_script(f->db, "ALTER TABLE hidden RENAME TO log_head", NULL), 0);
    expect(f, 404, "GET", "/v1/keys/disk", NULL);
    expect(f, 200, "POST", "/v1/keys-restore", text);
    free(text);
}

#define T(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_key_is_made_shown_and_listed),
        T(wishes_that_cannot_be_are_refused),
        T(its_life_goes_by_the_table_of_states),
        T(a_grant_stays_with_the_version_it_was_given_to),
        T(who_did_what_to_keys_is_in_the_log),
        T(a_change_that_cannot_be_logged_is_not_made_to_a_key),
        T(what_is_brought_in_sealed_goes_out_sealed),
        T(an_import_is_for_one_name),
        T(exports_that_cannot_be_are_refused),
        T(nobody_owns_keys_and_says_what_a_good_guest_is),
        T(approvals_are_for_guests_that_ask),
        T(keys_are_backed_up_and_restored_and_the_log_has_both),
        T(a_destroyed_key_is_revived_by_an_explicit_word_and_the_log_says_so),
        T(a_restore_that_cannot_be_logged_is_not_made),
        T(a_service_without_a_root_has_no_keys),
        T(a_key_that_was_changed_beside_the_service_is_not_changed_further),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
