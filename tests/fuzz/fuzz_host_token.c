/* Access tokens as anybody sends them to cofred, and, where the input begins with a brace, claims that the issuer signed: what is
 * accepted was signed, is of now and for us, and names nobody but who has that issuer's kind of name. */
#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/host/access/token.h"

#define ISSUER "https://login.example"
#define CLAIMS                                                                                               \
    "{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"cofred\"],\"sub\":\"ann\",\"exp\":1717200100,\"nbf\":"         \
    "1717199000,\"groups\":[\"ops\",\"/a b\",7]}"

static json_t *key;
static struct token_keys keys;
static struct access_config config;
static char *signed_token;

/* NULL where the claims are no JSON. */
static char *sign(const char *claims, size_t len)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN_JSON *jws = json_pack("{s:o}", "payload", jose_b64_enc(claims, len));
    CLEAN_JSON *sig = json_pack("{s:{s:s, s:s}}", "protected", "alg", "ES256", "kid", "first");
    char *text = NULL;
    FUZZ_CHECK(jose_jws_sig(cfg, jws, sig, key));
    FUZZ_CHECK(asprintf(&text, "%s.%s.%s", json_string_value(json_object_get(jws, "protected")),
                        json_string_value(json_object_get(jws, "payload")),
                        json_string_value(json_object_get(jws, "signature"))) > 0);
    return text;
}

static void make(void)
{
    CLEAN_JOSE *cfg = quiet_jose();
    const struct access_issuer issuer = {
        .name = "corp", .issuer = ISSUER, .audience = "cofred", .key_file = "/keys", .skew = 60};
    key = json_pack("{s:s, s:s, s:s}", "kty", "EC", "crv", "P-256", "kid", "first");
    FUZZ_CHECK(jose_jwk_gen(cfg, key));
    CLEAN_JSON *public = json_deep_copy(key);
    FUZZ_CHECK(jose_jwk_pub(cfg, public));
    CLEAN_JSON *set = json_pack("{s:[O]}", "keys", public);
    CLEAN_FREE char *text = json_dumps(set, 0);
    FUZZ_CHECK(token_keys_read(&keys, (struct view){(const uint8_t *)text, strlen(text)}, NULL) == 0);
    FUZZ_CHECK(access_config_issuer(&config, &issuer, NULL) == 0);
    signed_token = sign(CLAIMS, strlen(CLAIMS));
}

static void check_caller(const struct access_caller *caller)
{
    FUZZ_CHECK(caller->own == 1 && caller->principals >= 1 && caller->principals <= 1 + ACCESS_GROUPS_MAX);
    for (size_t i = 0; i < caller->principals; i++) {
        struct access_principal again;
        FUZZ_CHECK(strncmp(caller->principal[i].text, i ? "group:corp:" : "oidc:corp:", i ? 11 : 10) == 0);
        FUZZ_CHECK(access_principal_parse(&again, caller->principal[i].text, NULL) == 0);
        FUZZ_CHECK(again.kind == caller->principal[i].kind &&
                   strcmp(again.text, caller->principal[i].text) == 0);
    }
}

/* What the issuer did not sign is not accepted: what is, says what the seed says. */
static void check_as_sent(struct view token)
{
    struct access_caller caller;
    struct cofre_err err = {""};
    const struct access_issuer *issuer = token_issuer(&config, token);
    int rc = token_check(&caller, token, &config.issuer[0], &keys, FUZZ_NOW, &err);
    FUZZ_CHECK(rc == 0 || (caller.own == 0 && caller.principals == 0 && *err.text));
    if (rc < 0)
        return;
    FUZZ_CHECK(issuer == &config.issuer[0]);
    check_caller(&caller);
    FUZZ_CHECK(strcmp(access_caller_name(&caller), "oidc:corp:ann") == 0 && caller.principals == 2);
}

static void check_signed(const uint8_t *claims, size_t size)
{
    struct access_caller caller;
    struct cofre_err err = {""};
    CLEAN_FREE char *text = sign((const char *)claims, size);
    const struct view token = {(const uint8_t *)text, strlen(text)};
    if (token_check(&caller, token, &config.issuer[0], &keys, FUZZ_NOW, &err) < 0) {
        FUZZ_CHECK(*err.text && caller.principals == 0);
        return;
    }
    check_caller(&caller);
    FUZZ_CHECK(token_issuer(&config, token) == &config.issuer[0]);
    FUZZ_CHECK(memmem(claims, size, "iss", 3) || memchr(claims, '\\', size));
    FUZZ_CHECK(token_check(&caller, token, &config.issuer[0], &keys, INT32_MAX * 1000LL, &err) < 0 ||
               memmem(claims, size, "exp", 3) || memchr(claims, '\\', size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!signed_token)
        make();
    if (size && data[0] == '{')
        check_signed(data, size);
    else
        check_as_sent((struct view){data, size});
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const claims[] = {
        CLAIMS,
        "{\"iss\":\"" ISSUER
        "\",\"aud\":\"cofred\",\"sub\":\"a|b:c\",\"exp\":1717200000.5,\"iat\":1717200000}",
    };
    if (!signed_token)
        make();
    const char *seed = index == 0                                ? signed_token
                       : index <= sizeof claims / sizeof *claims ? claims[index - 1]
                                                                 : "";
    memcpy(out, seed, strlen(seed));
    return strlen(seed);
}
