/*
 * A compact JWS (RFC 7515 section 7.1) taken apart: what every reader of JWTs here does before anybody's key is asked. Nothing
 * of it is believed yet: who reads one looks at the algorithm, picks a key, and has the signature verified.
 */
#ifndef COFRE_ATTEST_TOKEN_JWS_H
#define COFRE_ATTEST_TOKEN_JWS_H

#include <jansson.h>

#include "vmm/base/bytes.h"

/* Zeroed is empty. Owned, but for the texts within header. */
struct jws {
    json_t *jws; /* as libjose has it, flattened: protected, payload, signature as texts */
    json_t *header, *claims;
    struct bytes signature;
    const char *alg, *kid; /* of the header; NULL where there is none, or it is no text */
};
void jws_free(struct jws *jws);
#define CLEAN_JWS __attribute__((cleanup(jws_free))) struct jws

/* Whether the text would be taken for one, well formed or not: three parts of base64url, at most max bytes. Newlines at its end
 * are no part of it. */
bool jws_recognises(struct view token, size_t max);
/* -COFRE_MALFORMED: it is none, header or claims are no object of JSON, or the header has what would let a forger choose the key
 * or its reading ("crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"). */
int jws_read(struct jws *out, struct view token, size_t max, struct cofre_err *err);
/* By libjose, with that key alone, as JSON has it (RFC 7517), whose "alg" is the one that is demanded.
 * -COFRE_NEGATIVE: the signature is not one of these bytes by this key. */
int jws_verify(const struct jws *jws, const json_t *jwk, struct cofre_err *err);

#endif
