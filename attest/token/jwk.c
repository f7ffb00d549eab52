#include "attest/token/jwk.h"

#include <jose/b64.h>
#include <jose/jwk.h>
#include <string.h>

#include "attest/token/key_set.h"
#include "vmm/base/json.h"

static void say_nothing(void *misc, const char *file, int line, uint64_t code, const char *format,
                        va_list args)
{
    (void)misc, (void)file, (void)line, (void)code, (void)format, (void)args;
}

jose_cfg_t *quiet_jose(void)
{
    jose_cfg_t *cfg = jose_cfg();
    if (cfg)
        jose_cfg_set_err_func(cfg, say_nothing, NULL);
    return cfg;
}

/* JOSE's name of a curve is the one that sentences have. */
static const struct cose_alg *alg_named(const char *alg, const char *crv)
{
    static const int64_t ids[] = {-7, -35};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const struct cose_alg *known = cose_alg_find(ids[i]);
        if (crv && strcmp(known->curve->name, crv) == 0)
            return !alg || strcmp(known->name, alg) == 0 ? known : NULL;
    }
    return NULL;
}

json_t *jwk_of_key(const EVP_PKEY *key)
{
    const struct cose_alg *alg = cose_alg_of_key(key);
    uint8_t point[2 * ECDSA_SIZE_MAX];
    if (!alg || ecdsa_key_export(point, alg->curve, key, NULL) < 0)
        return NULL;
    return json_pack("{s:s, s:s, s:o, s:o}", "kty", "EC", "crv", alg->curve->name, "x",
                     jose_b64_enc(point, alg->curve->size), "y",
                     jose_b64_enc(point + alg->curve->size, alg->curve->size));
}

int jwk_thumbprint(char out[JWK_THUMBPRINT_TEXT], const EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN_JSON *jwk = jwk_of_key(key);
    if (!jwk)
        return cofre_fail(err, COFRE_MALFORMED, "the key is not an EC key of P-256 or P-384");
    CLEAN_JSON *text = cfg ? jose_jwk_thp(cfg, jwk, "S256") : NULL;
    if (json_string_length(text) != JWK_THUMBPRINT_TEXT - 1)
        return cofre_fail(err, COFRE_FAILED, "libjose could not make a key's thumbprint");
    memcpy(out, json_string_value(text), JWK_THUMBPRINT_TEXT);
    return 0;
}

static bool read_coordinate(uint8_t *out, const json_t *text, size_t size)
{
    return json_is_string(text) && jose_b64_dec(text, NULL, 0) == size &&
           jose_b64_dec(text, out, size) == size;
}

static bool may_verify(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
    size_t i;
    bool found = !ops;
    json_array_foreach(ops, i, op)
    {
        found |= json_is_string(op) && strcmp(json_string_value(op), "verify") == 0;
    }
    return found && (!use || (json_is_string(use) && strcmp(json_string_value(use), "sig") == 0));
}

int jwk_read(struct cose_key *out, const json_t *jwk, struct cofre_err *err)
{
    const char *kty = json_string_value(json_object_get(jwk, "kty")), *kid;
    const json_t *alg = json_object_get(jwk, "alg"), *named = json_object_get(jwk, "kid");
    uint8_t point[2 * ECDSA_SIZE_MAX];
    if (!kty)
        return cofre_fail(err, COFRE_MALFORMED, "it is no JWK with a key type");
    if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it holds a private or secret key, which nobody should be given");
    *out = (struct cose_key){0};
    if (strcmp(kty, "EC") != 0 || (alg && !json_is_string(alg)) || !may_verify(jwk) ||
        !(out->alg = alg_named(json_string_value(alg), json_string_value(json_object_get(jwk, "crv")))))
        return 1;
    size_t size = out->alg->curve->size;
    if (!read_coordinate(point, json_object_get(jwk, "x"), size) ||
        !read_coordinate(point + size, json_object_get(jwk, "y"), size))
        return cofre_fail(err, COFRE_MALFORMED, "x or y is not %zu bytes, as a point of %s has them", size,
                          out->alg->curve->name);
    kid = json_string_value(named);
    if (named && (!kid || json_string_length(named) > COSE_KID_MAX))
        return cofre_fail(err, COFRE_MALFORMED, "its kid is no text of at most %d bytes", COSE_KID_MAX);
    out->kid_len = json_string_length(named);
    memcpy(out->kid, kid ? kid : "", out->kid_len);
    return ecdsa_key_import(&out->key, out->alg->curve, point, err);
}
