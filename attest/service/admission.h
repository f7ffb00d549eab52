/* Letting somebody in: what a credential may say, the token that is told once, and the entry in the log. */
#ifndef COFRE_ATTEST_SERVICE_ADMISSION_H
#define COFRE_ATTEST_SERVICE_ADMISSION_H

#include "attest/service/trust.h"
#include "attest/store/credential.h"

#define ADMISSION_TOKEN_SIZE 65 /* 64 hexadecimal digits and a zero */

/* Name, roles, scope and end; -COFRE_USAGE names the one that cannot be. */
int admission_check(const struct credential *credential, int64_t now, struct cofre_err *err);
/* A new token, which nobody can guess, and the digest that is kept of it. */
int admission_token(char token[static ADMISSION_TOKEN_SIZE], uint8_t digest[static 32],
                    struct cofre_err *err);
/* The credential and its entry in the log, or neither. -COFRE_NEGATIVE: it is known already. */
int admission_keep(const struct trust *trust, struct db *db, const struct credential *credential,
                   struct cofre_err *err);

#endif
