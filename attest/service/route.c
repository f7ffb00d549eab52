#include "attest/service/route.h"

#include <stdio.h>
#include <string.h>

#include "attest/service/handlers.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define LOG_ROOM "trust"

/* The whole interface. What a role may is what stands here, and nothing else. */
const struct route routes[] = {
    {"GET", "/healthz", 0, health_alive},
    {"GET", "/readyz", 0, health_ready},
    {"GET", "/metrics", ROLE_AUDIT | ROLE_ADMINISTER, health_metrics},

    {"GET", "/v1/openapi.json", 0, openapi_show},

    {"POST", "/v1/challenges", ROLE_SUBMIT, challenge_create},

    {"POST", "/v1/appraisals", ROLE_SUBMIT, appraisal_create},
    {"GET", "/v1/results", ROLE_READ | ROLE_AUDIT, results_on_evidence},
    {"GET", "/v1/results/{}", ROLE_SUBMIT | ROLE_READ | ROLE_AUDIT, result_show},

    {"GET", "/v1/keys.jwks", 0, keys_jwks},
    {"GET", "/v1/keys.cose", 0, keys_cose},

    {"GET", "/v1/keys", ROLE_KEYS | ROLE_APPROVE | ROLE_AUDIT, guest_keys_list},
    {"GET", "/v1/keys/{}", ROLE_KEYS | ROLE_APPROVE | ROLE_AUDIT, guest_key_show},
    {"POST", "/v1/keys/{}", ROLE_KEYS, guest_key_make},
    {"POST", "/v1/keys/{}/versions", ROLE_KEYS, guest_key_add_version},
    {"DELETE", "/v1/keys/{}/versions/{}", ROLE_KEYS, guest_key_retire_version},
    {"PUT", "/v1/keys/{}/state", ROLE_KEYS, guest_key_set_state},
    {"PUT", "/v1/keys/{}/grants/{}", ROLE_KEYS, guest_key_grant},
    {"DELETE", "/v1/keys/{}/grants/{}", ROLE_KEYS, guest_key_revoke},
    {"POST", "/v1/keys/{}/approvals", ROLE_APPROVE, guest_key_approve},
    {"POST", "/v1/keys/{}/export", ROLE_KEYS, guest_key_export},
    {"POST", "/v1/keys/{}/release", ROLE_SUBMIT, release_create},
    {"GET", "/v1/import-key", ROLE_KEYS, guest_key_import_key},
    {"POST", "/v1/keys-backup", ROLE_KEYS, guest_keys_back_up},
    {"POST", "/v1/keys-restore", ROLE_KEYS, guest_keys_restore},

    {"GET", "/v1/log/head", 0, log_show_head},
    {"GET", "/v1/log/entries/{}", ROLE_SUBMIT | ROLE_READ | ROLE_AUDIT, log_show_entry},
    {"GET", "/v1/log/entries/{}/receipt", ROLE_SUBMIT | ROLE_READ | ROLE_AUDIT, log_prove_entry},
    {"GET", "/v1/log/consistency/{}", 0, log_prove_growth},

    {"GET", "/v1/collateral", ROLE_AUDIT | ROLE_ADMINISTER, collateral_list},

    {"GET", "/v1/policies", ROLE_POLICIES | ROLE_AUDIT, policy_list_all},
    {"GET", "/v1/policies/{}", ROLE_POLICIES | ROLE_AUDIT, policy_list_versions},
    {"POST", "/v1/policies/{}", ROLE_POLICIES, policy_add},
    {"GET", "/v1/policies/{}/{}", ROLE_POLICIES | ROLE_AUDIT, policy_show},
    {"PUT", "/v1/policies/{}/active", ROLE_POLICIES, policy_activate},

    {"GET", "/v1/reference-values", ROLE_VALUES | ROLE_POLICIES | ROLE_AUDIT, references_list},
    {"POST", "/v1/reference-values", ROLE_VALUES, references_import},
    {"GET", "/v1/reference-values.cose", ROLE_VALUES | ROLE_POLICIES | ROLE_AUDIT, references_export},
    {"GET", "/v1/reference-values/{}", ROLE_VALUES | ROLE_POLICIES | ROLE_AUDIT, reference_show},
    {"GET", "/v1/reference-values/{}/file", ROLE_VALUES | ROLE_POLICIES | ROLE_AUDIT, reference_show_file},
    {"PUT", "/v1/reference-values/{}/retired", ROLE_VALUES, reference_retire},

    {"GET", "/v1/credentials", ROLE_ADMINISTER | ROLE_AUDIT, credentials_list},
    {"POST", "/v1/credentials", ROLE_ADMINISTER, credentials_add},
    {"DELETE", "/v1/credentials/{}", ROLE_ADMINISTER, credentials_remove},
    {NULL, NULL, 0, NULL},
};

