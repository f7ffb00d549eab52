/*
 * POST /v1/keys/NAME/release {"evidence": {...}, "policy": NAME, "challenge": HEX, "recipient": HEX, "kem": "P-256", "version": N}:
 * a key to a guest. The evidence is bound to this connection, the challenge, the recipient's key and the key's name; it is judged
 * here and now, by the version of the policy that the key is granted to. Challenge, verdict, release and log entries are kept in
 * one transaction, and the answer, which has the key sealed to the recipient, comes after it.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/service/appraisals.h"
#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/keys/guest_keys.h"
#include "keys/message.h"
#include "keys/release.h"
#include "keys/version.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define LOG_ROOM        "trust"
#define HOUR            3600
#define REQUEST_SECONDS 86400 /* for which a guest's asking is remembered */

/* What a release is, from the request to its answer; the ledger's thread has it last. */
struct release {
    struct job *job; /* until it is given to the ledger */
    const uint8_t *root;
    struct guest_key key; /* as it was when the evidence was judged */
    int64_t version;
    enum hpke_kem kem;
    struct bytes recipient;
    uint8_t guest[KEY_GUEST_SIZE];
    char policy[GUEST_KEY_NAME_MAX + 1], actor[ACCESS_NAME_MAX + 1];
    int64_t policy_version;
    int64_t offline; /* seconds for which the guest may keep the key */
    bool passed;
    char why[320]; /* the check that did not pass first, and why, where one did not */
    struct hpke_public enc;
    uint8_t sealed[KEY_VALUE_MAX + HPKE_OVERHEAD];
    size_t len;
    /* Of the transaction. */
    int64_t at;
    const char *code; /* NULL: it is released */
    char refusal[320];
};

static void release_free(void *context)
{
    struct release *r = context;
    bytes_free(&r->recipient);
    free(r);
}

/* What was asked */

static int read_recipient(struct release *r, const char *kem, const char *recipient, struct cofre_err *err)
{
    for (int i = 0; i < HPKE_KEMS; i++)
        if (strcmp(kem, hpke_kem_names[i]) == 0) {
            r->kem = (enum hpke_kem)i;
            int rc = hex_decode_some(&r->recipient, HPKE_PUBLIC_MAX, recipient, err);
            if (rc == 0)
                rc = hpke_public_check(r->kem, bytes_view(&r->recipient), err);
            return rc < 0 ? cofre_within(err, -COFRE_USAGE, "recipient") : 0;
        }
    return cofre_fail(err, COFRE_USAGE, "kem: it is to be \"P-256\" or \"X25519\"");
}

static int bind_release(struct release *r, struct cofre_err *err)
{
    struct job *job = r->job;
    struct channel_binding b;
    int rc = job_bind(job, &b, err);
    return rc < 0 ? rc
                  : channel_release_report_data(job->report_data, &b, bytes_view(&r->recipient),
                                                key_message_text(r->key.name), err);
}

/* The key, and the version of the policy that it is granted to, whose text is what it was then. */
static int find_key(struct release *r, struct cofre_err *err)
{
    struct job *job = r->job;
    enum guest_key_state state;
    int rc = guest_key_find(&r->key, job->call->db, job->call->part[0], err);
    if (rc < 0)
        return rc;
    state = r->key.state;
    rc = guest_key_state_after(&state, KEY_EVENT_RELEASE, r->key.name, err);
    const struct key_grant *grant = guest_key_grant_to(&r->key, job->policy_name);
    if (rc == 0 && !grant)
        rc = cofre_fail(err, COFRE_USAGE, "the key \"%s\" is not granted to the policy \"%.64s\"",
                        r->key.name, job->policy_name);
    if (rc == 0)
        r->offline = grant->offline;
    if (rc == 0)
        rc = job_find_policy(job, grant->version, err);
    if (rc == 0 && memcmp(job->policy_digest, grant->digest, sizeof grant->digest) != 0)
        rc = cofre_fail(err, COFRE_USAGE,
                        "version %lld of the policy \"%s\" is not what the key was granted to",
                        (long long)grant->version, grant->policy);
    return rc;
}

static int read_release(struct release *r, json_t *body, struct cofre_err *err)
{
    struct job *job = r->job;
    json_error_t why;
    json_t *evidence;
    json_int_t version = 0;
    const char *challenge, *recipient, *kem;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:o, s:s, s:s, s:s, s:s, s?I}", "evidence", &evidence,
                       "policy", &job->policy_name, "challenge", &challenge, "recipient", &recipient, "kem",
                       &kem, "version", &version) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    int rc = job_read_nonce(job, challenge, NULL, err);
    if (rc == 0)
        rc = read_recipient(r, kem, recipient, err);
    if (rc == 0)
        rc = find_key(r, err);
    if (rc == 0)
        rc = bind_release(r, err);
    if (rc == 0)
        rc = job_read_evidence(job, evidence, err);
    r->version = version ? version : r->key.current;
    return rc < 0 ? rc : job_find_references(job, err);
}

/* With the verdict */

