/* What owners of keys, and those who approve releases, do to them: POST, PUT and DELETE of /v1/keys. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/keys/guest_keys.h"
#include "attest/store/policy.h"
#include "keys/release.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/number.h"

#define LOG_ROOM         "trust"
#define APPROVAL_SECONDS 3600 /* for which one is good */

static int log_deed(struct db *db, const struct key_deed *deed, struct cofre_err *err)
{
    struct guest_key key;
    uint8_t terms[KEY_TERMS_SIZE];
    int rc = guest_key_find(&key, db, deed->call->part[0], err);
    if (rc == 0)
        rc = guest_key_terms(terms, &key, err);
    if (rc < 0)
        return rc;
    const struct change change = {.action = deed->action,
                                  .object = "key",
                                  .name = key.name,
                                  .version = deed->version,
                                  .actor = deed->call->caller.name,
                                  .digest = {terms, sizeof terms},
                                  .detail = deed->detail};
    return change_log(deed->call->trust, db, &change, err);
}

static int do_and_log(struct db *db, void *context, struct cofre_err *err)
{
    struct key_deed *deed = context;
    const struct key_change change = {db, keyring_root(deed->call->trust->keyring), deed->call->now};
    int rc = deed->work(&change, deed, err);
    return rc < 0 ? rc : log_deed(db, deed, err);
}

int key_deed_do(struct key_deed *deed, struct cofre_err *err)
{
    struct key_counter *counter = keyring_counter(deed->call->trust->keyring);
    int rc = key_counter_begin(counter, deed->call->db, err);
    if (rc < 0)
        return rc;
    rc = db_atomically(deed->call->db, do_and_log, deed, err);
    key_counter_end(counter, deed->call->db);
    if (rc == 0)
        log_info("key %s: %s by %s", deed->call->part[0], deed->action, deed->call->caller.name);
    return rc;
}

/* Answers 200 with name and version (0: none) of what was done, or the problem. */
static void answer(struct key_deed *deed, int status, int rc, const struct cofre_err *err)
{
    if (rc < 0) {
        call_fail(deed->call, rc, err);
        return;
    }
    json_t *object = json_pack("{s:s}", "name", deed->call->part[0]);
    if (object && deed->version)
        json_object_set_new(object, "version", json_integer(deed->version));
    request_answer_json(deed->call->request, status, object);
}

/* Making, and new versions: both with a value that is brought, or of random bytes. */

struct making {
    struct guest_key wish;
    int64_t size;
    uint8_t value[KEY_VALUE_MAX];
    size_t len;
};

static int create(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    const struct making *m = deed->context;
    deed->version = 1;
    return key_create(c, &m->wish, (struct view){m->value, m->len}, (size_t)m->size, err);
}

static int rotate(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    const struct making *m = deed->context;
    int version = key_rotate(c, deed->call->part[0], (struct view){m->value, m->len}, err);
    deed->version = version;
    return version < 0 ? version : 0;
}

static int read_making(struct making *m, struct call *call, json_t *body, struct cofre_err *err)
{
    json_error_t why;
    json_t *import = NULL;
    json_int_t size = 0, quorum = 0, per_guest = 0, per_hour = 0;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s?o, s?I, s?I, s?I, s?I}", "import", &import, "size", &size,
                       "quorum", &quorum, "per_guest", &per_guest, "per_hour", &per_hour) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    if (size && (import || size < KEY_RANDOM_MIN || size > KEY_VALUE_MAX))
        return cofre_fail(err, COFRE_USAGE,
                          "size: it is to be a number from %d to %d, and not there with import",
                          KEY_RANDOM_MIN, KEY_VALUE_MAX);
    m->size = size;
    m->wish.quorum = quorum;
    m->wish.per_guest = per_guest;
    m->wish.per_hour = per_hour;
    (void)snprintf(m->wish.name, sizeof m->wish.name, "%s", call->part[0]);
    (void)snprintf(m->wish.maker, sizeof m->wish.maker, "%s", call->caller.name);
    int rc = access_name_check(call->part[0], "the key's name", err);
    if (rc == 0 && import && (rc = guest_key_read_import(m->value, call, call->part[0], import, err)) > 0) {
        m->len = (size_t)rc;
        rc = 0;
    }
    return rc;
}

