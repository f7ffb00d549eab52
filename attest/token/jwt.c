#include "attest/token/jwt.h"

#include <jose/b64.h>
#include <string.h>

#include "attest/token/jwk.h"
#include "attest/token/jws.h"
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
    struct jws jws;
    const struct cose_alg *alg;
};

static void message_free(struct message *m)
{
    jws_free(&m->jws);
}
#define CLEAN_MESSAGE __attribute__((cleanup(message_free))) struct message

bool jwt_recognises(struct view token)
{
    return jws_recognises(token, EAR_TOKEN_MAX);
}

static int check_algorithm(struct message *m, struct cofre_err *err)
{
    static const int64_t ids[] = {-7, -35};
    const char *alg = m->jws.alg;
    for (size_t i = 0; alg && i < sizeof ids / sizeof *ids; i++)
        if (strcmp(alg, cose_alg_find(ids[i])->name) == 0)
            m->alg = cose_alg_find(ids[i]);
    if (!m->alg)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the token's algorithm is \"%.32s\", and neither ES256 nor ES384", alg ? alg : "");
    return m->jws.signature.len == 2 * m->alg->curve->size
               ? 0
               : cofre_fail(err, COFRE_MALFORMED, "the signature has %zu bytes; %s's have %zu",
                            m->jws.signature.len, m->alg->name, 2 * m->alg->curve->size);
}

static int read_message(struct message *m, struct view token, struct cofre_err *err)
{
    int rc = jws_read(&m->jws, token, EAR_TOKEN_MAX, err);
    return rc < 0 ? rc : check_algorithm(m, err);
}

int jwt_parse(struct ear *out, struct view token, struct cofre_err *err)
{
    CLEAN_MESSAGE m = {0};
    *out = (struct ear){0};
    int rc = read_message(&m, token, err);
    return rc < 0 ? rc : ear_from_json(out, m.jws.claims, err);
}

static int verify_by(const struct message *m, const EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_JSON *jwk = jwk_of_key(key);
    if (!jwk)
        return cofre_fail(err, COFRE_FAILED, "libjose could not begin to verify a signature");
    if (!ecdsa_is_key(m->alg->curve, key))
        return cofre_fail(err, COFRE_NEGATIVE, "the algorithm is %s, and the key is not of %s", m->alg->name,
                          m->alg->curve->name);
    return jws_verify(&m->jws, jwk, err);
}

/* By the kid where there is one; else every key is tried. */
static int verify_by_keys(const struct message *m, const struct cose_keys *keys, struct cofre_err *err)
{
    struct view kid = {(const uint8_t *)m->jws.kid, m->jws.kid ? strlen(m->jws.kid) : 0};
    int rc = cofre_fail(err, COFRE_NEGATIVE, "none of the keys is the one that the token names");
    for (size_t i = 0; rc < 0 && i < keys->count; i++)
        if (!m->jws.kid || key_is_named(&keys->key[i], kid))
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
    return rc < 0 ? rc : ear_from_json(out, m.jws.claims, err);
}
