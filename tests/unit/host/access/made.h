/* A database with this room's tables, callers and requests of a test's own. */
#ifndef TESTS_UNIT_HOST_ACCESS_MADE_H
#define TESTS_UNIT_HOST_ACCESS_MADE_H

#include "vmm/host/access/access.h"
#include "vmm/host/interface/operation.h"

#define NOW 1800000000

struct made {
    char folder[64];
    struct db *db;
    struct access_config config;
    struct access *access;
    int64_t approval; /* by which made_do carries something out; 0 */
};

void made_start(struct made *made);
void made_end(struct made *made);

struct access_caller made_caller(const char *name);                    /* "user:ann", "uid:7" */
struct access_caller made_member(const char *name, const char *group); /* the same in a group */
json_t *made_json(const char *text);                                   /* of '...' with single quotes */
int64_t made_grant(struct made *made, const char *subject, const char *role, const char *tenant,
                   const char *labels, bool deny); /* a row, whoever may make it */

/* As the decider does it: decided, and done where it is allowed. The outcome of deciding, and *rc what the operation said. */
enum access_outcome made_do(struct made *made, const struct access_caller *caller, const char *operation,
                            const char *args, int *rc, json_t **answer, struct cofre_err *err);

#endif
