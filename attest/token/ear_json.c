/* Results as the claims of a JWT. */
#include <jose/b64.h>
#include <string.h>

#include "attest/token/ear_claims.h"
#include "vmm/base/json.h"

static json_t *vector_json(const struct ear_vector *v)
{
    json_t *object = json_object();
    for (int i = 0; i < EAR_MEMBERS; i++)
        if (v->has[i])
            json_object_set_new(object, ear_member_names[i], json_integer(v->value[i]));
    return object;
}

static json_t *claims_json(const void *of, const struct ear_claim *claims);

static json_t *claim_json(const void *of, const struct ear_claim *claim)
{
    const void *at = ear_claim_at(of, claim);
    switch (claim->kind) {
    case EAR_TEXT:
        return json_string(at);
    case EAR_INTEGER:
        return json_integer(*(const int64_t *)at);
    case EAR_FLAG:
        return json_boolean(*(const bool *)at);
    case EAR_BYTES:
        return jose_b64_enc(((const struct ear_bytes *)at)->data, ((const struct ear_bytes *)at)->len);
    case EAR_TEXTS:
        return json_deep_copy(*(json_t *const *)at);
    case EAR_STATUS:
        return json_string(ear_tier_name((enum ear_tier) * (const int64_t *)at));
    case EAR_VECTOR:
        return vector_json(at);
    default:
        return claims_json(of, claim->group);
    }
}

