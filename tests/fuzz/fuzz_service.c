/*
 * Requests of anybody to cofre-trust, behind a TLS handshake. Whatever was asked, the first answer is whole, a problem says what
 * it is, nothing changes without a token of a role that may change it, and what passes claims what the guest's own evidence does.
 */
#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzzed_database.h"
#include "tests/fuzz/fuzzed_service.h"
#include "tests/unit/corim/made.h"
#include "vmm/base/json.h"

static char answer[1 << 20];

/* A problem of ours; libevent's own pages are HTML. */
static void check_problem(const char *body, long status)
{
    CLEAN_JSON *problem = json_loads(body, JSON_DISABLE_EOF_CHECK, NULL);
    FUZZ_CHECK(problem && json_integer_value(json_object_get(problem, "status")) == status);
    FUZZ_CHECK(json_string_length(json_object_get(problem, "code")) > 0);
    FUZZ_CHECK(json_string_length(json_object_get(problem, "title")) > 0);
}

static bool is_head(struct view in)
{
    return in.len >= 4 && memcmp(in.data, "HEAD", 4) == 0;
}

static void check_answer(struct view in, size_t len)
{
    static const int known[] = {100, 200, 201, 204, 400, 401, 403, 404, 405,
                                409, 413, 415, 417, 422, 501, 503, 505};
    const char *body = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "\r\nContent-Length: "),
               *type = strcasestr(answer, "\r\nContent-Type: application/problem+json");
    const long status = strncmp(answer, "HTTP/1.", 7) == 0 ? strtol(answer + 8, NULL, 10) : 0;
    bool good = false;
    if (len == 0)
        return;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        good |= known[i] == status;
    FUZZ_CHECK(good && body);
    if (status == 100 || is_head(in))
        return;
    body += 4;
    if (length && length < body)
        FUZZ_CHECK(len - (size_t)(body - answer) >= strtoul(length + 18, NULL, 10));
    if (type && type < body)
        check_problem(body, status);
}

static bool has(struct view in, enum fuzzed_token token)
{
    return memmem(in.data, in.len, fuzzed_tokens[token], strlen(fuzzed_tokens[token]));
}

/* Whose token must have been shown where a table has changed. The log and its heads change with any of them, also where a second
 * request undid what the first one did. */
static void check_changes(struct view in)
{
    static const struct {
        const char *table;
        enum fuzzed_token token;
    } guarded[] = {{"policy", POLICIES},  {"policy_active", POLICIES}, {"credential", ADMINISTER},
                   {"reference", VALUES}, {"reference_file", VALUES},  {"challenge", SUBMIT},
                   {"result", SUBMIT}};
    const struct fuzzed_changes changed = fuzzed_database_changes();
    const bool may_change = has(in, SUBMIT) || has(in, POLICIES) || has(in, ADMINISTER) || has(in, VALUES);
    for (size_t i = 0; i < changed.count; i++)
        for (size_t g = 0; g < sizeof guarded / sizeof *guarded; g++)
            FUZZ_CHECK(strcmp(changed.table[i], guarded[g].table) != 0 || has(in, guarded[g].token));
    FUZZ_CHECK(changed.count == 0 || (may_change && !fuzzed_database_has_passed_others()));
}

/* By the seed with appraisals. */
static void learn_claims(void)
{
    static uint8_t seed[FUZZ_SEED_MAX];
    const size_t len = fuzz_seed(2, seed);
    (void)fuzzed_service_ask(answer, sizeof answer, (struct view){seed, len});
    fuzzed_database_learn_claims();
    fuzzed_database_set_back();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool learnt;
    const struct view in = {data, size};
    if (!learnt)
        learn_claims();
    learnt = true;
    const size_t len = fuzzed_service_ask(answer, sizeof answer, in);
    check_answer(in, len);
    check_changes(in);
    fuzzed_database_set_back();
    return 0;
}

