#include "attest/token/jws.h"

#include <jose/b64.h>
#include <jose/jws.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "vmm/base/json.h"

void jws_free(struct jws *jws)
{
    json_decref(jws->jws);
    json_decref(jws->header);
    json_decref(jws->claims);
    bytes_free(&jws->signature);
}

static struct view without_newlines(struct view token)
{
    while (token.len && (token.data[token.len - 1] == '\n' || token.data[token.len - 1] == '\r'))
        token.len--;
    return token;
}

bool jws_recognises(struct view token, size_t max)
{
    size_t dots = 0;
    token = without_newlines(token);
    if (token.len < 5 || token.len > max || memcmp(token.data, "ey", 2) != 0)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", token.data[i], 65))
            return false;
        dots += token.data[i] == '.';
    }
    return dots == 2;
}

static int split(struct jws *out, struct view token, struct cofre_err *err)
{
    static const char *const names[] = {"protected", "payload", "signature"};
    out->jws = json_object();
    for (int i = 0; i < 3; i++) {
        const uint8_t *dot = i < 2 ? memchr(token.data, '.', token.len) : token.data + token.len;
        size_t len = (size_t)(dot - token.data);
        if (json_object_set_new(out->jws, names[i], json_stringn((const char *)token.data, len)) < 0)
            return cofre_fail(err, COFRE_FAILED, "no memory for the token");
        token = i < 2 ? (struct view){dot + 1, token.len - len - 1} : token;
    }
    return 0;
}

/* Of several texts for the same bytes libjose takes the one that an encoder writes. */
static int decode(struct bytes *out, const struct jws *jws, const char *name, struct cofre_err *err)
{
    const json_t *text = json_object_get(jws->jws, name);
    size_t len = jose_b64_dec(text, NULL, 0);
    if (len == SIZE_MAX || len == 0)
        return cofre_fail(err, COFRE_MALFORMED, "the token's %s is not base64url", name);
    int rc = bytes_alloc(out, len, err);
    if (rc < 0)
        return rc;
    return jose_b64_dec(text, out->data, len) == len
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "the token's %s is not base64url", name);
}

static int decode_json(json_t **out, const struct jws *jws, const char *name, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    int rc = decode(&bytes, jws, name, err);
    if (rc < 0)
        return rc;
    rc = json_read(out, bytes_view(&bytes), COFRE_MALFORMED, err);
    return rc < 0 ? cofre_within(err, rc, "the token's %s", name) : 0;
}

/* Headers that bring or name a key to be fetched would let a forger choose it. */
static int check_header(struct jws *out, struct cofre_err *err)
{
    static const char *const refused[] = {"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_object_get(out->header, refused[i]))
            return cofre_fail(err, COFRE_MALFORMED,
                              "the token's header has \"%s\", which is not accepted here", refused[i]);
    out->alg = json_string_value(json_object_get(out->header, "alg"));
    out->kid = json_string_value(json_object_get(out->header, "kid"));
    return 0;
}

int jws_read(struct jws *out, struct view token, size_t max, struct cofre_err *err)
{
    *out = (struct jws){0};
    token = without_newlines(token);
    if (!jws_recognises(token, max))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it is no JWT: three parts of base64url, and at most %zu bytes", max);
    int rc = split(out, token, err);
    if (rc == 0)
        rc = decode_json(&out->header, out, "protected", err);
    if (rc == 0)
        rc = check_header(out, err);
    if (rc == 0)
        rc = decode(&out->signature, out, "signature", err);
    return rc == 0 ? decode_json(&out->claims, out, "payload", err) : rc;
}

int jws_verify(const struct jws *jws, const json_t *jwk, struct cofre_err *err)
{
    CLEAN_JOSE *cfg = quiet_jose();
    if (!cfg)
        return cofre_fail(err, COFRE_FAILED, "libjose could not begin to verify a signature");
    return jose_jws_ver(cfg, jws->jws, NULL, jwk, false)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the signature is not one of these bytes by this key");
}
