#include "tests/unit/host/access/signed.h"

#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <jose/openssl.h>
#include <stdio.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "tests/unit/host/access/check.h"
#include "tests/unit/host/access/made.h"
#include "vmm/base/json.h"

json_t *signed_generate(const char *spec)
{
    CLEAN_JOSE *cfg = quiet_jose();
    json_t *jwk = made_json(spec);
    assert_true(jose_jwk_gen(cfg, jwk));
    return jwk;
}

json_t *signed_public(const json_t *jwk)
{
    CLEAN_JOSE *cfg = quiet_jose();
    json_t *copy = json_deep_copy(jwk);
    assert_true(jose_jwk_pub(cfg, copy));
    (void)json_object_del(copy, "key_ops");
    return copy;
}

char *signed_joined(const char *header, const char *payload, const char *signature)
{
    char *text = NULL;
    assert_true(asprintf(&text, "%s.%s.%s", header, payload, signature) > 0);
    return text;
}

/* Signed by libjose with that key and header; quotes are single. */
char *signed_sign(const char *header, const char *claims, const json_t *key)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN_JSON *payload = made_json(claims), *text = jose_b64_enc_dump(payload);
    CLEAN_JSON *jws = json_pack("{s:O}", "payload", text);
    CLEAN_JSON *sig = json_pack("{s:o}", "protected", made_json(header)), *signer = json_deep_copy(key);
    (void)json_object_del(signer, "alg");
    (void)json_object_del(signer, "key_ops");
    assert_true(jose_jws_sig(cfg, jws, sig, signer));
    return signed_joined(json_string_value(json_object_get(jws, "protected")), json_string_value(text),
                         json_string_value(json_object_get(jws, "signature")));
}

char *signed_none(const char *header, const char *claims, const char *signature)
{
    CLEAN_JSON *h = made_json(header), *c = made_json(claims), *ht = jose_b64_enc_dump(h),
               *ct = jose_b64_enc_dump(c);
    return signed_joined(json_string_value(ht), json_string_value(ct), signature);
}
