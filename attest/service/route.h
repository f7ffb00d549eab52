/* A call of the service's interface: one request, by one caller, with what it needs to be answered. */
#ifndef COFRE_ATTEST_SERVICE_ROUTE_H
#define COFRE_ATTEST_SERVICE_ROUTE_H

#include "attest/service/access.h"
#include "attest/service/memory.h"
#include "attest/service/trust.h"

struct call {
    struct trust *trust;
    struct db *db;         /* the worker's */
    struct memory *memory; /* the same */
    struct request *request;
    struct caller caller;
    char part[2][ACCESS_NAME_MAX + 1]; /* of the path, where the route has {} */
    int64_t now;                       /* seconds since 1970 */
};

struct route {
    const char *method, *path;      /* "/v1/policies/{}/{}" */
    unsigned roles;                 /* any of them; 0: everybody */
    void (*run)(struct call *call); /* answers the request */
};
extern const struct route routes[]; /* ended by a NULL method */

/* In a worker: finds the route, and answers the request by it or with a problem. */
void route_request(struct trust *trust, struct db *db, struct memory *memory, struct request *request);

/* The problem of a failure: what was asked is malformed, is not there, cannot be done now, failed. */
void call_fail(struct call *call, int rc, const struct cofre_err *err);
/* The body as one JSON object; NULL where it was answered already. */
json_t *call_body(struct call *call);

#endif
