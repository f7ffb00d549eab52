#include "attest/token/ear_claims.h"

#include <string.h>

/* Ours: names that nobody else has, keys below -65536, where RFC 8392 leaves them to applications. */
#define OURS(n) (-65536 - (n))

static const struct ear_claim verifier_id[] = {
    {"developer", 0, EAR_TEXT, offsetof(struct ear, developer), 0, true, NULL},
    {"build", 1, EAR_TEXT, offsetof(struct ear, build), 0, true, NULL},
    {0},
};

const struct ear_claim ear_token_claims[] = {
    {"iss", 1, EAR_TEXT, offsetof(struct ear, issuer), 0, false, NULL},
    {"exp", 4, EAR_INTEGER, offsetof(struct ear, expires), 0, true, NULL},
    {"iat", 6, EAR_INTEGER, offsetof(struct ear, issued), 0, true, NULL},
    {"jti", 7, EAR_BYTES, offsetof(struct ear, id), 1, false, NULL},
    {"eat_nonce", 10, EAR_BYTES, offsetof(struct ear, nonce), EAR_NONCE_MIN, false, NULL},
    {"ear_status", 1000, EAR_STATUS, offsetof(struct ear, status), 0, false, NULL},
    {"ear_verifier_id", 1004, EAR_GROUP, 0, 0, true, verifier_id},
    {0},
};

#define AT(member) offsetof(struct ear_submod, member)

static const struct ear_claim attester_claims[] = {
    {"cofre_tee", OURS(1), EAR_TEXT, AT(tee), 0, false, NULL},
    {"cofre_product", OURS(2), EAR_TEXT, AT(product), 0, false, NULL},
    {"cofre_measurement", OURS(3), EAR_BYTES, AT(measurement), 1, false, NULL},
    {"cofre_report_data", OURS(4), EAR_BYTES, AT(report_data), 1, false, NULL},
    {"cofre_host_data", OURS(5), EAR_BYTES, AT(host_data), 1, false, NULL},
    {"cofre_rtmr0", OURS(6), EAR_BYTES, AT(rtmr[0]), 1, false, NULL},
    {"cofre_rtmr1", OURS(7), EAR_BYTES, AT(rtmr[1]), 1, false, NULL},
    {"cofre_rtmr2", OURS(8), EAR_BYTES, AT(rtmr[2]), 1, false, NULL},
    {"cofre_rtmr3", OURS(9), EAR_BYTES, AT(rtmr[3]), 1, false, NULL},
    {0},
};

static const struct ear_claim verifier_claims[] = {
    {"cofre_verdict", OURS(20), EAR_TEXT, AT(verdict), 0, false, NULL},
    {"cofre_emulated", OURS(21), EAR_FLAG, AT(emulated), 0, false, NULL},
    {"cofre_root", OURS(22), EAR_TEXT, AT(root), 0, false, NULL},
    {"cofre_evidence_digest", OURS(23), EAR_BYTES, AT(evidence_digest), EAR_DIGEST_SIZE, false, NULL},
    {"cofre_tcb_status", OURS(24), EAR_TEXT, AT(tcb_status), 0, false, NULL},
    {"cofre_advisories", OURS(25), EAR_TEXTS, AT(advisories), 0, false, NULL},
    {"cofre_policy_version", OURS(26), EAR_INTEGER, AT(policy_version), 0, false, NULL},
    {"cofre_failed", OURS(27), EAR_TEXTS, AT(failed), 0, false, NULL},
    {"cofre_unjudged", OURS(28), EAR_TEXTS, AT(unjudged), 0, false, NULL},
    {"cofre_channel_key", OURS(29), EAR_BYTES, AT(channel_key), EAR_DIGEST_SIZE, false, NULL},
    {0},
};

const struct ear_claim ear_submod_claims[] = {
    {"eat_nonce", 10, EAR_BYTES, AT(nonce), EAR_NONCE_MIN, false, NULL},
    {"ear_status", 1000, EAR_STATUS, AT(status), 0, true, NULL},
    {"ear_trustworthiness_vector", 1001, EAR_VECTOR, AT(vector), 0, false, NULL},
    {"ear_appraisal_policy_ids", 1003, EAR_TEXTS, AT(policy_ids), 0, false, NULL},
    {"ear_attester_claims", 1005, EAR_GROUP, 0, 0, false, attester_claims},
    {"ear_verifier_claims", 1006, EAR_GROUP, 0, 0, false, verifier_claims},
    {0},
};

