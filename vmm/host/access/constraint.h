/*
 * What a tenant's guests must be to be launched: one document for each tenant, of vmm/host/interface/schemas.h's table. Bits, measurements
 * and data are compared as attest/policy.h has them, so that what is let in here is what a verifier with the same values accepts.
 */
#ifndef COFRE_HOST_ACCESS_CONSTRAINT_H
#define COFRE_HOST_ACCESS_CONSTRAINT_H

#include <jansson.h>

#include "vmm/host/access/access.h"

/* 0: *document is the caller's. 1: the tenant has none. */
int constraint_load(json_t **document, struct db *db, const char *tenant, struct cofre_err *err);

/* Pure. -COFRE_USAGE: what the document says cannot be. */
int constraint_check_document(const json_t *document, struct cofre_err *err);
/* Pure, as access_constraint_check. */
int constraint_judge(const json_t *document, const json_t *definition,
                     const struct access_prediction *predicted, struct cofre_err *err);
/* Pure, as access_constraint_force. */
int constraint_force(const json_t *document, json_t *definition, struct cofre_err *err);

#endif