void guest_key_make(struct call *call)
{
    struct cofre_err err;
    struct making m = {0};
    struct key_deed deed = {.call = call, .action = "created", .work = create, .context = &m};
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    int rc = read_making(&m, call, body, &err);
    (void)snprintf(deed.detail, sizeof deed.detail, "%s; quorum %lld", m.len ? "imported" : "made here",
                   (long long)m.wish.quorum);
    if (rc == 0)
        rc = key_deed_do(&deed, &err);
    OPENSSL_cleanse(&m, sizeof m);
    answer(&deed, 201, rc, &err);
}

void guest_key_add_version(struct call *call)
{
    struct cofre_err err;
    struct making m = {0};
    struct key_deed deed = {.call = call, .action = "rotated", .work = rotate, .context = &m};
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    int rc = read_making(&m, call, body, &err);
    if (rc == 0 && (m.size || m.wish.quorum || m.wish.per_guest || m.wish.per_hour))
        rc = cofre_fail(&err, COFRE_USAGE, "the body: a new version has an import, or nothing");
    if (rc == 0)
        rc = key_deed_do(&deed, &err);
    OPENSSL_cleanse(&m, sizeof m);
    answer(&deed, 201, rc, &err);
}

static int retire(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    return key_retire(c, deed->call->part[0], deed->version, err);
}

void guest_key_retire_version(struct call *call)
{
    struct cofre_err err;
    uint64_t version = 0;
    if (!call_keyring(call))
        return;
    struct key_deed deed = {.call = call, .action = "retired", .work = retire};
    int rc = number_parse(&version, call->part[1], "version", 1, INT32_MAX, &err);
    deed.version = (int64_t)version;
    if (rc == 0)
        rc = key_deed_do(&deed, &err);
    if (rc == 0)
        rc = db_forget(call->db, &err);
    answer(&deed, 200, rc, &err);
}

/* States */

static int disable(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    return key_disable(c, deed->call->part[0], err);
}

static int enable(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    return key_enable(c, deed->call->part[0], err);
}

static int destroy(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    return key_destroy(c, deed->call->part[0], err);
}

static const struct {
    enum guest_key_state to;
    const char *action;
    int (*work)(const struct key_change *c, struct key_deed *deed, struct cofre_err *err);
} moves[] = {{GUEST_KEY_DISABLED, "disabled", disable},
             {GUEST_KEY_ACTIVE, "enabled", enable},
             {GUEST_KEY_DESTROYED, "destroyed", destroy}};

/* Destruction is answered when the files are clear of it; who gets 503 asks again, and it is done again. */
void guest_key_set_state(struct call *call)
{
    struct cofre_err err;
    struct key_deed deed = {.call = call};
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    const char *to = json_string_value(json_object_get(body, "state"));
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (to && json_object_size(body) == 1 && strcmp(to, guest_key_state_names[moves[i].to]) == 0) {
            deed.action = moves[i].action;
            deed.work = moves[i].work;
        }
    int rc = deed.work
                 ? key_deed_do(&deed, &err)
                 : cofre_fail(&err, COFRE_USAGE,
                              "the body is to be {\"state\": \"active\", \"disabled\" or \"destroyed\"}");
    if (rc == 0 && deed.work == destroy)
        rc = db_forget(call->db, &err);
    answer(&deed, 200, rc, &err);
}

/* Grants: to a policy as it is now, so that who changes the policy afterwards changes nothing for the key. */

/* What is asked for: a version (0: the active one), and how long a guest may keep the key. */
struct grant_wish {
    int64_t version, offline;
};

