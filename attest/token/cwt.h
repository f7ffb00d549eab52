/* Results as CWT (RFC 8392) in COSE_Sign1; media type application/eat+cwt (RFC 9782). */
#ifndef COFRE_ATTEST_TOKEN_CWT_H
#define COFRE_ATTEST_TOKEN_CWT_H

#include "attest/cose/key.h"
#include "attest/token/ear.h"

#define CWT_TAG 61 /* may stand before COSE_Sign1's */

/* The claims as a map. */
int ear_cbor(struct bytes *out, const struct ear *ear, struct cofre_err *err);
/* -COFRE_MALFORMED names the claim. Claims that are not known are passed over. */
int ear_from_cbor(struct ear *out, struct view claims, struct cofre_err *err);

/* ES256 or ES384, as the key is; kid: the key's thumbprint (RFC 9679). */
int cwt_sign(struct bytes *out, const struct ear *ear, EVP_PKEY *key, struct cofre_err *err);
/* The same in two steps: the header is the same in all tokens of a key, and its making costs as much as the signature. */
int cwt_header(struct bytes *out, const EVP_PKEY *key, struct cofre_err *err);
int cwt_sign_under(struct bytes *out, struct view header, const struct ear *ear, EVP_PKEY *key,
                   struct cofre_err *err);
/* Whether the bytes would be taken for one, well formed or not. */
bool cwt_recognises(struct view token);
/* What a token says, whoever signed it; for cofre inspect. */
int cwt_parse(struct ear *out, struct view token, struct cofre_err *err);
/* 0 only where one of the keys signed it; -COFRE_NEGATIVE otherwise, -COFRE_MALFORMED where it is no such token. */
int cwt_verify(struct ear *out, struct view token, const struct cose_keys *keys, struct cofre_err *err);

#endif
