#include "vmm/agent/trust_question.h"

#include "vmm/base/json.h"

#define NONCE_MIN 16

static int read_challenge(struct bytes *nonce, struct trust_client *client, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    int rc = trust_client_post(client, "/v1/challenges", NULL, &answer, err);
    if (rc < 0)
        return rc;
    const char *text = json_string_value(json_object_get(answer, "nonce"));
    rc = hex_decode_some(nonce, CHANNEL_NONCE_MAX, text ? text : "", err);
    return rc < 0 || nonce->len < NONCE_MIN
               ? cofre_fail(err, COFRE_MALFORMED, "the service's challenge has no nonce of 16 to 64 bytes")
               : 0;
}

static int make_evidence(json_t **out, struct trust_client *client, const struct trust_question *q,
                         struct view nonce, struct cofre_err *err)
{
    uint8_t report_data[CHANNEL_REPORT_DATA];
    CLEAN_BYTES key = {0}, file = {0};
    struct channel_binding binding;
    int rc = trust_client_binding(&binding, &key, client, nonce, err);
    if (rc == 0)
        rc = q->recipient.len ? channel_release_report_data(report_data, &binding, q->recipient, q->name, err)
                              : channel_report_data(report_data, &binding, err);
    if (rc == 0)
        rc = q->evidence(q->context, &file, report_data, err);
    return rc < 0 ? rc : json_read(out, bytes_view(&file), COFRE_FAILED, err);
}

static json_t *body_of(const struct trust_question *q, const struct bytes *nonce, json_t *evidence)
{
    char challenge[2 * CHANNEL_NONCE_MAX + 1];
    hex_encode(challenge, nonce->data, nonce->len);
    json_t *body =
        json_pack("{s:s, s:s, s:O}", "policy", q->policy, "challenge", challenge, "evidence", evidence);
    if (body)
        json_object_update(body, q->more);
    return body;
}

int trust_ask(json_t **answer, struct trust_client *client, const struct trust_question *q,
              struct cofre_err *err)
{
    CLEAN_BYTES nonce = {0};
    CLEAN_JSON *evidence = NULL;
    int rc = read_challenge(&nonce, client, err);
    if (rc == 0)
        rc = make_evidence(&evidence, client, q, bytes_view(&nonce), err);
    if (rc < 0)
        return rc;
    CLEAN_JSON *body = body_of(q, &nonce, evidence);
    return body ? trust_client_post(client, q->path, body, answer, err)
                : cofre_fail(err, COFRE_USAGE, "the policy's name is no text");
}
