/* The service from its configuration to its end: database, workers, server. */
#ifndef COFRE_ATTEST_SERVICE_SERVICE_H
#define COFRE_ATTEST_SERVICE_SERVICE_H

#include "attest/service/trust.h"

/* Starts to answer at these sockets, of which it keeps copies. config outlives it. clock: seconds since 1970. */
int trust_start(struct trust **out, const struct trust_config *config, const int *listening, size_t listeners,
                int64_t (*clock)(void), struct cofre_err *err);
/* The files that this configuration names are taken from now on; where one is no good what was read before stays, and the error
 * says so. Its other members wait for a new start. */
int trust_reload(struct trust *trust, const struct trust_config *config, struct cofre_err *err);
/* What is under way is answered; who has not sent a whole request is not waited for. */
void trust_stop(struct trust *trust);

#endif