/* Which machine, and what was booted on it: claims that a guest cannot choose, and that stay what they are when it starts again. */
static int name_guest(struct release *r, const struct verdict *v, struct cofre_err *err)
{
    static const char *const claims[] = {"measurement",   "host_data",  "chip_id", "csp_id",
                                         "id_key_digest", "rtmr0",      "rtmr1",   "rtmr2",
                                         "rtmr3",         "mrconfigid", "mrowner", "mrownerconfig"};
    static const char *const of_platform[] = {"ppid", "platform_instance"};
    json_t *platform = json_object_get(v->claims, "platform"), *chosen = json_pack("{s:s}", "tee", v->tee);
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        json_object_set(chosen, claims[i], json_object_get(v->claims, claims[i]));
    for (size_t i = 0; i < sizeof of_platform / sizeof *of_platform; i++)
        json_object_set(chosen, of_platform[i], json_object_get(platform, of_platform[i]));
    char *text = json_dumps(chosen, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(chosen);
    const bool good = text && EVP_Digest(text, strlen(text), r->guest, NULL, EVP_sha256(), NULL) == 1;
    free(text);
    return good ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static void note_reason(struct release *r, const struct verdict *v)
{
    for (int wanted = CHECK_FAILED; wanted <= CHECK_UNJUDGED; wanted++)
        for (size_t i = 0; i < v->count; i++)
            if ((int)v->check[i].outcome == wanted && !r->why[0])
                (void)snprintf(r->why, sizeof r->why, "%s: %s", v->check[i].id, v->check[i].why);
}

/* Sealed for this recipient, of this key and version, on this result: none of them can be exchanged for another. */
static int seal(struct release *r, const char *result, struct cofre_err *err)
{
    uint8_t value[KEY_VALUE_MAX];
    char aad[KEY_RELEASE_AAD_MAX];
    const struct hpke_about about = key_message_released(aad, r->kem, r->key.name, r->version, result);
    int len = key_version_open(value, r->job->call->db, r->root, &r->key, r->version, err);
    if (len < 0)
        return len;
    r->len = (size_t)len + HPKE_OVERHEAD;
    int rc = hpke_seal(&r->enc, r->sealed, &about, bytes_view(&r->recipient),
                       (struct view){value, (size_t)len}, err);
    OPENSSL_cleanse(value, sizeof value);
    return rc == -COFRE_MALFORMED ? cofre_within(err, -COFRE_USAGE, "recipient") : rc;
}

static int look(struct job *job, const struct verdict *v, struct cofre_err *err)
{
    struct release *r = job->context;
    r->passed = verdict_outcome(v) == CHECK_PASSED;
    r->policy_version = job->policy_version;
    (void)snprintf(r->policy, sizeof r->policy, "%s", job->policy_name);
    (void)snprintf(r->actor, sizeof r->actor, "%s", job->call->caller.name);
    if (!r->passed) {
        note_reason(r, v);
        return 0;
    }
    return name_guest(r, v, err);
}

/* In the transaction */

static int refuse(struct release *r, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct release *r, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->refusal, sizeof r->refusal, format, args);
    va_end(args);
    r->code = code;
    return 0;
}

/* What was judged by is what is: a grant that was revoked meanwhile releases nothing. */
static int check_terms(struct release *r, struct db *db, struct cofre_err *err)
{
    struct guest_key now;
    uint8_t before[KEY_TERMS_SIZE], after[KEY_TERMS_SIZE];
    int rc = guest_key_find(&now, db, r->key.name, err);
    if (rc == 0)
        rc = guest_key_terms(before, &r->key, err);
    if (rc == 0)
        rc = guest_key_terms(after, &now, err);
    if (rc < 0)
        return rc == -COFRE_NEGATIVE ? cofre_fail(err, COFRE_FAILED, "a key went") : rc;
    return memcmp(before, after, sizeof before) == 0
               ? 0
               : refuse(r, "changed", "the key \"%s\" was changed meanwhile: ask again", r->key.name);
}

/* As far as it decides. As many as can be asked for is no limit, which costs no counting. */
static int64_t count_to(struct release *r, struct db *db, struct view guest, int64_t most, int64_t now,
                        struct cofre_err *err)
{
    return most == GUEST_KEY_RATE_MAX ? 0 : key_release_count(db, r->key.name, guest, now - HOUR, most, err);
}

static int check_rates(struct release *r, struct db *db, int64_t now, struct cofre_err *err)
{
    int64_t of_guest = count_to(r, db, (struct view){r->guest, sizeof r->guest}, r->key.per_guest, now, err);
    int64_t of_key = of_guest < 0 ? of_guest : count_to(r, db, (struct view){0}, r->key.per_hour, now, err);
    if (of_key < 0)
        return (int)of_key;
    if (of_guest >= r->key.per_guest)
        return refuse(r, "rate",
                      "this guest had the key \"%s\" %lld times within an hour, which is as often as it may",
                      r->key.name, (long long)of_guest);
    if (of_key >= r->key.per_hour)
        return refuse(r, "rate",
                      "the key \"%s\" was released %lld times within an hour, which is as often as it may be",
                      r->key.name, (long long)of_key);
    return 0;
}

static int check_quorum(struct release *r, const struct key_release *row, struct db *db,
                        struct cofre_err *err)
{
    if (r->key.quorum == 0)
        return 0;
    int64_t approvals = key_approval_count(db, r->root, row->name, row->guest, row->at, err);
    if (approvals < 0)
        return (int)approvals;
    if (approvals >= r->key.quorum)
        return key_approval_use(db, row->name, row->guest, err);
    (void)refuse(r, "quorum", "the key \"%s\" needs %lld approvals for this guest, and has %lld", row->name,
                 (long long)r->key.quorum, (long long)approvals);
    return key_request_keep(db, row, row->at - REQUEST_SECONDS, err);
}

static int write_down(const struct release *r, const struct key_release *row, struct db *db,
                      struct db_log *log, struct cofre_err *err)
{
    char guest[2 * KEY_GUEST_SIZE + 1], detail[LOG_DETAIL_MAX + 1];
    struct log_entry entry;
    int64_t number;
    hex_encode(guest, r->guest, sizeof r->guest);
    (void)snprintf(detail, sizeof detail, "policy %s %lld; result %s; guest %s", row->policy,
                   (long long)row->policy_version, row->result, guest);
    const struct change change = {.action = "released",
                                  .object = "key",
                                  .name = row->name,
                                  .version = row->version,
                                  .actor = r->actor,
                                  .digest = row->guest,
                                  .detail = detail};
    int rc = key_release_keep(db, row, err);
    if (rc == 0)
        rc = change_entry(&entry, &change, row->at, err);
    return rc < 0 ? rc : db_log_write(log, &entry, &number, err);
}

static int keep(struct record *record, struct db *db, struct db_log *log, int64_t now, struct cofre_err *err)
{
    struct release *r = record->context;
    const struct key_release row = {.result = record->id,
                                    .name = r->key.name,
                                    .version = r->version,
                                    .guest = {r->guest, sizeof r->guest},
                                    .policy = r->policy,
                                    .policy_version = r->policy_version,
                                    .at = now};
    r->code = NULL;
    r->at = now;
    if (!r->passed)
        return refuse(r, "verdict", "the policy \"%s\" is not satisfied: %s", r->policy, r->why);
    int rc = check_terms(r, db, err);
    if (rc == 0 && !r->code)
        rc = check_rates(r, db, now, err);
    if (rc == 0 && !r->code)
        rc = check_quorum(r, &row, db, err);
    return rc < 0 || r->code ? rc : write_down(r, &row, db, log, err);
}

/* Afterwards */

static void answer(struct record *record)
{
    const struct release *r = record->context;
    char enc[2 * HPKE_PUBLIC_MAX + 1], sealed[2 * sizeof r->sealed + 1];
    if (r->code) {
        log_warn("key %s: not released to %s, result %s: %s", r->key.name, r->actor, record->id, r->refusal);
        if (strcmp(r->code, "rate") == 0 || strcmp(r->code, "quorum") == 0)
            request_add_header(record->request, "Retry-After", "60");
        request_problem(record->request, strcmp(r->code, "rate") == 0 ? 429 : 403, r->code, "%s", r->refusal);
        return;
    }
    log_info("key %s: version %lld released to %s, result %s", r->key.name, (long long)r->version, r->actor,
             record->id);
    hex_encode(enc, r->enc.data, r->enc.len);
    hex_encode(sealed, r->sealed, r->len);
    json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:s}", "name", r->key.name, "version",
                               (json_int_t)r->version, "result", record->id, "enc", enc, "sealed", sealed);
    if (object && r->offline)
        json_object_set_new(object, "offline_until", json_time(r->at + r->offline));
    request_answer_json(record->request, 200, object);
}

static const struct record_more more = {keep, answer, release_free};

void release_create(struct call *call)
{
    struct cofre_err err;
    CLEAN_JOB job = {.call = call, .look = look};
    const struct keyring *keyring = call_keyring(call);
    CLEAN_JSON *body = keyring ? call_body(call) : NULL;
    if (!body)
        return;
    struct record *record = calloc(1, sizeof *record);
    struct release *r = calloc(1, sizeof *r);
    int rc = record && r ? 0 : cofre_fail(&err, COFRE_FAILED, "out of memory");
    if (rc == 0) {
        record->more = &more;
        record->context = job.context = r;
        r->job = &job;
        r->root = keyring_root(keyring);
        rc = read_release(r, body, &err);
    } else
        free(r);
    if (rc == 0)
        rc = job_judge(&job, record, &err);
    if (rc == 0 && r->passed)
        rc = seal(r, record->id, &err);
    if (rc < 0) {
        record_free(record);
        if (rc == -COFRE_LACKING && job.again)
            job_refuse_for_now(call, job.again, &err);
        else
            call_fail(call, rc, &err);
        return;
    }
    r->job = NULL;
    record->request = call->request;
    ledger_give(call->trust->ledger, record);
}
