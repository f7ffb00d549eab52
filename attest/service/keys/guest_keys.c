/* GET /v1/keys: which keys there are, what each is released by, and which guests hold it. */
#include <stdio.h>

#include "attest/service/handlers.h"
#include "attest/service/keys/guest_keys.h"
#include "keys/release.h"
#include "keys/version.h"
#include "vmm/base/json.h"

#define HOLDERS_MAX 1000

static int append_to(json_t *list, json_t *object, struct cofre_err *err)
{
    return json_array_append_new(list, object) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static json_t *hex(struct view bytes)
{
    char text[2 * 64 + 1];
    hex_encode(text, bytes.data, bytes.len <= 64 ? bytes.len : 64);
    return json_string(text);
}

static json_t *describe(const struct guest_key *k)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:s}", "name", k->name, "state",
                     guest_key_state_names[k->state], "version", (json_int_t)k->current, "quorum",
                     (json_int_t)k->quorum, "per_guest", (json_int_t)k->per_guest, "per_hour",
                     (json_int_t)k->per_hour, "made", json_time(k->made), "made_by", k->maker);
}

static int append_key(void *context, const struct guest_key *k, struct cofre_err *err)
{
    return append_to(context, describe(k), err);
}

void guest_keys_list(struct call *call)
{
    struct cofre_err err;
    CLEAN_JSON *all = json_array();
    if (!call_keyring(call))
        return;
    int rc = guest_key_list(call->db, append_key, all, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:O}", "keys", all));
}

/* One key, with what belongs to it. */

struct showing {
    const char *name;
    json_t *key, *versions, *grants, *holders, *requests;
};

static int append_version(void *context, const struct key_version *v, struct cofre_err *err)
{
    return append_to(
        context, json_pack("{s:I, s:o}", "version", (json_int_t)v->version, "made", json_time(v->made)), err);
}

static int append_holder(void *context, const struct key_release *r, struct cofre_err *err)
{
    return append_to(context,
                     json_pack("{s:o, s:I, s:o, s:I}", "guest", hex(r->guest), "version",
                               (json_int_t)r->version, "last", json_time(r->at), "releases",
                               (json_int_t)r->count),
                     err);
}

static int append_request(void *context, const struct key_release *r, struct cofre_err *err)
{
    return append_to(
        context,
        json_pack("{s:o, s:s, s:o}", "guest", hex(r->guest), "result", r->result, "at", json_time(r->at)),
        err);
}

static int put_grants(json_t *list, const struct guest_key *k, struct cofre_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < k->grants && rc == 0; i++)
        rc = append_to(list,
                       json_pack("{s:s, s:I, s:o, s:I}", "policy", k->grant[i].policy, "version",
                                 (json_int_t)k->grant[i].version, "policy_sha256",
                                 hex((struct view){k->grant[i].digest, sizeof k->grant[i].digest}), "offline",
                                 (json_int_t)k->grant[i].offline),
                       err);
    return rc;
}

static int show(struct db *db, void *context, struct cofre_err *err)
{
    struct showing *s = context;
    struct guest_key key;
    json_t **const lists[] = {&s->versions, &s->grants, &s->holders, &s->requests};
    json_decref(s->key);
    s->key = NULL;
    int rc = guest_key_find(&key, db, s->name, err);
    if (rc < 0)
        return rc;
    s->key = describe(&key);
    static const char *const names[] = {"versions", "grants", "holders", "requests"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        *lists[i] = json_array();
        if (!s->key || json_object_set_new(s->key, names[i], *lists[i]) < 0)
            return cofre_fail(err, COFRE_FAILED, "out of memory");
    }
    rc = put_grants(s->grants, &key, err);
    if (rc == 0)
        rc = key_versions_list(db, s->name, append_version, s->versions, err);
    if (rc >= 0)
        rc = key_release_holders(db, s->name, HOLDERS_MAX, append_holder, s->holders, err);
    return rc < 0 ? rc : key_request_list(db, s->name, append_request, s->requests, err);
}

void guest_key_show(struct call *call)
{
    struct cofre_err err;
    struct showing s = {.name = call->part[0]};
    if (!call_keyring(call))
        return;
    int rc = db_atomically(call->db, show, &s, &err);
    if (rc < 0) {
        json_decref(s.key);
        call_fail(call, rc, &err);
    } else
        request_answer_json(call->request, 200, s.key);
}
