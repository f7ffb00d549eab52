/*
 * Results as JWT (RFC 7519) in compact JWS (RFC 7515); media type application/eat+jwt. libjose verifies and encodes; OpenSSL
 * signs, because libjose would want the private key as JSON, in memory that nobody wipes.
 */
#ifndef COFRE_ATTEST_TOKEN_JWT_H
#define COFRE_ATTEST_TOKEN_JWT_H

#include "attest/cose/key.h"
#include "attest/token/ear.h"

/* ES256 or ES384, as the key is; kid: the key's thumbprint (RFC 7638). Text without a final newline. */
int jwt_sign(struct bytes *out, const struct ear *ear, EVP_PKEY *key, struct cofre_err *err);
/* The same in two steps, as in cwt.h; the header is its text of base64url. */
int jwt_header(struct bytes *out, const EVP_PKEY *key, struct cofre_err *err);
int jwt_sign_under(struct bytes *out, struct view header, const struct ear *ear, EVP_PKEY *key,
                   struct cofre_err *err);
/* Whether the text would be taken for one, well formed or not. */
bool jwt_recognises(struct view token);
/* What a token says, whoever signed it; for cofre inspect. Newlines at its end are no part of it. */
int jwt_parse(struct ear *out, struct view token, struct cofre_err *err);
/* 0 only where one of the keys signed it; -COFRE_NEGATIVE otherwise, -COFRE_MALFORMED where it is no such token: of another
 * algorithm ("none" is one), with a critical header, or with a header that brings a key. */
int jwt_verify(struct ear *out, struct view token, const struct cose_keys *keys, struct cofre_err *err);

#endif
