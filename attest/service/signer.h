/* The keys that the service signs with: tokens, and heads of its log. Files that the configuration names; read again on SIGHUP,
 * while requests go on. */
#ifndef COFRE_ATTEST_SERVICE_SIGNER_H
#define COFRE_ATTEST_SERVICE_SIGNER_H

#include "attest/corim/corim.h"
#include "attest/service/config.h"
#include "attest/store/db_log.h"
#include "attest/token/token.h"

struct signer;

int signer_new(struct signer **out, const struct trust_config *config, struct cofre_err *err);
void signer_free(struct signer *signer);
/* All or nothing: on an error the keys are the ones before. */
int signer_reload(struct signer *signer, const struct trust_config *config, struct cofre_err *err);

int signer_sign_cwt(struct signer *signer, struct bytes *out, const struct ear *ear, struct cofre_err *err);
int signer_sign_jwt(struct signer *signer, struct bytes *out, const struct ear *ear, struct cofre_err *err);
/* What a CWT says as a JWT by the current key. -COFRE_NEGATIVE: the CWT was signed by none of these keys. */
int signer_translate(struct signer *signer, struct bytes *jwt, struct view cwt, struct cofre_err *err);
int signer_sign_head(struct signer *signer, struct db_log *log, const char *name, int64_t now,
                     struct cofre_err *err);
int signer_sign_corim(struct signer *signer, struct bytes *out, const struct corim *corim,
                      struct cofre_err *err);
/* What is published, as a COSE key set or as a JWK set. */
int signer_publish(struct signer *signer, struct bytes *out, bool jwks, int64_t now, struct cofre_err *err);

#endif