/* The path against the route's, segment by segment; what stands for {} goes into part. */
static bool matches(const char *pattern, const char *path, char part[2][ACCESS_NAME_MAX + 1])
{
    for (unsigned parts = 0;; pattern += strcspn(pattern, "/"), path += strcspn(path, "/")) {
        if (*pattern != *path)
            return false;
        if (!*pattern)
            return true;
        const size_t want = strcspn(++pattern, "/"), have = strcspn(++path, "/");
        const bool any = want == 2 && memcmp(pattern, "{}", 2) == 0;
        if (any ? have == 0 || have > ACCESS_NAME_MAX : want != have || memcmp(pattern, path, want) != 0)
            return false;
        if (any) {
            memcpy(part[parts], path, have);
            part[parts++][have] = 0;
        }
    }
}

/* A literal segment goes before one that takes anything: a route's place in the table decides nothing. */
static unsigned literal(const char *pattern)
{
    unsigned n = 0;
    for (; *pattern; pattern++)
        n += *pattern != '{' && *pattern != '}';
    return n;
}

/* HEAD is GET whose body is not sent. */
static bool is_method(const struct route *route, const char *method)
{
    return strcmp(route->method, strcmp(method, "HEAD") == 0 ? "GET" : method) == 0;
}

/* The route; NULL where there is none for the path (*allowed empty) or for the method. */
static const struct route *find(struct call *call, char allowed[static 64])
{
    const struct route *found = NULL;
    char part[2][ACCESS_NAME_MAX + 1];
    allowed[0] = 0;
    for (const struct route *route = routes; route->method; route++) {
        if (!matches(route->path, request_path(call->request), part))
            continue;
        size_t used = strlen(allowed);
        (void)snprintf(allowed + used, 64 - used, "%s%s", used ? ", " : "", route->method);
        if (!is_method(route, request_method(call->request)) ||
            (found && literal(found->path) > literal(route->path)))
            continue;
        found = route;
        memcpy(call->part, part, sizeof part);
    }
    return found;
}

static void refuse(struct call *call, const struct route *route)
{
    log_warn("refused: %s %s to %s", route->method, route->path, call->caller.name);
    if (call->caller.known) {
        request_problem(call->request, 403, "forbidden", "%s may not do this", call->caller.name);
        return;
    }
    request_add_header(call->request, "WWW-Authenticate", "Bearer realm=\"cofre-trust\"");
    request_problem(call->request, 401, "who-asks", "this needs a bearer token or a client certificate");
}

void route_request(struct trust *trust, struct db *db, struct memory *memory, struct request *request)
{
    struct call call = {
        .trust = trust, .db = db, .memory = memory, .request = request, .now = trust->clock()};
    struct cofre_err err = {""};
    char allowed[64];
    const struct route *route = find(&call, allowed);
    if (!route && !allowed[0]) {
        request_problem(request, 404, "not-found", "there is nothing at this path");
        return;
    }
    if (!route) {
        request_add_header(request, "Allow", allowed);
        request_problem(request, 405, "method", "this path takes %s", allowed);
        return;
    }
    int rc =
        route->roles ? access_identify(&call.caller, db, request, trust->config->anybody, call.now, &err) : 0;
    if (rc == -COFRE_NEGATIVE) {
        log_warn("refused: %s %s to a credential that is not known", route->method, route->path);
        request_add_header(request, "WWW-Authenticate",
                           "Bearer realm=\"cofre-trust\", error=\"invalid_token\"");
        request_problem(request, 401, "credential", "%s", err.text);
    } else if (rc < 0)
        call_fail(&call, rc, &err);
    else if (route->roles && !(call.caller.roles & route->roles))
        refuse(&call, route);
    else
        route->run(&call);
}

void call_fail(struct call *call, int rc, const struct cofre_err *err)
{
    static const struct {
        int status;
        const char *code;
    } problems[] = {
        [COFRE_NEGATIVE] = {404, "not-found"},  [COFRE_USAGE] = {422, "not-valid"},
        [COFRE_MALFORMED] = {400, "malformed"}, [COFRE_LACKING] = {503, "unavailable"},
        [COFRE_FAILED] = {500, "failed"},
    };
    const int code = rc < 0 && -rc <= COFRE_FAILED ? -rc : COFRE_FAILED;
    if (code == COFRE_LACKING)
        request_add_header(call->request, "Retry-After", "2");
    if (code < COFRE_LACKING) {
        request_problem(call->request, problems[code].status, problems[code].code, "%s", err->text);
        return;
    }
    log_error("%s %s: %s", request_method(call->request), request_path(call->request), err->text);
    request_problem(call->request, problems[code].status, problems[code].code,
                    code == COFRE_LACKING ? "the service cannot do this now"
                                          : "the service failed; its log says how");
}

json_t *call_body(struct call *call)
{
    const char *type = request_header(call->request, "Content-Type");
    struct cofre_err err;
    json_t *body = NULL;
    if (!type || strncmp(type, "application/json", 16) != 0) {
        request_problem(call->request, 415, "media-type", "the body is to be application/json");
        return NULL;
    }
    int rc = json_read(&body, request_body(call->request), COFRE_MALFORMED, &err);
    if (rc < 0) {
        call_fail(call, rc, &err);
        return NULL;
    }
    return body;
}
