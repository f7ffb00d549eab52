/* JSON Web Keys by libjose; public ones only. */
#ifndef COFRE_ATTEST_TOKEN_JWK_H
#define COFRE_ATTEST_TOKEN_JWK_H

#include <jansson.h>
#include <jose/cfg.h>

#include "attest/cose/key.h"

/* libjose's settings, with its messages kept from standard error; NULL without memory. Freed with jose_cfg_decref. */
jose_cfg_t *quiet_jose(void);
static inline void cleanup_jose(jose_cfg_t **cfg)
{
    if (*cfg)
        jose_cfg_decref(*cfg);
}
#define CLEAN_JOSE __attribute__((cleanup(cleanup_jose))) jose_cfg_t

/* {"kty", "crv", "x", "y"} of the key's public part; NULL for a key of another kind, or without memory. */
json_t *jwk_of_key(const EVP_PKEY *key);
/* A key of a set, or alone. 0; 1 where it is not for us; -COFRE_MALFORMED. *out is the caller's. */
int jwk_read(struct cose_key *out, const json_t *jwk, struct cofre_err *err);

#endif
