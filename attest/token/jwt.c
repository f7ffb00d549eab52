#include "attest/token/jwt.h"

#include <jose/b64.h>
#include <jose/jws.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "attest/token/key_set.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

#define TYP "eat+jwt"

/* Signing */

static int no_memory(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "no memory for the token");
}

int jwt_header(struct bytes *out, const EVP_PKEY *key, struct cofre_err *err)
{
    char kid[JWK_THUMBPRINT_TEXT];
    int rc = jwk_thumbprint(kid, key, err);
    if (rc < 0)
        return rc;
    CLEAN_JSON *header =
        json_pack("{s:s, s:s, s:s}", "alg", cose_alg_of_key(key)->name, "kid", kid, "typ", TYP);
    CLEAN_JSON *text = header ? jose_b64_enc_dump(header) : NULL;
    const struct view bytes = {(const uint8_t *)json_string_value(text), json_string_length(text)};
    return text ? bytes_copy(out, bytes, err) : no_memory(err);
}

/* "header.claims" in base64url, with room for a signature. */
static int to_be_signed(struct bytes *out, struct view header, const json_t *claims, struct cofre_err *err)
{
    CLEAN_JSON *text = jose_b64_enc_dump(claims);
    const size_t len = json_string_length(text);
    if (!text)
        return no_memory(err);
    int rc = bytes_alloc(out, header.len + 1 + len + 1 + 4 * ECDSA_SIZE_MAX, err);
    if (rc < 0)
        return rc;
    memcpy(out->data, header.data, header.len);
    out->data[header.len] = '.';
    memcpy(out->data + header.len + 1, json_string_value(text), len);
    out->len = header.len + 1 + len;
    return 0;
}

static int add_signature(struct bytes *token, EVP_PKEY *key, struct cofre_err *err)
{
    const struct cose_alg *alg = cose_alg_of_key(key);
    uint8_t signature[2 * ECDSA_SIZE_MAX];
    int rc = ecdsa_sign(signature, alg->curve, key, bytes_view(token), err);
    if (rc < 0)
        return rc;
    token->data[token->len++] = '.';
    token->len +=
        jose_b64_enc_buf(signature, 2 * alg->curve->size, token->data + token->len, 4 * ECDSA_SIZE_MAX);
    return 0;
}

int jwt_sign_under(struct bytes *out, struct view header, const struct ear *ear, EVP_PKEY *key,
                   struct cofre_err *err)
{
    CLEAN_JSON *claims = ear_json(ear);
    CLEAN_BYTES token = {0};
    int rc = claims ? to_be_signed(&token, header, claims, err) : no_memory(err);
    if (rc == 0)
        rc = add_signature(&token, key, err);
    if (rc == 0) {
        *out = token;
        token = (struct bytes){0};
    }
    return rc;
}

int jwt_sign(struct bytes *out, const struct ear *ear, EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_BYTES header = {0};
    int rc = jwt_header(&header, key, err);
    return rc < 0 ? rc : jwt_sign_under(out, bytes_view(&header), ear, key, err);
}

/* Reading */

struct message {
    json_t *jws; /* as libjose has it, flattened */
    json_t *header, *claims;
    const char *kid; /* of the header; NULL */
    const struct cose_alg *alg;
};

static void message_free(struct message *m)
{
    json_decref(m->jws);
    json_decref(m->header);
    json_decref(m->claims);
}
#define CLEAN_MESSAGE __attribute__((cleanup(message_free))) struct message

static struct view without_newlines(struct view token)
{
    while (token.len && (token.data[token.len - 1] == '\n' || token.data[token.len - 1] == '\r'))
        token.len--;
    return token;
}

bool jwt_recognises(struct view token)
{
    size_t dots = 0;
    token = without_newlines(token);
    if (token.len < 5 || token.len > EAR_TOKEN_MAX || memcmp(token.data, "ey", 2) != 0)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", token.data[i], 65))
            return false;
        dots += token.data[i] == '.';
    }
    return dots == 2;
}

static int split(struct message *m, struct view token, struct cofre_err *err)
{
    static const char *const names[] = {"protected", "payload", "signature"};
    m->jws = json_object();
    for (int i = 0; i < 3; i++) {
        const uint8_t *dot = i < 2 ? memchr(token.data, '.', token.len) : token.data + token.len;
        size_t len = (size_t)(dot - token.data);
        if (json_object_set_new(m->jws, names[i], json_stringn((const char *)token.data, len)) < 0)
            return cofre_fail(err, COFRE_FAILED, "no memory for the token");
        token = i < 2 ? (struct view){dot + 1, token.len - len - 1} : token;
    }
    return 0;
}

