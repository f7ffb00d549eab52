/* /v1/credentials: who may come in. A token is made here, told once, and kept as its digest. */
#include "attest/service/admission.h"
#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM "trust"

static int append(void *context, const struct credential *c, struct cofre_err *err)
{
    char made[TIME_TEXT_SIZE], expires[TIME_TEXT_SIZE];
    time_format(made, c->made);
    time_format(expires, c->expires);
    json_t *one = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", c->name, "roles", c->roles, "scope",
                            c->scope, "made", made, "made_by", c->made_by, "expires", expires);
    return json_array_append_new(context, one) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

void credentials_list(struct call *call)
{
    struct cofre_err err;
    CLEAN_JSON *all = json_array();
    int rc = credential_list(call->db, append, all, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:O}", "credentials", all));
}

/* What the body asks for. */
static int read_wish(struct credential *c, const char **certificate, json_t *body, struct cofre_err *err)
{
    json_error_t why;
    const char *expires;
    c->scope = "";
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:s, s:s, s:s, s?s, s?s}", "name", &c->name, "roles",
                       &c->roles, "expires", &expires, "scope", &c->scope, "certificate_sha256",
                       certificate) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    return time_parse(&c->expires, expires, "expires", err);
}

static int read_certificate(uint8_t digest[static 32], const char *text, struct cofre_err *err)
{
    return hex_decode(digest, 32, text)
               ? 0
               : cofre_fail(err, COFRE_USAGE, "certificate_sha256: it is to be 64 hexadecimal digits");
}

void credentials_add(struct call *call)
{
    struct cofre_err err;
    uint8_t digest[32];
    char token[ADMISSION_TOKEN_SIZE] = "";
    const char *certificate = NULL;
    struct credential c = {
        .digest = {digest, sizeof digest}, .made = call->now, .made_by = call->caller.name};
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    int rc = read_wish(&c, &certificate, body, &err);
    if (rc == 0)
        rc = admission_check(&c, call->now, &err);
    if (rc == 0)
        rc = certificate ? read_certificate(digest, certificate, &err) : admission_token(token, digest, &err);
    if (rc == 0)
        rc = admission_keep(call->trust, call->db, &c, &err);
    if (rc == -COFRE_NEGATIVE) {
        request_problem(call->request, 409, "known", "%s", err.text);
        return;
    }
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("credential of %s (%s) added by %s", c.name, c.roles, call->caller.name);
    request_answer_json(call->request, 201,
                        token[0] ? json_pack("{s:s, s:s}", "name", c.name, "token", token)
                                 : json_pack("{s:s}", "name", c.name));
    explicit_bzero(token, sizeof token);
}

static int remove_all(struct db *db, void *context, struct cofre_err *err)
{
    const struct call *call = context;
    const char *name = call->part[0];
    const struct change change = {.action = "removed",
                                  .object = "credential",
                                  .name = name,
                                  .actor = call->caller.name,
                                  .content = {(const uint8_t *)name, strlen(name)}};
    int rc = credential_remove(db, name, err);
    return rc < 0 ? rc : change_log(call->trust, db, &change, err);
}

void credentials_remove(struct call *call)
{
    struct cofre_err err;
    int rc = db_atomically(call->db, remove_all, call, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("credentials of %s removed by %s", call->part[0], call->caller.name);
    request_answer(call->request, 204, NULL, (struct view){NULL, 0});
}
