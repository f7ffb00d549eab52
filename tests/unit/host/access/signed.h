/* Tokens as they are signed, and as they are forged. Texts of JSON have single quotes; what is returned is the caller's. */
#ifndef COFRE_TEST_HOST_SIGNED_H
#define COFRE_TEST_HOST_SIGNED_H

#include <jansson.h>

json_t *signed_generate(const char *spec); /* a whole key, by libjose */
json_t *signed_public(const json_t *jwk);
char *signed_joined(const char *header, const char *payload, const char *signature);
char *signed_sign(const char *header, const char *claims, const json_t *key);
/* Nobody signs it: that is its signature. */
char *signed_none(const char *header, const char *claims, const char *signature);

#endif