/* Of several texts for the same bytes libjose takes the one that an encoder writes. */
static int decode(struct bytes *out, const struct message *m, const char *name, struct cofre_err *err)
{
    const json_t *text = json_object_get(m->jws, name);
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

static int decode_json(json_t **out, const struct message *m, const char *name, struct cofre_err *err)
{
    CLEAN_BYTES bytes = {0};
    int rc = decode(&bytes, m, name, err);
    if (rc < 0)
        return rc;
    rc = json_read(out, bytes_view(&bytes), COFRE_MALFORMED, err);
    return rc < 0 ? cofre_within(err, rc, "the token's %s", name) : 0;
}

/* Headers that bring or name a key to be fetched would let a forger choose it. */
static int check_header(struct message *m, struct cofre_err *err)
{
    static const char *const refused[] = {"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"};
    static const int64_t ids[] = {-7, -35};
    const char *alg = json_string_value(json_object_get(m->header, "alg"));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_object_get(m->header, refused[i]))
            return cofre_fail(err, COFRE_MALFORMED,
                              "the token's header has \"%s\", which is not accepted here", refused[i]);
    for (size_t i = 0; alg && i < sizeof ids / sizeof *ids; i++)
        if (strcmp(alg, cose_alg_find(ids[i])->name) == 0)
            m->alg = cose_alg_find(ids[i]);
    m->kid = json_string_value(json_object_get(m->header, "kid"));
    return m->alg ? 0
                  : cofre_fail(err, COFRE_MALFORMED,
                               "the token's algorithm is \"%.32s\", and neither ES256 nor ES384",
                               alg ? alg : "");
}

static int read_message(struct message *m, struct view token, struct cofre_err *err)
{
    CLEAN_BYTES signature = {0};
    token = without_newlines(token);
    if (!jwt_recognises(token))
        return cofre_fail(err, COFRE_MALFORMED,
                          "it is no JWT: three parts of base64url, and at most %u bytes", EAR_TOKEN_MAX);
    int rc = split(m, token, err);
    if (rc == 0)
        rc = decode_json(&m->header, m, "protected", err);
    if (rc == 0)
        rc = check_header(m, err);
    if (rc == 0)
        rc = decode(&signature, m, "signature", err);
    if (rc == 0 && signature.len != 2 * m->alg->curve->size)
        rc = cofre_fail(err, COFRE_MALFORMED, "the signature has %zu bytes; %s's have %zu", signature.len,
                        m->alg->name, 2 * m->alg->curve->size);
    return rc == 0 ? decode_json(&m->claims, m, "payload", err) : rc;
}

int jwt_parse(struct ear *out, struct view token, struct cofre_err *err)
{
    CLEAN_MESSAGE m = {0};
    *out = (struct ear){0};
    int rc = read_message(&m, token, err);
    return rc < 0 ? rc : ear_from_json(out, m.claims, err);
}

static int verify_by(const struct message *m, const EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_JOSE *cfg = quiet_jose();
    CLEAN_JSON *jwk = jwk_of_key(key);
    if (!cfg || !jwk)
        return cofre_fail(err, COFRE_FAILED, "libjose could not begin to verify a signature");
    if (!ecdsa_is_key(m->alg->curve, key))
        return cofre_fail(err, COFRE_NEGATIVE, "the algorithm is %s, and the key is not of %s", m->alg->name,
                          m->alg->curve->name);
    return jose_jws_ver(cfg, m->jws, NULL, jwk, false)
               ? 0
               : cofre_fail(err, COFRE_NEGATIVE, "the signature is not one of these bytes by this key");
}

/* By the kid where there is one; else every key is tried. */
static int verify_by_keys(const struct message *m, const struct cose_keys *keys, struct cofre_err *err)
{
    struct view kid = {(const uint8_t *)m->kid, m->kid ? strlen(m->kid) : 0};
    int rc = cofre_fail(err, COFRE_NEGATIVE, "none of the keys is the one that the token names");
    for (size_t i = 0; rc < 0 && i < keys->count; i++)
        if (!m->kid || key_is_named(&keys->key[i], kid))
            rc = verify_by(m, keys->key[i].key, err);
    return rc;
}

int jwt_verify(struct ear *out, struct view token, const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_MESSAGE m = {0};
    *out = (struct ear){0};
    int rc = read_message(&m, token, err);
    if (rc == 0)
        rc = verify_by_keys(&m, keys, err);
    return rc < 0 ? rc : ear_from_json(out, m.claims, err);
}
