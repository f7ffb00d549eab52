/*
 * What the service judges with besides the evidence: vendors' lists and collateral, and roots trusted besides the vendors'.
 * Files that the configuration names, read again on SIGHUP, come first; then what the database has, or a vendor's service is
 * asked for (attest/collateral). None of it is the client's to choose.
 */
#ifndef COFRE_ATTEST_SERVICE_ENDORSEMENTS_H
#define COFRE_ATTEST_SERVICE_ENDORSEMENTS_H

#include "attest/appraise.h"
#include "attest/service/config.h"
#include "attest/store/db.h"

struct endorsements;

/* The database has its tables. */
int endorsements_new(struct endorsements **out, const struct trust_config *config, int64_t (*clock)(void),
                     struct cofre_err *err);
void endorsements_free(struct endorsements *e);
/* All or nothing: on an error they are the ones before. */
int endorsements_reload(struct endorsements *e, const struct trust_config *config, struct cofre_err *err);

/* Fills in in's lists, roots, certificates and collateral, and appraises. Any thread, with its connection. -COFRE_LACKING with
 * *again (else 0): what is needed cannot be had from its vendor now, and may then. */
int endorsements_appraise(struct endorsements *e, struct db *db, struct verdict *out, struct appraisal *in,
                          int64_t *again, struct cofre_err *err);

#endif
