#include "vmm/host/access/token.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "attest/token/jws.h"
#include "vmm/base/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *text_of(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static bool is(const char *text, const char *what)
{
    return text && strcmp(text, what) == 0;
}

/* Who signed */

static int check_type(const struct jws *jws, struct cofre_err *err)
{
    static const char *const types[] = {"JWT", "at+jwt", "application/at+jwt"};
    const json_t *type = json_object_get(jws->header, "typ");
    bool known = !type;
    for (size_t i = 0; !known && i < COUNT(types); i++)
        known = json_is_string(type) && strcasecmp(json_string_value(type), types[i]) == 0;
    if (!known)
        return cofre_fail(err, COFRE_MALFORMED, "the token's type is none of access tokens");
    if (json_object_get(jws->header, "cty"))
        return cofre_fail(err, COFRE_MALFORMED, "the token has another within, which is not accepted here");
    if (json_object_get(jws->header, "kid") && !jws->kid)
        return cofre_fail(err, COFRE_MALFORMED, "the token's kid is no text");
    return 0;
}

static int find_algorithm(enum token_algorithm *out, const struct jws *jws, unsigned allowed,
                          struct cofre_err *err)
{
    for (enum token_algorithm i = 0; i < TOKEN_ALGORITHMS; i++)
        if (is(jws->alg, token_algorithms[i].name) && (!allowed || (allowed & 1u << i))) {
            *out = i;
            return 0;
        }
    return cofre_fail(err, COFRE_MALFORMED, "the token's algorithm is \"%.32s\", which is not accepted here",
                      jws->alg ? jws->alg : "");
}

static bool is_for(const struct token_key *key, enum token_algorithm algorithm, const char *kid)
{
    const char *alg = text_of(key->jwk, "alg"), *curve = text_of(key->jwk, "crv");
    if (kid && !is(key->kid, kid))
        return false;
    if (!is(text_of(key->jwk, "kty"), token_algorithms[algorithm].type) ||
        (alg && !is(alg, token_algorithms[algorithm].name)))
        return false;
    return !token_algorithms[algorithm].curve || is(curve, token_algorithms[algorithm].curve);
}

/* The key that libjose gets says the algorithm, so that the header cannot have another used. */
static int verify_by(const struct jws *jws, const struct token_key *key, enum token_algorithm algorithm,
                     struct cofre_err *err)
{
    CLEAN_JSON *jwk = json_copy(key->jwk);
    if (!jwk || json_object_set_new(jwk, "alg", json_string(token_algorithms[algorithm].name)) < 0)
        return cofre_fail(err, COFRE_FAILED, "no memory for a key");
    return jws_verify(jws, jwk, err);
}

static int check_signature(const struct jws *jws, const struct access_issuer *issuer,
                           const struct token_keys *keys, struct cofre_err *err)
{
    enum token_algorithm algorithm = 0; /* said to a compiler that does not see that a failure is below 0 */
    int rc = check_type(jws, err);
    if (rc == 0)
        rc = find_algorithm(&algorithm, jws, issuer->algorithms, err);
    if (rc < 0)
        return rc;
    rc = cofre_fail(err, COFRE_NEGATIVE, "none of %s's keys is the one that the token names", issuer->name);
    for (size_t i = 0; rc < 0 && i < keys->count; i++)
        if (is_for(&keys->key[i], algorithm, jws->kid))
            rc = verify_by(jws, &keys->key[i], algorithm, err);
    return rc;
}

/* What it says */

/* A NumericDate of this and the next thousands of years. */
static bool time_of(double *out, const json_t *claims, const char *name)
{
    const json_t *value = json_object_get(claims, name);
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0 && *out <= 1e12;
}

