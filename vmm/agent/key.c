#include "vmm/agent/key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "keys/message.h"
#include "vmm/agent/trust_question.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

#define NAME_MAX_BYTES 64

static const enum hpke_kem kem = HPKE_X25519;

/* Asks; the answer is the caller's. */
static int ask(json_t **answer, const struct agent_key_request *r, const struct hpke_public *recipient,
               struct cofre_err *err)
{
    char path[NAME_MAX_BYTES + 32], to[2 * HPKE_PUBLIC_MAX + 1];
    hex_encode(to, recipient->data, recipient->len);
    CLEAN_JSON *more = json_pack("{s:s, s:s}", "recipient", to, "kem", hpke_kem_names[kem]);
    if (!more || (r->version && json_object_set_new(more, "version", json_integer(r->version)) < 0))
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    (void)snprintf(path, sizeof path, "/v1/keys/%s/release", r->name);
    const struct trust_question q = {.path = path,
                                     .policy = r->policy,
                                     .recipient = {recipient->data, recipient->len},
                                     .name = key_message_text(r->name),
                                     .more = more,
                                     .context = r->context,
                                     .evidence = r->evidence};
    return trust_ask(answer, r->client, &q, err);
}

/* What was sealed names key, version and result; of those only the version may be one that was not asked for. */
static int open_answer(uint8_t *key, const struct agent_key_request *r, EVP_PKEY *own, const json_t *answer,
                       struct cofre_err *err)
{
    const char *enc_hex = json_string_value(json_object_get(answer, "enc")),
               *sealed_hex = json_string_value(json_object_get(answer, "sealed")),
               *result = json_string_value(json_object_get(answer, "result"));
    const json_int_t version = json_integer_value(json_object_get(answer, "version"));
    const json_t *offline = json_object_get(answer, "offline_until");
    struct agent_key_terms terms = {.version = version};
    CLEAN_BYTES enc = {0}, sealed = {0};
    char aad[KEY_RELEASE_AAD_MAX];
    if (!enc_hex || !sealed_hex || !result || strlen(result) > 64 || (r->version && version != r->version) ||
        hex_decode_some(&enc, HPKE_PUBLIC_MAX, enc_hex, err) < 0 ||
        hex_decode_some(&sealed, AGENT_KEY_MAX + HPKE_OVERHEAD, sealed_hex, err) < 0 ||
        sealed.len <= HPKE_OVERHEAD)
        return cofre_fail(err, COFRE_MALFORMED, "the service's answer is no key \"%s\"", r->name);
    int rc = offline ? time_parse(&terms.offline_until,
                                  json_string_value(offline) ? json_string_value(offline) : "",
                                  "offline_until", err)
                     : 0;
    if (rc < 0)
        return cofre_within(err, -COFRE_MALFORMED, "the service's answer");
    if (r->terms)
        *r->terms = terms;
    const struct hpke_about about = key_message_released(aad, kem, r->name, version, result);
    rc = hpke_open(key, &about, own, bytes_view(&enc), bytes_view(&sealed), err);
    return rc < 0 ? cofre_within(err, rc, "the key \"%s\"", r->name) : (int)(sealed.len - HPKE_OVERHEAD);
}

int agent_key_fetch(uint8_t *key, const struct agent_key_request *r, struct cofre_err *err)
{
    CLEAN(pkey) EVP_PKEY *own = NULL;
    CLEAN_JSON *answer = NULL;
    struct hpke_public recipient;
    memset(key, 0, AGENT_KEY_MAX);
    if (strlen(r->name) > NAME_MAX_BYTES || strchr(r->name, '/') || strchr(r->name, '%'))
        return cofre_fail(err, COFRE_USAGE, "\"%.64s\" is no name of a key", r->name);
    int rc = hpke_key_new(&own, kem, err);
    if (rc == 0)
        rc = hpke_public_of(&recipient, kem, own, err);
    if (rc == 0)
        rc = ask(&answer, r, &recipient, err);
    return rc < 0 ? rc : open_answer(key, r, own, answer, err);
}

int agent_key_lock_memory(struct cofre_err *err)
{
    const struct rlimit none = {0, 0};
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return cofre_fail(err, COFRE_LACKING, "this process's memory cannot be locked: %s; run it as root",
                          strerror(errno));
    return 0;
}
