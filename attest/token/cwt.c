#include "attest/token/cwt.h"

#include <string.h>

#include "attest/cose/sign1.h"
#include "attest/token/key_set.h"

#define TYP "application/eat+cwt"

int cwt_header(struct bytes *out, const EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_COSE_WRITER w = {0};
    cose_begin(&w);
    int rc = cose_put_signer(&w, key, err);
    if (rc < 0)
        return rc;
    cose_put_int(&w, COSE_HEADER_TYP);
    cose_put_text(&w, TYP);
    cose_end_map(&w);
    return cose_take(out, &w, err);
}

int cwt_sign_under(struct bytes *out, struct view header, const struct ear *ear, EVP_PKEY *key,
                   struct cofre_err *err)
{
    CLEAN_BYTES claims = {0};
    int rc = ear_cbor(&claims, ear, err);
    if (rc < 0)
        return rc;
    struct cose_to_sign in = {.protected = header, .payload = bytes_view(&claims)};
    return cose_sign1_sign(out, &in, key, err);
}

int cwt_sign(struct bytes *out, const struct ear *ear, EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN_BYTES header = {0};
    int rc = cwt_header(&header, key, err);
    return rc < 0 ? rc : cwt_sign_under(out, bytes_view(&header), ear, key, err);
}

static bool begins(struct view v, const char *with, size_t len)
{
    return v.len > len && memcmp(v.data, with, len) == 0;
}

/* Tag 61 in its two bytes. */
static struct view within_cwt_tag(struct view token)
{
    return begins(token, "\xd8\x3d", 2) ? (struct view){token.data + 2, token.len - 2} : token;
}

bool cwt_recognises(struct view token)
{
    return begins(within_cwt_tag(token), "\xd2\x84", 2);
}

static int parse_message(struct cose_sign1 *m, struct view token, struct cofre_err *err)
{
    if (token.len > EAR_TOKEN_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "a token of %zu bytes; none is longer than %u", token.len,
                          EAR_TOKEN_MAX);
    int rc = cose_sign1_parse(m, within_cwt_tag(token), NULL, err);
    if (rc == 0 && m->detached) {
        cose_sign1_free(m);
        rc = cofre_fail(err, COFRE_MALFORMED, "the token has no claims in it");
    }
    return rc;
}

int cwt_parse(struct ear *out, struct view token, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    *out = (struct ear){0};
    int rc = parse_message(&m, token, err);
    return rc < 0 ? rc : ear_from_cbor(out, m.payload, err);
}

/* By the kid where there is one; else every key is tried. */
static int verify_by_keys(const struct cose_sign1 *m, const struct cose_keys *keys, struct cofre_err *err)
{
    struct view kid = cose_sign1_kid(m), none = {0};
    int rc = cofre_fail(err, COFRE_NEGATIVE, "none of the keys is the one that the token names");
    for (size_t i = 0; rc < 0 && i < keys->count; i++)
        if (kid.len == 0 || key_is_named(&keys->key[i], kid))
            rc = cose_sign1_verify(m, keys->key[i].key, none, none, err);
    return rc;
}

int cwt_verify(struct ear *out, struct view token, const struct cose_keys *keys, struct cofre_err *err)
{
    CLEAN_COSE_SIGN1 m = {0};
    *out = (struct ear){0};
    int rc = parse_message(&m, token, err);
    if (rc == 0)
        rc = verify_by_keys(&m, keys, err);
    return rc < 0 ? rc : ear_from_cbor(out, m.payload, err);
}
