/*
 * Requests that wait for a second approver. The exact request is held, all of it, and carried out when it was approved: once, as who
 * asked, by what he may at that time. What was approved of one request serves no other, nor anybody else.
 */
#ifndef COFRE_HOST_ACCESS_APPROVAL_H
#define COFRE_HOST_ACCESS_APPROVAL_H

#include "vmm/host/access/access.h"
#include "vmm/host/interface/operation.h"

#define APPROVAL_LIFETIME    3600 /* seconds that a request waits, and that its result is kept */
#define APPROVAL_WAITING_MAX 32   /* requests of one caller */

/* Of an operation that can ask for one: does the host, or the tenant's constraint? 1, 0, or negative. */
int approval_is_wanted(const struct access_config *config, struct db *db,
                       const struct access_request *request, struct cofre_err *err);

/* Of one that is carried out (request->approval): 0, and what was approved is used up now; -COFRE_NEGATIVE: it was not, or too long ago,
 * or has been carried out. Of one that somebody asks: 1, it waits, in the row of *number, which may have been made now; -COFRE_NEGATIVE:
 * too many wait. */
int approval_use(int64_t *number, const struct access_config *config, struct db *db,
                 const struct access_caller *caller, const struct access_request *request,
                 struct cofre_err *err);

/* What was approved and has not been carried out: one row after the other, in the order of their numbers. */
struct approval_given {
    int64_t number;
    struct access_caller who; /* as he was when he asked */
    const struct operation *operation;
    struct operation_parts part;
    json_t *query, *body;           /* owned; NULL */
    char by[ACCESS_PRINCIPAL_SIZE]; /* who approved it */
};
void approval_given_free(struct approval_given *given);
/* 0: the first one behind that number. 1: there is none. A row that cannot be read is an error, and its number is there. */
int approval_given_next(struct approval_given *out, struct db *db, int64_t after, struct cofre_err *err);
/* What became of it: result is kept with the row for as long as a request waits. */
int approval_settle(struct db *db, const struct access_config *config, int64_t number, bool done,
                    const json_t *result, int64_t now, struct cofre_err *err);

#endif