static bool vector_is_there(const struct ear_vector *v)
{
    for (int i = 0; i < EAR_MEMBERS; i++)
        if (v->has[i])
            return true;
    return false;
}

static bool group_is_there(const void *of, const struct ear_claim *group)
{
    for (; group->name; group++)
        if (ear_claim_is_there(of, group))
            return true;
    return false;
}

bool ear_claim_is_there(const void *of, const struct ear_claim *claim)
{
    const void *at = ear_claim_at(of, claim);
    switch (claim->kind) {
    case EAR_TEXT:
        return *(const char *)at;
    case EAR_INTEGER:
        return *(const int64_t *)at != 0;
    case EAR_BYTES:
        return ((const struct ear_bytes *)at)->len != 0;
    case EAR_TEXTS:
        return json_array_size(*(json_t *const *)at) != 0;
    case EAR_VECTOR:
        return vector_is_there(at);
    case EAR_GROUP:
        return group_is_there(of, claim->group);
    default:
        return true;
    }
}

int ear_is_not(const struct ear_claim *claim, const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_MALFORMED, "%s (%d) is not %s", claim->name, (int)claim->key, what);
}

static bool is_short_text(struct view text)
{
    return text.len > 0 && text.len < EAR_TEXT_SIZE && !memchr(text.data, 0, text.len);
}

int ear_take_text(void *of, const struct ear_claim *claim, struct view text, struct cofre_err *err)
{
    char *at = ear_claim_at(of, claim);
    if (!is_short_text(text))
        return ear_is_not(claim, "a text of 1 to 127 bytes", err);
    memcpy(at, text.data, text.len);
    at[text.len] = 0;
    return 0;
}

int ear_take_integer(void *of, const struct ear_claim *claim, int64_t value, struct cofre_err *err)
{
    if (value <= 0 || value > INT64_MAX / 2)
        return ear_is_not(claim, "a number above 0 that a time or version can be", err);
    *(int64_t *)ear_claim_at(of, claim) = value;
    return 0;
}

int ear_take_bytes(void *of, const struct ear_claim *claim, struct view bytes, struct cofre_err *err)
{
    struct ear_bytes *at = ear_claim_at(of, claim);
    if (bytes.len < claim->min || bytes.len > sizeof at->data)
        return ear_is_not(claim, "a byte string of a length that it may have", err);
    memcpy(at->data, bytes.data, bytes.len);
    at->len = bytes.len;
    return 0;
}

int ear_take_texts_item(void *of, const struct ear_claim *claim, struct view text, struct cofre_err *err)
{
    json_t **list = ear_claim_at(of, claim);
    if (!is_short_text(text) || json_array_size(*list) == EAR_TEXTS_MAX)
        return ear_is_not(claim, "a list of at most 128 texts of 1 to 127 bytes", err);
    if (!*list)
        *list = json_array();
    return json_array_append_new(*list, json_stringn((const char *)text.data, text.len)) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "no memory for the token");
}

int ear_take_status(void *of, const struct ear_claim *claim, int64_t value, struct cofre_err *err)
{
    if (value != EAR_NONE && value != EAR_AFFIRMING && value != EAR_WARNING && value != EAR_CONTRAINDICATED)
        return ear_is_not(claim, "a trust tier", err);
    *(int64_t *)ear_claim_at(of, claim) = value;
    return 0;
}

int ear_take_member(struct ear_vector *v, int member, int64_t value, struct cofre_err *err)
{
    if (value < INT8_MIN || value > INT8_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%s of the trustworthiness vector is not from -128 to 127",
                          ear_member_names[member]);
    v->has[member] = true;
    v->value[member] = (int8_t)value;
    return 0;
}

int ear_check_statuses(const struct ear *ear, struct cofre_err *err)
{
    for (size_t i = 0; i < ear->submods; i++) {
        const struct ear_submod *s = &ear->submod[i];
        for (int m = 0; m < EAR_MEMBERS; m++)
            if (s->vector.has[m] &&
                ear_worse((int8_t)s->status, (int8_t)ear_tier_of(s->vector.value[m])) != s->status)
                return cofre_fail(err, COFRE_MALFORMED, "the status of %s is better than its %s", s->name,
                                  ear_member_names[m]);
    }
    return 0;
}
