/*
 * POST /v1/reference-values {"corim": BASE64}: a signed CoRIM is taken where one of the configuration's reference_signers made the
 * signature; one that is not signed where its bringer has shown who it is.
 */
#include <openssl/evp.h>
#include <string.h>

#include "attest/corim/corim.h"
#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/store/reference.h"
#include "attest/token/key_set.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define LOG_ROOM "trust"

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
    if (!corim_is_signed(file) && !in->call->caller.known)
        return cofre_fail(err, COFRE_USAGE,
                          "the CoRIM is not signed, and whoever brings it has not shown who it is");
    int rc = read_signers(&signers, &in->call->trust->config->reference_signers, err);
    if (rc < 0)
        return rc;
    rc = corim_is_signed(file) ? corim_verify(&in->corim, in->signer, file, &signers, err)
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
    int rc = in->first < 0 ? (int)in->first : 0;
    for (size_t i = 0; rc == 0 && i < in->corim.values.count; i++) {
        const struct reference *r = &in->corim.values.item[i];
        const struct change change = {.action = "added",
                                      .object = "value",
                                      .name = r->name,
                                      .version = (int64_t)r->version,
                                      .actor = in->call->caller.name,
                                      .digest = {in->digest, sizeof in->digest},
                                      .detail = in->corim.id};
        rc = change_log(in->call->trust, db, &change, err);
    }
    return rc;
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
