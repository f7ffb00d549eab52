/*
 * Requests that wait for a second approver. The exact request is held, by its digest: whoever asked asks again when it was
 * approved, and that once is let through. What was approved of one request serves no other, nor anybody else, nor twice.
 */
#ifndef COFRE_HOST_ACCESS_APPROVAL_H
#define COFRE_HOST_ACCESS_APPROVAL_H

#include "vmm/host/access/access.h"
#include "vmm/host/interface/operation.h"

#define APPROVAL_LIFETIME    3600 /* seconds */
#define APPROVAL_WAITING_MAX 32   /* requests of one caller */

/* Of an operation that can ask for one: does the host, or the tenant's constraint? 1, 0, or negative. */
int approval_is_wanted(const struct access_config *config, struct db *db,
                       const struct access_request *request, struct cofre_err *err);

/* 0: it was approved, which is used up now. 1: it waits, in the row of *number, which may have been made now. -COFRE_NEGATIVE: too
 * many wait. */
int approval_use(int64_t *number, const struct access_config *config, struct db *db,
                 const struct access_caller *caller, const struct access_request *request,
                 struct cofre_err *err);

#endif