static int check_times(const json_t *claims, int64_t skew, int64_t now, struct cofre_err *err)
{
    double at, when = (double)now, tolerance = (double)skew;
    if (!time_of(&at, claims, "exp"))
        return cofre_fail(err, COFRE_NEGATIVE, "the token does not say when it expires");
    if (at + tolerance <= when)
        return cofre_fail(err, COFRE_NEGATIVE, "the token has expired");
    static const char *const begins[] = {"nbf", "iat"};
    for (size_t i = 0; i < COUNT(begins); i++)
        if (json_object_get(claims, begins[i]) && (!time_of(&at, claims, begins[i]) || at - tolerance > when))
            return cofre_fail(err, COFRE_NEGATIVE, "the token is not of now: %s", begins[i]);
    return 0;
}

static bool is_for_us(const json_t *audience, const char *us)
{
    const json_t *one;
    size_t i;
    if (json_is_string(audience))
        return is(json_string_value(audience), us) && strlen(us) == json_string_length(audience);
    json_array_foreach(audience, i, one)
    {
        if (json_is_string(one) && is(json_string_value(one), us))
            return true;
    }
    return false;
}

static int check_claims(const json_t *claims, const struct access_issuer *issuer, int64_t now,
                        struct cofre_err *err)
{
    if (!is(text_of(claims, "iss"), issuer->issuer))
        return cofre_fail(err, COFRE_NEGATIVE, "the token is not of %s", issuer->issuer);
    if (!is_for_us(json_object_get(claims, "aud"), issuer->audience))
        return cofre_fail(err, COFRE_NEGATIVE, "the token is for somebody else than \"%s\"",
                          issuer->audience);
    return check_times(claims, issuer->skew, now, err);
}

static int add(struct access_caller *out, enum access_kind kind, const struct access_issuer *issuer,
               const json_t *text, struct cofre_err *err)
{
    char value[sizeof issuer->name + 256];
    const int len = snprintf(value, sizeof value, "%s:%s", issuer->name,
                             json_is_string(text) ? json_string_value(text) : "");
    if (len >= (int)sizeof value)
        return cofre_fail(err, COFRE_MALFORMED, "a name in the token has more than 255 characters");
    int rc = access_principal_make(&out->principal[out->principals], kind, value, err);
    if (rc == 0)
        out->principals++;
    return rc;
}

/* One whose name no grant can have is in nobody's way; one too many might be one that is denied. */
static int add_groups(struct access_caller *out, const struct access_issuer *issuer, const json_t *groups,
                      struct cofre_err *err)
{
    const json_t *one;
    size_t i;
    if (groups && !json_is_array(groups))
        return cofre_fail(err, COFRE_MALFORMED, "the token's %s are no list", issuer->groups);
    if (json_array_size(groups) > ACCESS_GROUPS_MAX)
        return cofre_fail(err, COFRE_NEGATIVE,
                          "the token has %zu groups, and %d are as many as are looked at",
                          json_array_size(groups), ACCESS_GROUPS_MAX);
    json_array_foreach(groups, i, one)
    {
        (void)add(out, ACCESS_GROUP, issuer, one, NULL);
    }
    return 0;
}

int token_check(struct access_caller *out, struct view token, const struct access_issuer *issuer,
                const struct token_keys *keys, int64_t now, struct cofre_err *err)
{
    CLEAN_JWS jws = {0};
    out->own = out->principals = 0;
    int rc = jws_read(&jws, token, TOKEN_MAX, err);
    if (rc == 0)
        rc = check_signature(&jws, issuer, keys, err);
    if (rc == 0)
        rc = check_claims(jws.claims, issuer, now, err);
    if (rc == 0)
        rc = add(out, ACCESS_OIDC, issuer, json_object_get(jws.claims, "sub"), err);
    if (rc == 0)
        rc = add_groups(out, issuer, json_object_get(jws.claims, issuer->groups), err);
    if (rc < 0)
        out->principals = 0;
    out->own = out->principals ? 1 : 0;
    return rc;
}

const struct access_issuer *token_issuer(const struct access_config *config, struct view token)
{
    CLEAN_JWS jws = {0};
    if (jws_read(&jws, token, TOKEN_MAX, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < config->issuers; i++)
        if (is(text_of(jws.claims, "iss"), config->issuer[i].issuer))
            return &config->issuer[i];
    return NULL;
}
