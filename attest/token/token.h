/* A token of either form. */
#ifndef COFRE_ATTEST_TOKEN_TOKEN_H
#define COFRE_ATTEST_TOKEN_TOKEN_H

#include "attest/token/cwt.h"
#include "attest/token/jwt.h"
#include "attest/token/key_set.h"

/* As jwt_verify, as cwt_verify. */
static inline int token_verify(struct ear *out, struct view token, const struct cose_keys *keys,
                               struct cofre_err *err)
{
    return jwt_recognises(token) ? jwt_verify(out, token, keys, err) : cwt_verify(out, token, keys, err);
}

#endif
