/* cofre inspect: attestation results, whoever signed them, and the keys of those who sign. */
#include <string.h>

#include "attest/token/token.h"
#include "vmm/base/timestamp.h"
#include "vmm/cli/inspect.h"

static int describe_ear(json_t **out, struct ear *ear, struct cofre_err *err)
{
    char issued[TIME_TEXT_SIZE], expires[TIME_TEXT_SIZE];
    time_format(issued, ear->issued);
    time_format(expires, ear->expires);
    *out = json_pack("{s:s, s:s, s:s, s:o*}", "note",
                     "anybody can write this; cofre verify --token says who signed it", "issued", issued,
                     "expires", expires, "claims", ear_json(ear));
    ear_free(ear);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the description");
}

static int describe_jwt(json_t **out, struct view file, struct cofre_err *err)
{
    struct ear ear;
    int rc = jwt_parse(&ear, file, err);
    return rc < 0 ? rc : describe_ear(out, &ear, err);
}

static int describe_cwt(json_t **out, struct view file, struct cofre_err *err)
{
    struct ear ear;
    int rc = cwt_parse(&ear, file, err);
    return rc < 0 ? rc : describe_ear(out, &ear, err);
}

static json_t *key_json(const struct cose_key *key)
{
    uint8_t cose[COSE_THUMBPRINT_SIZE];
    char jose[JWK_THUMBPRINT_TEXT];
    json_t *object = json_pack("{s:s, s:s}", "algorithm", key->alg->name, "curve", key->alg->curve->name);
    if (cose_key_thumbprint(cose, key->key, NULL) == 0)
        inspect_put_hex(object, "cose_thumbprint", cose, sizeof cose);
    if (jwk_thumbprint(jose, key->key, NULL) == 0)
        json_object_set_new(object, "jwk_thumbprint", json_string(jose));
    if (key->kid_len)
        inspect_put_hex(object, "kid_bytes", key->kid, key->kid_len);
    return object;
}

static int describe_keys(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_COSE_KEYS keys = {0};
    int rc = keys_read(&keys, file, err);
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < keys.count; i++)
        json_array_append_new(list, key_json(&keys.key[i]));
    *out = json_pack("{s:o}", "keys", list);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the description");
}

const struct artefact_kind inspect_jwt = {"attestation result (JWT)", jwt_recognises, describe_jwt};
const struct artefact_kind inspect_cwt = {"attestation result (CWT)", cwt_recognises, describe_cwt};
const struct artefact_kind inspect_jwks = {"JSON Web Key Set", keys_recognise_jwks, describe_keys};
const struct artefact_kind inspect_cose_keys = {"COSE key set", keys_recognise_cose, describe_keys};
