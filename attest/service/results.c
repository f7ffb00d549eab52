/* /v1/results: what was found, by id, or all on one piece of evidence. */
#include <stdlib.h>
#include <string.h>

#include "attest/service/handlers.h"
#include "attest/service/ledger.h"
#include "attest/service/route.h"
#include "vmm/base/json.h"

#define RESULTS_MAX 100

/* Who may submit alone may read what it submitted, and nothing else is there for it. */
struct reader {
    const struct caller *caller;
    json_t *found;
};

static bool may_read(const struct caller *caller, const struct result *r)
{
    return (caller->roles & (ROLE_READ | ROLE_AUDIT)) || strcmp(caller->name, r->submitter) == 0;
}

static int take(void *context, const struct result *r, struct cofre_err *err)
{
    struct reader *reader = context;
    if (!may_read(reader->caller, r))
        return cofre_fail(err, COFRE_NEGATIVE, "there is no such result");
    reader->found = result_json(r);
    return reader->found ? 0 : cofre_fail(err, COFRE_FAILED, "out of memory");
}

void result_show(struct call *call)
{
    struct cofre_err err;
    struct reader reader = {&call->caller, NULL};
    int rc = result_find(call->db, call->part[0], take, &reader, &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, reader.found);
}

static int append(void *context, const struct result *r, struct cofre_err *err)
{
    return json_array_append_new(context, result_json(r)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "out of memory");
}

void results_on_evidence(struct call *call)
{
    struct cofre_err err;
    uint8_t digest[32];
    const char *text = request_parameter(call->request, "evidence_sha256");
    CLEAN_JSON *all = json_array();
    int rc = text && hex_decode(digest, sizeof digest, text)
                 ? 0
                 : cofre_fail(&err, COFRE_USAGE,
                              "the query has to have evidence_sha256, of 64 hexadecimal digits");
    if (rc == 0)
        rc = result_find_evidence(call->db, (struct view){digest, sizeof digest}, RESULTS_MAX, append, all,
                                  &err);
    if (rc < 0)
        call_fail(call, rc, &err);
    else
        request_answer_json(call->request, 200, json_pack("{s:O}", "results", all));
}
