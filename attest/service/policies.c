/* /v1/policies: documents as `cofre verify --policy` takes them, as versions that never change; one of a name is active. */
#include <stdlib.h>

#include "attest/policy.h"
#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/store/policy.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM "trust"

static json_t *describe(const struct stored_policy *p)
{
    char made[TIME_TEXT_SIZE];
    time_format(made, p->made);
    return json_pack("{s:s, s:I, s:s, s:s, s:b}", "name", p->name, "version", (json_int_t)p->version, "made",
                     made, "made_by", p->made_by, "active", (int)p->active);
}

static int append(void *context, const struct stored_policy *p, struct cofre_err *err)
{
    return json_array_append_new(context, describe(p)) == 0 ? 0
                                                            : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static void list(struct call *call, const char *name)
{
    struct cofre_err err;
    CLEAN_JSON *all = json_array();
    int rc = stored_policy_list(call->db, name, append, all, &err);
    if (rc == 0 && name)
        rc = cofre_fail(&err, COFRE_NEGATIVE, "there is no policy \"%s\"", name);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:O}", "policies", all));
}

void policy_list_all(struct call *call)
{
    list(call, NULL);
}

void policy_list_versions(struct call *call)
{
    list(call, call->part[0]);
}

static int show(void *context, const struct stored_policy *p, struct cofre_err *err)
{
    json_t **out = context;
    json_t *document = json_loads(p->document, JSON_REJECT_DUPLICATES, NULL);
    *out = describe(p);
    if (!document || !*out || json_object_set_new(*out, "policy", document) < 0)
        return cofre_fail(err, COFRE_FAILED, "the policy \"%s\" cannot be read back", p->name);
    return 0;
}

/* "active", or a number. */
static int version_of(const char *text, int64_t *out, struct cofre_err *err)
{
    uint64_t number = 0;
    if (strcmp(text, "active") == 0) {
        *out = 0;
        return 0;
    }
    if (number_parse(&number, text, "version", 1, INT32_MAX, NULL) < 0)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "\"%s\" is no version: it is a number from 1 on, or \"active\"", text);
    *out = (int64_t)number;
    return 0;
}

void policy_show(struct call *call)
{
    struct cofre_err err;
    int64_t version = 0;
    json_t *found = NULL;
    int rc = version_of(call->part[1], &version, &err);
    if (rc == 0)
        rc = stored_policy_find(call->db, call->part[0], version, show, &found, &err);
    if (rc < 0) {
        json_decref(found);
        call_fail(call, rc, &err);
    } else
        request_answer_json(call->request, 200, found);
}

struct addition {
    struct call *call;
    const char *document;
};

static int add(struct db *db, void *context, struct cofre_err *err)
{
    const struct addition *a = context;
    const char *by = a->call->caller.name;
    int rc = stored_policy_add(db, a->call->part[0], a->document, a->call->now, by, err);
    const struct change change = {.action = "added",
                                  .object = "policy",
                                  .name = a->call->part[0],
                                  .version = rc,
                                  .actor = by,
                                  .content = {(const uint8_t *)a->document, strlen(a->document)}};
    int logged = rc < 0 ? rc : change_log(a->call->trust, db, &change, err);
    return logged < 0 ? logged : rc;
}

/* The document is kept as it came, but for white space, after it was read as the verifier will read it. */
void policy_add(struct call *call)
{
    struct cofre_err err;
    CLEAN_POLICY policy = {0};
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    char *document = json_dumps(body, JSON_COMPACT);
    struct addition addition = {call, document};
    int rc = access_name_check(call->part[0], "the policy's name", &err);
    if (rc == 0)
        rc = document ? policy_parse(&policy, request_body(call->request), &err)
                      : cofre_fail(&err, COFRE_FAILED, "out of memory");
    if (rc == 0)
        rc = db_atomically(call->db, add, &addition, &err);
    free(document);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("policy %s: version %d added by %s", call->part[0], rc, call->caller.name);
    request_answer_json(call->request, 201, json_pack("{s:s, s:i}", "name", call->part[0], "version", rc));
}

struct activation {
    struct call *call;
    int64_t version;
    struct db *db;
};

static int log_activation(void *context, const struct stored_policy *p, struct cofre_err *err)
{
    const struct activation *a = context;
    const struct change change = {.action = "activated",
                                  .object = "policy",
                                  .name = p->name,
                                  .version = p->version,
                                  .actor = a->call->caller.name,
                                  .content = {(const uint8_t *)p->document, strlen(p->document)}};
    return change_log(a->call->trust, a->db, &change, err);
}

static int activate(struct db *db, void *context, struct cofre_err *err)
{
    struct activation *a = context;
    const char *name = a->call->part[0];
    a->db = db;
    int rc = stored_policy_activate(db, name, a->version, a->call->now, a->call->caller.name, err);
    return rc < 0 ? rc : stored_policy_find(db, name, a->version, log_activation, a, err);
}

void policy_activate(struct call *call)
{
    struct cofre_err err;
    struct activation activation = {.call = call};
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    json_t *version = json_object_get(body, "version");
    int rc = json_object_size(body) == 1 && json_is_integer(version)
                 ? 0
                 : cofre_fail(&err, COFRE_USAGE, "the body is to be {\"version\": N}");
    activation.version = json_integer_value(version);
    if (rc == 0)
        rc = db_atomically(call->db, activate, &activation, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("policy %s: version %lld made active by %s", call->part[0], (long long)activation.version,
             call->caller.name);
    request_answer_json(
        call->request, 200,
        json_pack("{s:s, s:I}", "name", call->part[0], "version", (json_int_t)activation.version));
}
