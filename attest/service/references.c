/*
 * /v1/reference-values: what CoRIMs brought in, by number. A signed CoRIM is taken where one of the configuration's reference_signers made
 * the signature; one that is not signed where its bringer has shown who it is. Values are retired, and never changed or deleted.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "attest/corim/corim.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/service/signer.h"
#include "attest/store/reference.h"
#include "attest/token/key_set.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/number.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM "trust"

/* Showing */

static void put_time(json_t *object, const char *name, int64_t time, bool said)
{
    char text[TIME_TEXT_SIZE];
    if (!said)
        return;
    time_format(text, time);
    json_object_set_new(object, name, json_string(text));
}

static void put_hex(json_t *object, const char *name, struct view bytes)
{
    char text[2 * COSE_THUMBPRINT_SIZE + 1];
    if (bytes.len == 0 || bytes.len > COSE_THUMBPRINT_SIZE)
        return;
    hex_encode(text, bytes.data, bytes.len);
    json_object_set_new(object, name, json_string(text));
}

static const char *state_of(const struct reference *r, int64_t now)
{
    return r->retired && r->retired <= now ? "retired"
           : now < r->from                 ? "not yet valid"
           : now >= r->until               ? "no longer valid"
                                           : "good";
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
    const struct reference *r = &s->value;
    json_t *object =
        json_pack("{s:I, s:s, s:I, s:s, s:s, s:o, s:o}", "number", (json_int_t)s->number, "name", r->name,
                  "version", (json_int_t)r->version, "tee", reference_tee_names[r->tee], "state",
                  state_of(r, now), "fields", reference_fields_json(r), "file", file_json(&s->file));
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
    int64_t number;
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

#define IS_SIGNED(file) ((file).len && *(file).data == 0xd2)

void reference_show_file(struct call *call)
{
    struct cofre_err err;
    int64_t number;
    CLEAN_BYTES file = {0};
    int rc = number_of(call, &number, &err);
    if (rc == 0)
        rc = stored_reference_document(call->db, number, copy_document, &file, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer(call->request, 200, IS_SIGNED(file) ? "application/rim+cose" : "application/rim+cbor",
                       bytes_view(&file));
}

/* Importing */

static int read_signers(struct cose_keys *out, const struct trust_files *files, struct cofre_err *err)
{
    for (size_t i = 0; i < TRUST_FILES_MAX && files->path[i]; i++) {
        CLEAN_BYTES file = {0};
        CLEAN_COSE_KEYS some = {0};
        int rc = file_read(&file, files->path[i], KEY_FILE_MAX, err);
        if (rc == 0)
            rc = cose_keys_are_pem(bytes_view(&file)) ? cose_keys_parse_pem(&some, bytes_view(&file), err)
                                                      : keys_read(&some, bytes_view(&file), err);
        if (rc == 0 && out->count + some.count > COSE_KEYS_MAX)
            rc = cofre_fail(err, COFRE_FAILED, "more than %d keys", COSE_KEYS_MAX);
        if (rc < 0)
            return cofre_within(err, -COFRE_FAILED, "reference_signers: %s", files->path[i]);
        memcpy(&out->key[out->count], some.key, some.count * sizeof *some.key);
        out->count += some.count;
        some.count = 0;
    }
    return 0;
}

struct import {
    struct call *call;
    struct bytes document;
    struct corim corim;
    uint8_t digest[32], signer[COSE_THUMBPRINT_SIZE];
    int64_t first;
};

static void import_free(struct import *in)
{
    bytes_free(&in->document);
    corim_free(&in->corim);
}

static int read_body(struct import *in, json_t *body, struct cofre_err *err)
{
    json_error_t why;
    const char *text;
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:s}", "corim", &text) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    int rc = base64_decode(&in->document, CORIM_FILE_MAX, text, err);
    if (rc == 0 && EVP_Digest(in->document.data, in->document.len, in->digest, NULL, EVP_sha256(), NULL) != 1)
        rc = cofre_fail(err, COFRE_FAILED, "SHA-256 failed");
    return rc < 0 ? cofre_within(err, rc, "corim") : 0;
}

static int read_file(struct import *in, struct cofre_err *err)
{
    CLEAN_COSE_KEYS signers = {0};
    const struct view file = bytes_view(&in->document);
    if (!IS_SIGNED(file) && !in->call->caller.known)
        return cofre_fail(err, COFRE_USAGE,
                          "the CoRIM is not signed, and whoever brings it has not shown who it is");
    int rc = read_signers(&signers, &in->call->trust->config->reference_signers, err);
    if (rc < 0)
        return rc;
    rc = IS_SIGNED(file) ? corim_verify(&in->corim, in->signer, file, &signers, err)
                         : corim_read(&in->corim, file, err);
    return rc == -COFRE_NEGATIVE ? cofre_within(err, -COFRE_USAGE, "the CoRIM")
           : rc < 0              ? cofre_within(err, rc, "the CoRIM")
                                 : 0;
}

static int add(struct db *db, void *context, struct cofre_err *err)
{
    struct import *in = context;
    const struct reference_file file = {
        .digest = {in->digest, sizeof in->digest},
        .document = bytes_view(&in->document),
        .id = in->corim.id,
        .signer = {in->signer, in->corim.is_signed ? sizeof in->signer : 0},
        .issuer = in->corim.signer,
        .imported = in->call->now,
        .importer = in->call->caller.name,
    };
    in->first = stored_reference_add(db, &file, &in->corim.values, err);
    return in->first < 0 ? (int)in->first : 0;
}

static void answer_import(struct call *call, const struct import *in)
{
    json_t *values = json_array();
    for (size_t i = 0; i < in->corim.values.count; i++) {
        const struct reference *r = &in->corim.values.item[i];
        const json_int_t number = in->first + (json_int_t)i;
        log_info("reference value %lld (%s, version %llu, of %s) imported by %s", (long long)number, r->name,
                 (unsigned long long)r->version, in->corim.id, call->caller.name);
        json_array_append_new(values, json_pack("{s:I, s:s, s:I}", "number", number, "name", r->name,
                                                "version", (json_int_t)r->version));
    }
    request_answer_json(call->request, 201, json_pack("{s:o}", "reference_values", values));
}

void references_import(struct call *call)
{
    struct cofre_err err;
    __attribute__((cleanup(import_free))) struct import in = {.call = call};
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    int rc = read_body(&in, body, &err);
    if (rc == 0)
        rc = read_file(&in, &err);
    if (rc == 0) {
        rc = db_atomically(call->db, add, &in, &err);
        if (rc == -COFRE_NEGATIVE) {
            request_problem(call->request, 409, "known", "%s", err.text);
            return;
        }
    }
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        answer_import(call, &in);
}

/* Retiring */

struct retirement {
    const char *reason;
    int64_t at;
};

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
    struct retirement r;
    int64_t number;
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    int rc = number_of(call, &number, &err);
    if (rc == 0)
        rc = read_retirement(&r, body, call->now, &err);
    if (rc == 0)
        rc = stored_reference_retire(call->db, number, r.at, call->caller.name, r.reason, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("reference value %lld retired by %s: %s", (long long)number, call->caller.name, r.reason);
    reference_show(call);
}

/* Exporting */

struct export
{
    struct corim corim;
    const char *name; /* NULL: all */
    int64_t now;
};

/* What is good now. The file is valid while all of it is. */
static int take_good(void *context, const struct stored_reference *s, struct cofre_err *err)
{
    struct export *out = context;
    const struct reference *r = &s->value;
    if (r->tee != out->corim.tee || strcmp(state_of(r, out->now), "good") != 0 ||
        (out->name && strcmp(out->name, r->name) != 0))
        return 0;
    const int64_t until = r->retired && r->retired < r->until ? r->retired : r->until;
    if (r->from > out->corim.from)
        out->corim.from = r->from;
    if (until < out->corim.until)
        out->corim.until = until;
    return references_append(&out->corim.values, r, err);
}

static int read_query(struct export *out, struct call *call, struct cofre_err *err)
{
    const char *tee = request_parameter(call->request, "tee");
    out->name = request_parameter(call->request, "name");
    for (enum reference_tee i = 0; tee && i < REFERENCE_TEES; i++)
        if (strcmp(tee, reference_tee_names[i]) == 0) {
            out->corim.tee = i;
            return 0;
        }
    return cofre_fail(err, COFRE_USAGE, "the query has to have tee, which is snp or tdx");
}

static int make_export(struct export *out, struct call *call, struct bytes *file, struct cofre_err *err)
{
    int rc = read_query(out, call, err);
    if (rc == 0)
        rc = stored_reference_list_all(call->db, take_good, out, err);
    if (rc < 0)
        return rc;
    if (out->corim.values.count == 0)
        return cofre_fail(err, COFRE_NEGATIVE, "no such reference value is good now");
    if (out->corim.until == INT64_MAX)
        out->corim.from = 0;
    (void)snprintf(out->corim.signer, sizeof out->corim.signer, "%s", call->trust->config->name);
    (void)snprintf(out->corim.id, sizeof out->corim.id, "%.90s:%lld", out->corim.signer, (long long)out->now);
    out->corim.entity[0].roles = 1u << CORIM_ROLE_SIGNER;
    (void)snprintf(out->corim.entity[0].name, sizeof out->corim.entity[0].name, "%s", out->corim.signer);
    out->corim.entities = 1;
    return signer_sign_corim(call->trust->signer, file, &out->corim, err);
}

void references_export(struct call *call)
{
    struct cofre_err err;
    CLEAN_BYTES file = {0};
    struct export out = {.corim = {.until = INT64_MAX}, .now = call->now};
    int rc = make_export(&out, call, &file, &err);
    corim_free(&out.corim);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer(call->request, 200, "application/rim+cose", bytes_view(&file));
}
