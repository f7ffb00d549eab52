#include "attest/token/ear.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "attest/token/ear_rows.h"
#include "vmm/base/timestamp.h"

#define SKEW 60 /* seconds that an issuer's clock may be ahead of ours */

const char *const ear_member_names[EAR_MEMBERS] = {
    "instance-identity", "configuration",  "executables",    "file-system",
    "hardware",          "runtime-opaque", "storage-opaque", "sourced-data",
};

enum ear_tier ear_tier_of(int8_t value)
{
    static const struct {
        int8_t from, to; /* and their negatives less one, which are private */
        enum ear_tier tier;
    } tiers[] = {{2, 31, EAR_AFFIRMING}, {32, 95, EAR_WARNING}, {96, 127, EAR_CONTRAINDICATED}};
    int size = value < 0 ? -1 - value : value;
    int least = value < 0 ? 1 : 0; /* -1 is none, -2 to -32 affirming */
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        if (size >= tiers[i].from - least && size <= tiers[i].to)
            return tiers[i].tier;
    return EAR_NONE;
}

const char *ear_tier_name(enum ear_tier tier)
{
    return tier == EAR_AFFIRMING         ? "affirming"
           : tier == EAR_WARNING         ? "warning"
           : tier == EAR_CONTRAINDICATED ? "contraindicated"
                                         : "none";
}

/* "None" is no good news, and no bad one. */
static int rank(int8_t value)
{
    enum ear_tier tier = ear_tier_of(value);
    return tier == EAR_NONE ? 1 : tier == EAR_AFFIRMING ? 0 : (int)tier;
}

int8_t ear_worse(int8_t a, int8_t b)
{
    return rank(a) != rank(b) ? (rank(a) > rank(b) ? a : b) : a > b ? a : b;
}

void ear_free(struct ear *ear)
{
    for (size_t i = 0; i < EAR_SUBMODS_MAX; i++) {
        json_decref(ear->submod[i].policy_ids);
        json_decref(ear->submod[i].advisories);
        json_decref(ear->submod[i].failed);
        json_decref(ear->submod[i].unjudged);
    }
    *ear = (struct ear){0};
}

static int put_text(char out[EAR_TEXT_SIZE], const char *text, const char *what, struct cofre_err *err)
{
    if (text && strlen(text) >= EAR_TEXT_SIZE)
        return cofre_fail(err, COFRE_USAGE, "%s is longer than the %d bytes that a token has for it", what,
                          EAR_TEXT_SIZE - 1);
    (void)snprintf(out, EAR_TEXT_SIZE, "%s", text ? text : "");
    return 0;
}

static int put_bytes(struct ear_bytes *out, struct view bytes, size_t min, const char *what,
                     struct cofre_err *err)
{
    if (bytes.len && (bytes.len < min || bytes.len > sizeof out->data))
        return cofre_fail(err, COFRE_USAGE, "%s of %zu bytes; a token's have %zu to %zu", what, bytes.len,
                          min, sizeof out->data);
    memcpy(out->data, bytes.data ? bytes.data : (const uint8_t *)"", bytes.len);
    out->len = bytes.len;
    return 0;
}

/* Claims of evidence are hexadecimal text there; one that is absent stays so. */
static void put_claim(struct ear_bytes *out, const json_t *claims, const char *name)
{
    const char *hex = json_string_value(json_object_get(claims, name));
    size_t len = hex ? strlen(hex) / 2 : 0;
    if (len && len <= sizeof out->data && hex_decode(out->data, len, hex))
        out->len = len;
}

static int list_checks(json_t **out, const struct verdict *verdict, enum check_outcome outcome)
{
    for (size_t i = 0; i < verdict->count; i++) {
        if (verdict->check[i].outcome != outcome)
            continue;
        if (!*out)
            *out = json_array();
        if (json_array_append_new(*out, json_string(verdict->check[i].id)) < 0)
            return -COFRE_FAILED;
    }
    return 0;
}

static int put_lists(struct ear_submod *s, const struct verdict *verdict, const struct ear_occasion *o)
{
    if (o->policy_id && !(s->policy_ids = json_pack("[s]", o->policy_id)))
        return -COFRE_FAILED;
    if (json_array_size(verdict->advisories))
        s->advisories = json_incref(verdict->advisories);
    int rc = list_checks(&s->failed, verdict, CHECK_FAILED);
    return rc < 0 ? rc : list_checks(&s->unjudged, verdict, CHECK_UNJUDGED);
}

static void put_claims(struct ear_submod *s, const json_t *claims)
{
    static const char *const rtmrs[] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    put_claim(&s->measurement, claims, "measurement");
    put_claim(&s->report_data, claims, "report_data");
    put_claim(&s->host_data, claims, "host_data");
    for (int i = 0; i < 4; i++)
        put_claim(&s->rtmr[i], claims, rtmrs[i]);
}

static int8_t worst_of(const struct ear_vector *v)
{
    int8_t worst = EAR_AFFIRMING;
    for (int i = 0; i < EAR_MEMBERS; i++)
        if (v->has[i])
            worst = ear_worse(worst, v->value[i]);
    return worst;
}

