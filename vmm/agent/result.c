#include "vmm/agent/result.h"

#include <stdio.h>
#include <string.h>

#include "vmm/agent/evidence_file.h"
#include "vmm/agent/service.h"
#include "vmm/agent/trust_question.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

int agent_result_fetch(json_t **out, const struct agent_result_request *r, struct cofre_err *err)
{
    CLEAN_JSON *more = json_pack("{s:s}", "binding", "channel");
    const struct trust_question q = {.path = "/v1/appraisals",
                                     .policy = r->policy,
                                     .more = more,
                                     .context = r->context,
                                     .evidence = r->evidence};
    return more ? trust_ask(out, r->client, &q, err) : cofre_fail(err, COFRE_FAILED, "out of memory");
}

struct arguments {
    struct service service;
    const char *key, *out;
};

/* The token goes where it was asked for, and what it says to whoever looks on. */
static int hand_over(const struct arguments *a, const json_t *answer, struct cofre_err *err)
{
    const char *jwt = json_string_value(json_object_get(answer, "jwt")),
               *outcome = json_string_value(json_object_get(answer, "outcome")),
               *id = json_string_value(json_object_get(answer, "id"));
    if (!jwt || !outcome || !id)
        return cofre_fail(err, COFRE_MALFORMED, "%s answers with something that is no result",
                          a->service.from);
    int rc = file_write(a->out, (struct view){(const uint8_t *)jwt, strlen(jwt)}, 0644, err);
    if (rc < 0)
        return rc;
    fprintf(stderr, "cofre-agent: result %.64s of %s: %.16s\n", id, a->service.from, outcome);
    return strcmp(outcome, "pass") == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the policy \"%s\" is not satisfied", a->service.policy);
}

static int run(struct arguments *a, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    struct agent_result_request request = {.policy = a->service.policy, .evidence = evidence_file};
    int rc = service_prepare(&a->service, a->key, err);
    if (rc == 0)
        rc = trust_client_open(&request.client, &a->service.options, err);
    if (rc < 0)
        return rc;
    rc = agent_result_fetch(&answer, &request, err);
    trust_client_free(request.client);
    return rc < 0 ? rc : hand_over(a, answer, err);
}

int agent_result_command(int argc, char **argv)
{
    struct arguments a = {.out = "-"};
    const struct service_option own[] = {
        {.name = "key", .value = &a.key}, {.name = "out", .value = &a.out}, {0}};
    struct cofre_err err;
    int code;
    if (!service_read_options(&a.service, own, argc, argv, &code))
        return code;
    int rc = run(&a, &err);
    service_free(&a.service);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
