/* /v1/reference-values: what CoRIMs brought in, by number. Values are retired, and never changed or deleted. */
#include "attest/corim/corim.h"
#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/store/reference.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM "trust"

/* Showing */

static void put_time(json_t *object, const char *name, int64_t time, bool said)
{
    if (said)
        json_object_set_new(object, name, json_time(time));
}

static void put_hex(json_t *object, const char *name, struct view bytes)
{
    char text[2 * COSE_THUMBPRINT_SIZE + 1];
    if (bytes.len == 0 || bytes.len > COSE_THUMBPRINT_SIZE)
        return;
    hex_encode(text, bytes.data, bytes.len);
    json_object_set_new(object, name, json_string(text));
}

static json_t *file_json(const struct reference_file *file)
{
    json_t *object = json_pack("{s:s, s:s}", "id", file->id, "imported_by", file->importer);
    if (!object)
        return NULL;
    put_hex(object, "sha256", file->digest);
    put_hex(object, "signer", file->signer);
    if (*file->issuer)
        json_object_set_new(object, "issuer", json_string(file->issuer));
    put_time(object, "imported", file->imported, true);
    return object;
}

static json_t *describe(const struct stored_reference *s, int64_t now)
{
    static const char *const states[] = {[REFERENCE_GOOD] = "good",
                                         [REFERENCE_RETIRED] = "retired",
                                         [REFERENCE_NOT_YET] = "not yet valid",
                                         [REFERENCE_NO_LONGER] = "no longer valid"};
    const struct reference *r = &s->value;
    json_t *object = json_pack("{s:I, s:s, s:I, s:s, s:s, s:o, s:o}", "number", (json_int_t)s->number, "name",
                               r->name, "version", (json_int_t)r->version, "tee", reference_tee_names[r->tee],
                               "state", states[reference_state(r, now)], "fields", reference_fields_json(r),
                               "file", file_json(&s->file));
    if (!object)
        return NULL;
    put_time(object, "valid_from", r->from, r->from > 0);
    put_time(object, "valid_until", r->until, r->until != INT64_MAX);
    put_time(object, "retired", r->retired, r->retired != 0);
    if (r->retired) {
        json_object_set_new(object, "retired_by", json_string(s->retirer));
        json_object_set_new(object, "reason", json_string(r->reason));
    }
    return object;
}

struct listing {
    json_t *list;
    int64_t now;
};

static int append(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    struct listing *l = context;
    return json_array_append_new(l->list, describe(s, l->now)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

void references_list(struct call *call)
{
    struct cofre_err err;
    CLEAN_JSON *all = json_array();
    struct listing listing = {all, call->now};
    int rc = stored_reference_list_all(call->db, append, &listing, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:O}", "reference_values", all));
}

static int number_of(const struct call *call, int64_t *out, struct cofre_err *err)
{
    uint64_t number = 0;
    if (number_parse(&number, call->part[0], "", 1, INT64_MAX, NULL) < 0)
        return cofre_fail(err, COFRE_NEGATIVE, "there is no reference value \"%s\": they have numbers",
                          call->part[0]);
    *out = (int64_t)number;
    return 0;
}

void reference_show(struct call *call)
{
    struct cofre_err err;
    int64_t number = 0;
    CLEAN_JSON *found = json_array();
    struct listing listing = {found, call->now};
    int rc = number_of(call, &number, &err);
    if (rc == 0)
        rc = stored_reference_find(call->db, number, append, &listing, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_incref(json_array_get(found, 0)));
}

static int copy_document(void *context, struct view document, struct cofre_err *err)
{
    return bytes_copy(context, document, err);
}

void reference_show_file(struct call *call)
{
    struct cofre_err err;
    int64_t number = 0;
    CLEAN_BYTES file = {0};
    int rc = number_of(call, &number, &err);
    if (rc == 0)
        rc = stored_reference_document(call->db, number, copy_document, &file, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer(call->request, 200,
                       corim_is_signed(bytes_view(&file)) ? "application/rim+cose" : "application/rim+cbor",
                       bytes_view(&file));
}

/* Retiring */

struct retirement {
    struct call *call;
    int64_t number;
    const char *reason;
    int64_t at;
};

static int log_retirement(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    const struct retirement *r = context;
    const struct change change = {.action = "retired",
                                  .object = "value",
                                  .name = s->value.name,
                                  .version = (int64_t)s->value.version,
                                  .actor = r->call->caller.name,
                                  .digest = s->file.digest,
                                  .detail = r->reason};
    return change_log(r->call->trust, r->call->db, &change, err);
}

static int retire(struct db *db, void *context, struct cofre_err *err)
{
    struct retirement *r = context;
    int rc = stored_reference_retire(db, r->number, r->at, r->call->caller.name, r->reason, err);
    return rc < 0 ? rc : stored_reference_find(db, r->number, log_retirement, r, err);
}

static int read_retirement(struct retirement *out, json_t *body, int64_t now, struct cofre_err *err)
{
    json_error_t why;
    const char *from = NULL;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:s, s?s}", "reason", &out->reason, "from", &from) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    if (!*out->reason || strlen(out->reason) > REFERENCE_REASON_MAX)
        return cofre_fail(err, COFRE_USAGE, "reason: it has 1 to %d bytes", REFERENCE_REASON_MAX);
    out->at = now;
    int rc = from ? time_parse(&out->at, from, "from", err) : 0;
    return rc == 0 && out->at < 1 ? cofre_fail(err, COFRE_USAGE, "from: that is before 1970") : rc;
}

void reference_retire(struct call *call)
{
    struct cofre_err err;
    struct retirement r = {.call = call};
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    int rc = number_of(call, &r.number, &err);
    if (rc == 0)
        rc = read_retirement(&r, body, call->now, &err);
    if (rc == 0)
        rc = db_atomically(call->db, retire, &r, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("reference value %lld retired by %s: %s", (long long)r.number, call->caller.name, r.reason);
    reference_show(call);
}