static int make_submod(struct ear_submod *s, const struct verdict *verdict, const struct ear_occasion *o,
                       struct cofre_err *err)
{
    (void)put_text(s->name, verdict->tee, "", NULL);
    (void)put_text(s->tee, verdict->tee, "", NULL);
    (void)put_text(s->product, verdict->product, "", NULL);
    (void)put_text(s->verdict, verdict_outcome_word(verdict), "", NULL);
    (void)put_text(s->root, verdict->root, "", NULL);
    (void)put_text(s->tcb_status, verdict->tcb_status, "", NULL);
    s->emulated = verdict->emulated;
    s->policy_version = o->policy_version;
    ear_vector_of(&s->vector, verdict);
    s->status = ear_tier_of(worst_of(&s->vector));
    put_claims(s, verdict->claims);
    if (o->evidence_nonce.len >= EAR_NONCE_MIN)
        (void)put_bytes(&s->nonce, o->evidence_nonce, EAR_NONCE_MIN, "", NULL);
    int rc = put_bytes(&s->channel_key, o->channel_key, EAR_DIGEST_SIZE, "a channel's key", err);
    if (rc < 0)
        return rc;
    s->evidence_digest.len = EAR_DIGEST_SIZE;
    if (put_lists(s, verdict, o) < 0)
        return cofre_fail(err, COFRE_FAILED, "no memory for the token");
    return EVP_Digest(o->evidence.data, o->evidence.len, s->evidence_digest.data, NULL, EVP_sha256(), NULL) ==
                   1
               ? 0
               : cofre_fail(err, COFRE_FAILED, "SHA-256 is not available in this OpenSSL");
}

static int make(struct ear *out, const struct verdict *verdict, const struct ear_occasion *o,
                struct cofre_err *err)
{
    int rc;
    if (o->lifetime <= 0)
        return cofre_fail(err, COFRE_USAGE, "a token of %" PRId64 " seconds would be of no use", o->lifetime);
    if ((rc = put_text(out->issuer, o->issuer, "the issuer", err)) < 0 ||
        (rc = put_text(out->build, o->build ? o->build : "unknown", "the verifier's build", err)) < 0 ||
        (rc = put_bytes(&out->nonce, o->nonce, EAR_NONCE_MIN, "a nonce", err)) < 0 ||
        (rc = put_bytes(&out->id, o->id, 1, "a token's id", err)) < 0)
        return rc;
    if (o->policy_id && strlen(o->policy_id) >= EAR_TEXT_SIZE)
        return cofre_fail(err, COFRE_USAGE, "the policy's id is longer than %d bytes", EAR_TEXT_SIZE - 1);
    (void)put_text(out->developer, "Cofre", "", NULL);
    out->issued = o->at;
    out->expires = o->at + o->lifetime;
    out->submods = 1;
    rc = make_submod(&out->submod[0], verdict, o, err);
    out->status = out->submod[0].status;
    return rc;
}

int ear_make(struct ear *out, const struct verdict *verdict, const struct ear_occasion *occasion,
             struct cofre_err *err)
{
    *out = (struct ear){0};
    int rc = make(out, verdict, occasion, err);
    if (rc < 0)
        ear_free(out);
    return rc;
}

int ear_check(const struct ear *ear, int64_t at, struct view nonce, struct cofre_err *err)
{
    char text[TIME_TEXT_SIZE];
    if (at < ear->issued - SKEW) {
        time_format(text, ear->issued);
        return cofre_fail(err, COFRE_NEGATIVE, "the token was issued at %s, after the time of verification",
                          text);
    }
    if (at >= ear->expires) {
        time_format(text, ear->expires);
        return cofre_fail(err, COFRE_NEGATIVE, "the token expired at %s", text);
    }
    if (nonce.len && !view_equal(nonce, (struct view){ear->nonce.data, ear->nonce.len}))
        return cofre_fail(err, COFRE_NEGATIVE,
                          ear->nonce.len ? "the token answers another nonce" : "the token answers no nonce");
    return 0;
}

int ear_check_result(const struct ear *ear, struct cofre_err *err)
{
    for (size_t i = 0; i < ear->submods; i++) {
        const struct ear_submod *s = &ear->submod[i];
        if (s->emulated)
            return cofre_fail(
                err, COFRE_NEGATIVE,
                "%s is an EMULATED platform: it gives no confidentiality, whatever its verdict (%s)", s->name,
                *s->verdict ? s->verdict : "none");
        if (*s->verdict && strcmp(s->verdict, "pass") != 0)
            return cofre_fail(err, COFRE_NEGATIVE, "the verdict on %s is \"%s\"", s->name, s->verdict);
        if (s->status != EAR_AFFIRMING && s->status != EAR_WARNING)
            return cofre_fail(err, COFRE_NEGATIVE, "the result for %s is \"%s\"", s->name,
                              ear_tier_name((enum ear_tier)s->status));
    }
    return 0;
}
