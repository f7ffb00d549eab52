#include "vmm/agent/result.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/agent/evidence_file.h"
#include "vmm/agent/help.h"
#include "vmm/base/file.h"
#include "vmm/base/json.h"

#define ANSWER_SECONDS 60

static json_t *body_of(const struct agent_result_request *r, const struct bytes *nonce, json_t *evidence)
{
    char hex[2 * CHANNEL_NONCE_MAX + 1];
    hex_encode(hex, nonce->data, nonce->len);
    return json_pack("{s:s, s:s, s:s, s:O}", "policy", r->policy, "challenge", hex, "binding", "channel",
                     "evidence", evidence);
}

int agent_result_fetch(json_t **out, const struct agent_result_request *r, struct cofre_err *err)
{
    uint8_t report_data[CHANNEL_REPORT_DATA];
    CLEAN_BYTES nonce = {0}, file = {0};
    CLEAN_JSON *evidence = NULL;
    int rc = trust_client_challenge(r->client, &nonce, err);
    if (rc == 0)
        rc = trust_client_report_data(r->client, report_data, bytes_view(&nonce), err);
    if (rc == 0)
        rc = r->evidence(r->context, &file, report_data, err);
    if (rc == 0)
        rc = json_read(&evidence, bytes_view(&file), COFRE_FAILED, err);
    if (rc < 0)
        return rc;
    CLEAN_JSON *body = body_of(r, &nonce, evidence);
    return body ? trust_client_post(r->client, "/v1/appraisals", body, out, err)
                : cofre_fail(err, COFRE_USAGE, "the policy's name is no text");
}

struct arguments {
    const char *from, *relay, *ca, *policy, *token_file, *key, *out;
};

/* The token goes where it was asked for, and what it says to whoever looks on. */
static int hand_over(const struct arguments *a, const json_t *answer, struct cofre_err *err)
{
    const char *jwt = json_string_value(json_object_get(answer, "jwt")),
               *outcome = json_string_value(json_object_get(answer, "outcome")),
               *id = json_string_value(json_object_get(answer, "id"));
    if (!jwt || !outcome || !id)
        return cofre_fail(err, COFRE_MALFORMED, "%s answers with something that is no result", a->from);
    int rc = file_write(a->out, (struct view){(const uint8_t *)jwt, strlen(jwt)}, 0644, err);
    if (rc < 0)
        return rc;
    fprintf(stderr, "cofre-agent: result %.64s of %s: %.16s\n", id, a->from, outcome);
    return strcmp(outcome, "pass") == 0
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the policy \"%s\" is not satisfied", a->policy);
}

static int run(const struct arguments *a, struct cofre_err *err)
{
    char token[TRUST_TOKEN_MAX + 1];
    CLEAN_IDENTITY identity = {0};
    CLEAN_JSON *answer = NULL;
    int rc = a->token_file ? trust_client_read_token(token, a->token_file, err) : 0;
    if (rc == 0)
        rc = a->key ? channel_identity_keep(&identity, a->key, err) : channel_identity_new(&identity, err);
    if (rc < 0)
        return rc;
    const struct trust_client_options options = {.url = a->from,
                                                 .relay = a->relay,
                                                 .ca = a->ca,
                                                 .token = a->token_file ? token : NULL,
                                                 .identity = &identity,
                                                 .seconds = ANSWER_SECONDS};
    struct agent_result_request request = {.policy = a->policy, .evidence = evidence_file};
    (void)signal(SIGPIPE, SIG_IGN);
    rc = trust_client_open(&request.client, &options, err);
    if (rc < 0)
        return rc;
    rc = agent_result_fetch(&answer, &request, err);
    trust_client_free(request.client);
    return rc < 0 ? rc : hand_over(a, answer, err);
}

int agent_result_command(int argc, char **argv)
{
    static const struct option options[] = {{"from", required_argument, NULL, 'f'},
                                            {"ca", required_argument, NULL, 'c'},
                                            {"policy", required_argument, NULL, 'p'},
                                            {"token-file", required_argument, NULL, 't'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"relay", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct arguments a = {.out = "-"};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **const texts[] = {
            ['f'] = &a.from, ['c'] = &a.ca,  ['p'] = &a.policy, ['t'] = &a.token_file,
            ['k'] = &a.key,  ['o'] = &a.out, ['r'] = &a.relay};
        if (o == 'h' || o == '?')
            return agent_help(o == 'h');
        *texts[o] = optarg;
    }
    if (optind != argc || !a.from || !a.ca || !a.policy)
        return agent_help(false);
    struct cofre_err err;
    int rc = run(&a, &err);
    if (rc < 0)
        fprintf(stderr, "cofre-agent: %s\n", err.text);
    return -rc;
}
