/* cofre verify --token: judges a result that a verifier signed. */
#ifndef COFRE_CLI_VERIFY_TOKEN_H
#define COFRE_CLI_VERIFY_TOKEN_H

#include "attest/token/token.h"

/* Prints what the token says and whether that is good; 0 where it is, -COFRE_NEGATIVE where it is not, or where the token
 * is nobody's, old, or for another nonce; with a sentence only where nothing was printed. */
int verify_token(struct view token, const struct cose_keys *keys, struct view nonce, int64_t at, bool json,
                 struct cofre_err *err);

#endif