static int take_policy(void *context, const struct stored_policy *p, struct cofre_err *err)
{
    struct key_grant *grant = context;
    grant->version = p->version;
    return EVP_Digest(p->document, strlen(p->document), grant->digest, NULL, EVP_sha256(), NULL) == 1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
}

static int grant(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    const struct grant_wish *wish = deed->context;
    struct key_grant grant = {.offline = wish->offline};
    (void)snprintf(grant.policy, sizeof grant.policy, "%s", deed->call->part[1]);
    int rc = stored_policy_find(c->db, grant.policy, wish->version, take_policy, &grant, err);
    (void)snprintf(deed->detail, sizeof deed->detail, "policy %s %lld", grant.policy,
                   (long long)grant.version);
    if (grant.offline)
        (void)snprintf(deed->detail, sizeof deed->detail, "policy %s %lld; offline %lld s", grant.policy,
                       (long long)grant.version, (long long)grant.offline);
    return rc < 0 ? rc : key_give_grant(c, deed->call->part[0], &grant, err);
}

void guest_key_grant(struct call *call)
{
    struct cofre_err err;
    json_error_t why;
    json_int_t version = 0, offline = 0;
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    int rc =
        json_unpack_ex(body, &why, JSON_STRICT, "{s?I, s?I}", "version", &version, "offline", &offline) ==
                    0 &&
                version >= 0 && offline >= 0 && offline <= GUEST_KEY_OFFLINE_MAX
            ? 0
            : cofre_fail(&err, COFRE_USAGE,
                         "the body is to have nothing but \"version\", and \"offline\", seconds up to %d",
                         GUEST_KEY_OFFLINE_MAX);
    struct grant_wish wish = {version, offline};
    struct key_deed deed = {.call = call, .action = "granted", .work = grant, .context = &wish};
    if (rc == 0)
        rc = key_deed_do(&deed, &err);
    answer(&deed, 200, rc, &err);
}

static int revoke(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    (void)snprintf(deed->detail, sizeof deed->detail, "policy %s", deed->call->part[1]);
    return key_revoke(c, deed->call->part[0], deed->call->part[1], err);
}

void guest_key_revoke(struct call *call)
{
    struct cofre_err err;
    if (!call_keyring(call))
        return;
    struct key_deed deed = {.call = call, .action = "revoked", .work = revoke};
    int rc = key_deed_do(&deed, &err);
    answer(&deed, 200, rc, &err);
}

/* Approvals */

static int approve(const struct key_change *c, struct key_deed *deed, struct cofre_err *err)
{
    const char *hex = deed->context;
    uint8_t guest[KEY_GUEST_SIZE];
    if (!hex_decode(guest, sizeof guest, hex))
        return cofre_fail(err, COFRE_USAGE, "guest: it is to be %d hexadecimal digits", 2 * KEY_GUEST_SIZE);
    const struct key_approval approval = {
        deed->call->part[0], {guest, sizeof guest}, deed->call->caller.name, c->now + APPROVAL_SECONDS};
    (void)snprintf(deed->detail, sizeof deed->detail, "guest %.64s", hex);
    return key_approval_keep(c->db, c->root, &approval, err);
}

void guest_key_approve(struct call *call)
{
    struct cofre_err err;
    json_error_t why;
    char *guest = NULL;
    CLEAN_JSON *body = call_keyring(call) ? call_body(call) : NULL;
    if (!body)
        return;
    int rc = json_unpack_ex(body, &why, JSON_STRICT, "{s:s}", "guest", &guest) == 0
                 ? 0
                 : cofre_fail(&err, COFRE_USAGE, "the body: %s", why.text);
    struct key_deed deed = {.call = call, .action = "approved", .work = approve, .context = guest};
    if (rc == 0)
        rc = key_deed_do(&deed, &err);
    answer(&deed, 200, rc, &err);
}
