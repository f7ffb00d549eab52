/* /v1/results: what was found, by id, or all on one piece of evidence. */
#include <stdlib.h>
#include <string.h>

#include "attest/service/handlers.h"
#include "attest/service/result_text.h"
#include "attest/service/route.h"
#include "attest/service/signer.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

#define RESULTS_MAX 100

/* Who may submit alone may read what it submitted, and nothing else is there for it. */
struct reader {
    const struct call *call;
    json_t *found; /* a result, or the list of them */
};

static bool may_read(const struct caller *caller, const struct result *r)
{
    return (caller->roles & (ROLE_READ | ROLE_AUDIT)) || strcmp(caller->name, r->submitter) == 0;
}

/* With the JWT, which is made now where none was asked for then. Where the CWT was signed by a key that is not ours any more
 * there is none. */
static int whole(json_t **out, const struct call *call, const struct result *r, struct cofre_err *err)
{
    CLEAN_BYTES token = {0};
    CLEAN_FREE char *jwt = NULL;
    struct result result = *r;
    int rc = *r->jwt ? 0 : signer_translate(call->trust->signer, &token, r->cwt, err);
    if (rc < 0 && rc != -COFRE_NEGATIVE)
        return rc;
    if (token.len)
        result.jwt = jwt = strndup((const char *)token.data, token.len);
    *out = result.jwt ? result_json(&result) : NULL;
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

static int take(void *context, const struct result *r, struct cofre_err *err)
{
    struct reader *reader = context;
    return may_read(&reader->call->caller, r) ? whole(&reader->found, reader->call, r, err)
                                              : cofre_fail(err, COFRE_NEGATIVE, "there is no such result");
}

void result_show(struct call *call)
{
    struct cofre_err err;
    struct reader reader = {call, NULL};
    int rc = result_find(call->db, call->part[0], take, &reader, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, reader.found);
}

static int append(void *context, const struct result *r, struct cofre_err *err)
{
    struct reader *reader = context;
    json_t *one = NULL;
    int rc = whole(&one, reader->call, r, err);
    return rc == 0 && json_array_append_new(reader->found, one) < 0
               ? cofre_fail(err, COFRE_FAILED, "out of memory")
               : rc;
}

void results_on_evidence(struct call *call)
{
    struct cofre_err err;
    uint8_t digest[32];
    const char *text = request_parameter(call->request, "evidence_sha256");
    CLEAN_JSON *all = json_array();
    struct reader reader = {call, all};
    int rc = text && hex_decode(digest, sizeof digest, text)
                 ? 0
                 : cofre_fail(&err, COFRE_USAGE,
                              "the query has to have evidence_sha256, of 64 hexadecimal digits");
    if (rc == 0)
        rc = result_find_evidence(call->db, (struct view){digest, sizeof digest}, RESULTS_MAX, append,
                                  &reader, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:O}", "results", all));
}