/* Several requests on one connection: a seed. */
static void put(FILE *to, enum fuzzed_token token, const char *method, const char *path, const char *body)
{
    fprintf(to,
            "%s %s HTTP/1.1\r\nHost: trust.example:8443\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
            "Accept-Encoding: gzip\r\nAuthorization: Bearer %s\r\n",
            method, path, fuzzed_tokens[token]);
    if (body)
        fprintf(to, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    fprintf(to, "\r\n%s", body ? body : "");
}

static void put_readings(FILE *to)
{
    static const struct {
        enum fuzzed_token token;
        const char *path;
    } reading[] = {{AUDIT, "/healthz"},
                   {AUDIT, "/readyz"},
                   {AUDIT, "/metrics"},
                   {AUDIT, "/v1/openapi.json"},
                   {AUDIT, "/v1/keys.jwks"},
                   {AUDIT, "/v1/keys.cose"},
                   {READ, "/v1/results?evidence_sha256=" FUZZED_NONCE},
                   {READ, "/v1/results/00112233445566778899aabbccddeeff"},
                   {AUDIT, "/v1/policies"},
                   {POLICIES, "/v1/policies/web"},
                   {POLICIES, "/v1/policies/web/active"},
                   {POLICIES, "/v1/policies/web/1"},
                   {AUDIT, "/v1/collateral?after=pcs/qe/early"},
                   {AUDIT, "/v1/credentials"},
                   {SUBMIT, "/v1/log/entries/0"},
                   {SUBMIT, "/v1/log/head"}};
    for (size_t i = 0; i < sizeof reading / sizeof *reading; i++)
        put(to, reading[i].token, i % 5 == 4 ? "HEAD" : "GET", reading[i].path, NULL);
}

static void put_reference_values(FILE *to)
{
    struct reference snp = made_snp();
    const struct corim in = made_corim(&snp, 1);
    CLEAN_BYTES corim = {0};
    char *base64 = NULL, *body = NULL;
    FUZZ_CHECK(corim_write(&corim, &in, NULL) == 0 && base64_encode(&base64, bytes_view(&corim), NULL) == 0 &&
               asprintf(&body, "{\"corim\": \"%s\"}", base64) > 0);
    put(to, VALUES, "POST", "/v1/reference-values", body);
    put(to, VALUES, "GET", "/v1/reference-values", NULL);
    put(to, VALUES, "GET", "/v1/reference-values/1", NULL);
    put(to, VALUES, "GET", "/v1/reference-values/1/file", NULL);
    put(to, VALUES, "GET", "/v1/reference-values.cose?tee=snp&name=web", NULL);
    put(to, VALUES, "PUT", "/v1/reference-values/1/retired",
        "{\"reason\": \"an old kernel\", \"from\": \"2024-06-01T00:00:00Z\"}");
    free(base64);
    free(body);
}

static void put_changes(FILE *to)
{
    put(to, POLICIES, "POST", "/v1/policies/web",
        "{\"snp\": {\"max_vmpl\": 1, \"min_tcb\": {\"Milan\": {\"snp\": 8, \"microcode\": 115}}, "
        "\"reference\": "
        "[\"web\"]}, \"tdx\": {\"event_log\": \"required\", \"min_tcb_date\": \"2023-01-01T00:00:00Z\"}}");
    put(to, POLICIES, "PUT", "/v1/policies/web/active", "{\"version\": 2}");
    put(to, ADMINISTER, "POST", "/v1/credentials",
        "{\"name\": \"guest\", \"roles\": \"submit read\", \"expires\": \"2024-07-01T00:00:00Z\", \"scope\": "
        "\"web\"}");
    put(to, ADMINISTER, "POST", "/v1/credentials",
        "{\"name\": \"other\", \"roles\": \"audit\", \"expires\": \"2024-07-01T00:00:00Z\", "
        "\"certificate_sha256\": \"" FUZZED_NONCE "\"}");
    put(to, ADMINISTER, "DELETE", "/v1/credentials/guest", NULL);
    put(to, SUBMIT, "POST", "/v1/challenges", NULL);
    put(to, AUDIT, "GET", "/v1/log/entries/1", NULL);
    put(to, AUDIT, "GET", "/v1/log/entries/2/receipt", NULL);
    put(to, AUDIT, "GET", "/v1/log/consistency/2", NULL);
    put(to, AUDIT, "GET", "/v1/policies/web/2", NULL);
    put_reference_values(to);
}

static void put_appraisal(FILE *to, const char *how)
{
    const struct bytes *text = fuzzed_evidence();
    char *body = NULL;
    FUZZ_CHECK(asprintf(&body, "{\"policy\": \"web\", \"evidence\": %.*s, %s}", (int)text->len,
                        (const char *)text->data, how) > 0);
    put(to, SUBMIT, "POST", "/v1/appraisals", body);
    free(body);
}

static void put_appraisals(FILE *to)
{
    put_appraisal(to, "\"nonce\": \"" FUZZED_NONCE "\", \"binding\": \"channel\"");
    put_appraisal(to, "\"challenge\": \"" FUZZED_NONCE "\"");
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static void (*const seeds[])(FILE * to) = {put_readings, put_changes, put_appraisals};
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    FILE *to = fmemopen(out, FUZZ_SEED_MAX, "w");
    FUZZ_CHECK(to);
    seeds[index](to);
    const long len = ftell(to);
    FUZZ_CHECK(len > 0 && fclose(to) == 0);
    return (size_t)len;
}
