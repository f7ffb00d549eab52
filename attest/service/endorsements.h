/* What the service judges with besides the evidence: vendors' lists and collateral, and roots trusted besides the vendors'.
 * Files that the configuration names; read again on SIGHUP. None of it is the client's to choose. */
#ifndef COFRE_ATTEST_SERVICE_ENDORSEMENTS_H
#define COFRE_ATTEST_SERVICE_ENDORSEMENTS_H

#include "attest/appraise.h"
#include "attest/service/config.h"

struct endorsements;

int endorsements_new(struct endorsements **out, const struct trust_config *config, struct cofre_err *err);
void endorsements_free(struct endorsements *e);
/* All or nothing: on an error they are the ones before. */
int endorsements_reload(struct endorsements *e, const struct trust_config *config, struct cofre_err *err);

/* Fills in in's lists, roots and collateral, and appraises. Any thread. */
int endorsements_appraise(struct endorsements *e, struct verdict *out, struct appraisal *in,
                          struct cofre_err *err);

#endif
