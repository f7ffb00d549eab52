/* /v1/credentials: who may come in. A token is made here, told once, and kept as its digest. */
#include <openssl/rand.h>
#include <stdlib.h>

#include "attest/log/entry.h"
#include "attest/service/change.h"
#include "attest/service/handlers.h"
#include "attest/service/route.h"
#include "attest/store/credential.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/base/timestamp.h"

#define LOG_ROOM    "trust"
#define TOKEN_BYTES 32

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
struct wish {
    const char *name, *roles, *scope, *expires, *certificate_digest;
    int64_t until;
};

static int read_wish(struct wish *w, json_t *body, int64_t now, struct cofre_err *err)
{
    json_error_t why;
    unsigned roles = 0;
    *w = (struct wish){.scope = ""};
    if (json_unpack_ex(body, &why, JSON_STRICT, "{s:s, s:s, s:s, s?s, s?s}", "name", &w->name, "roles",
                       &w->roles, "expires", &w->expires, "scope", &w->scope, "certificate_sha256",
                       &w->certificate_digest) < 0)
        return cofre_fail(err, COFRE_USAGE, "the body: %s", why.text);
    int rc = access_name_check(w->name, "name", err);
    if (rc == 0 && *w->scope)
        rc = access_name_check(w->scope, "scope", err);
    if (rc == 0)
        rc = access_roles_parse(&roles, w->roles, err);
    if (rc == 0 && !roles)
        rc = cofre_fail(err, COFRE_USAGE, "roles: there are none");
    if (rc == 0)
        rc = time_parse(&w->until, w->expires, "expires", err);
    if (rc == 0 && w->until <= now)
        rc = cofre_fail(err, COFRE_USAGE, "expires: that time is over");
    return rc;
}

static int new_token(char out[2 * TOKEN_BYTES + 1], struct cofre_err *err)
{
    uint8_t random[TOKEN_BYTES];
    if (RAND_priv_bytes(random, sizeof random) != 1)
        return cofre_fail(err, COFRE_FAILED, "there are no random bytes");
    hex_encode(out, random, sizeof random);
    return 0;
}

struct addition {
    struct call *call;
    const struct credential *credential;
};

static int add(struct db *db, void *context, struct cofre_err *err)
{
    const struct addition *a = context;
    const struct credential *c = a->credential;
    char detail[LOG_DETAIL_MAX + 1], until[TIME_TEXT_SIZE];
    time_format(until, c->expires);
    (void)snprintf(detail, sizeof detail, "%s; until %s%s%s", c->roles, until, *c->scope ? "; policy " : "",
                   c->scope);
    const struct change change = {.action = "added",
                                  .object = "credential",
                                  .name = c->name,
                                  .actor = a->call->caller.name,
                                  .content = c->digest,
                                  .detail = detail};
    int rc = credential_add(db, c, err);
    return rc < 0 ? rc : change_log(a->call->trust, db, &change, err);
}

void credentials_add(struct call *call)
{
    struct cofre_err err;
    struct wish wish;
    uint8_t digest[32];
    char token[2 * TOKEN_BYTES + 1] = "";
    CLEAN_JSON *body = call_body(call);
    if (!body)
        return;
    int rc = read_wish(&wish, body, call->now, &err);
    if (rc == 0 && wish.certificate_digest)
        rc = hex_decode(digest, sizeof digest, wish.certificate_digest)
                 ? 0
                 : cofre_fail(&err, COFRE_USAGE, "certificate_sha256: it is to be 64 hexadecimal digits");
    else if (rc == 0 && (rc = new_token(token, &err)) == 0)
        access_token_digest(digest, token);
    const struct credential credential = {.digest = {digest, sizeof digest},
                                          .name = wish.name,
                                          .roles = wish.roles,
                                          .scope = wish.scope,
                                          .made = call->now,
                                          .made_by = call->caller.name,
                                          .expires = wish.until};
    struct addition addition = {call, &credential};
    if (rc == 0)
        rc = db_atomically(call->db, add, &addition, &err);
    if (rc == -COFRE_NEGATIVE) {
        request_problem(call->request, 409, "known", "%s", err.text);
        return;
    }
    if (rc < 0) {
        call_fail(call, rc, &err);
        return;
    }
    log_info("credential of %s (%s) added by %s", wish.name, wish.roles, call->caller.name);
    request_answer_json(call->request, 201,
                        token[0] ? json_pack("{s:s, s:s}", "name", wish.name, "token", token)
                                 : json_pack("{s:s}", "name", wish.name));
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