static json_t *claims_json(const void *of, const struct ear_claim *claims)
{
    json_t *object = json_object();
    for (; object && claims->name; claims++)
        if (ear_claim_is_there(of, claims) &&
            json_object_set_new(object, claims->name, claim_json(of, claims)) < 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

json_t *ear_json(const struct ear *ear)
{
    CLEAN_JSON *object = claims_json(ear, ear_token_claims), *submods = json_object();
    bool good = object && submods &&
                json_object_set_new(object, EAR_PROFILE_NAME, json_string(EAR_PROFILE)) == 0 &&
                json_object_set(object, EAR_SUBMODS_NAME, submods) == 0;
    for (size_t i = 0; good && i < ear->submods; i++)
        good = json_object_set_new(submods, ear->submod[i].name,
                                   claims_json(&ear->submod[i], ear_submod_claims)) == 0;
    return good ? json_incref(object) : NULL;
}

static struct view text_of(const json_t *value)
{
    return (struct view){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

/* Of two texts for the same bytes libjose takes the one that an encoder writes. */
static int take_base64url(void *of, const struct ear_claim *claim, const json_t *value, struct cofre_err *err)
{
    uint8_t bytes[sizeof((struct ear_bytes *)0)->data];
    size_t len = json_is_string(value) ? jose_b64_dec(value, NULL, 0) : SIZE_MAX;
    if (len > sizeof bytes || jose_b64_dec(value, bytes, sizeof bytes) != len)
        return ear_is_not(claim, "base64url of at most 64 bytes", err);
    return ear_take_bytes(of, claim, (struct view){bytes, len}, err);
}

static int take_texts(void *of, const struct ear_claim *claim, const json_t *value, struct cofre_err *err)
{
    int rc = json_array_size(value) ? 0 : ear_is_not(claim, "a list with one text at least", err);
    for (size_t i = 0; rc == 0 && i < json_array_size(value); i++)
        rc = ear_take_texts_item(of, claim, text_of(json_array_get(value, i)), err);
    return rc;
}

static int take_status(void *of, const struct ear_claim *claim, const json_t *value, struct cofre_err *err)
{
    static const enum ear_tier tiers[] = {EAR_NONE, EAR_AFFIRMING, EAR_WARNING, EAR_CONTRAINDICATED};
    for (size_t i = 0; json_is_string(value) && i < sizeof tiers / sizeof *tiers; i++)
        if (strcmp(json_string_value(value), ear_tier_name(tiers[i])) == 0)
            return ear_take_status(of, claim, tiers[i], err);
    return ear_is_not(claim, "a trust tier", err);
}

static int take_vector(struct ear_vector *v, const struct ear_claim *claim, const json_t *value,
                       struct cofre_err *err)
{
    int rc = 0, found = 0;
    for (int i = 0; rc == 0 && i < EAR_MEMBERS; i++) {
        const json_t *member = json_object_get(value, ear_member_names[i]);
        if (!member)
            continue;
        if (!json_is_integer(member))
            return ear_is_not(claim, "a vector of numbers", err);
        rc = ear_take_member(v, i, json_integer_value(member), err);
        found++;
    }
    return rc < 0 || found ? rc : ear_is_not(claim, "a vector with one member at least", err);
}

static int take_claims(void *of, const struct ear_claim *claims, const json_t *object, struct cofre_err *err);

static int take_claim(void *of, const struct ear_claim *claim, const json_t *value, struct cofre_err *err)
{
    switch (claim->kind) {
    case EAR_TEXT:
        return ear_take_text(of, claim, text_of(value), err);
    case EAR_INTEGER:
        return ear_take_integer(of, claim, json_integer_value(value), err); /* 0 of anything else */
    case EAR_FLAG:
        *(bool *)ear_claim_at(of, claim) = json_is_true(value);
        return json_is_boolean(value) ? 0 : ear_is_not(claim, "true or false", err);
    case EAR_BYTES:
        return take_base64url(of, claim, value, err);
    case EAR_TEXTS:
        return take_texts(of, claim, value, err);
    case EAR_STATUS:
        return take_status(of, claim, value, err);
    case EAR_VECTOR:
        return take_vector(ear_claim_at(of, claim), claim, value, err);
    default:
        return json_is_object(value) ? take_claims(of, claim->group, value, err)
                                     : ear_is_not(claim, "an object", err);
    }
}

static int take_claims(void *of, const struct ear_claim *claims, const json_t *object, struct cofre_err *err)
{
    int rc = 0;
    for (; rc == 0 && claims->name; claims++) {
        const json_t *value = json_object_get(object, claims->name);
        if (value)
            rc = take_claim(of, claims, value, err);
        else if (claims->required)
            rc = cofre_fail(err, COFRE_MALFORMED, "%s is missing", claims->name);
    }
    return rc;
}

static int take_submods(struct ear *out, json_t *submods, struct cofre_err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(submods) || json_object_size(submods) == 0 ||
        json_object_size(submods) > EAR_SUBMODS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "submods is not an object of 1 to %d", EAR_SUBMODS_MAX);
    json_object_foreach(submods, name, value)
    {
        struct ear_submod *s = &out->submod[out->submods++];
        static const struct ear_claim named = {"a submodule's name",
                                               EAR_SUBMODS_KEY,
                                               EAR_TEXT,
                                               offsetof(struct ear_submod, name),
                                               0,
                                               true,
                                               NULL};
        int rc = ear_take_text(s, &named, (struct view){(const uint8_t *)name, strlen(name)}, err);
        if (rc == 0 && !json_is_object(value))
            rc = cofre_fail(err, COFRE_MALFORMED, "it is no object");
        if (rc == 0)
            rc = take_claims(s, ear_submod_claims, value, err);
        if (rc < 0)
            return cofre_within(err, rc, "submodule %s", s->name);
    }
    return 0;
}

int ear_from_json(struct ear *out, const json_t *claims, struct cofre_err *err)
{
    *out = (struct ear){0};
    const char *profile = json_string_value(json_object_get(claims, EAR_PROFILE_NAME));
    int rc = profile && strcmp(profile, EAR_PROFILE) == 0
                 ? take_claims(out, ear_token_claims, claims, err)
                 : cofre_fail(err, COFRE_MALFORMED,
                              "eat_profile is not %s: it is no result that is read here", EAR_PROFILE);
    if (rc == 0)
        rc = take_submods(out, json_object_get(claims, EAR_SUBMODS_NAME), err);
    if (rc == 0)
        rc = ear_check_statuses(out, err);
    if (rc < 0)
        ear_free(out);
    return rc;
}
