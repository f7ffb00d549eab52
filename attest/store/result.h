/* Verdicts that were given, with the tokens that say so. */
#ifndef COFRE_ATTEST_STORE_RESULT_H
#define COFRE_ATTEST_STORE_RESULT_H

#include "attest/store/db.h"

#define RESULT_ID_SIZE 33 /* 32 hex digits and a zero */

/* Borrowed, but for what result_find gives its caller for as long as the call lasts. */
struct result {
    const char *id;
    struct view request; /* 32 bytes that tell a repeated request from a new one */
    int64_t made;        /* seconds since 1970 */
    const char *tee, *outcome;
    const char *policy;
    int64_t policy_version;
    struct view evidence; /* SHA-256 of it */
    const char *submitter;
    const char *verdict; /* JSON, as cofre verify prints it */
    struct view cwt;
    const char *jwt;   /* "": none was asked for */
    int64_t log_index; /* of its entry in the log of verdicts */
};

/* -COFRE_NEGATIVE: the request has a result already, and nothing was stored. */
int result_keep(struct db *db, const struct result *result, struct cofre_err *err);

typedef int (*result_take)(void *context, const struct result *result, struct cofre_err *err);
/* Calls take with the one there is. -COFRE_NEGATIVE: there is none. */
int result_find(struct db *db, const char *id, result_take take, void *context, struct cofre_err *err);
int result_find_request(struct db *db, struct view request, result_take take, void *context,
                        struct cofre_err *err);
/* Those on that evidence, newest first, at most limit; their number. */
int result_find_evidence(struct db *db, struct view evidence, int64_t limit, result_take take, void *context,
                         struct cofre_err *err);

#endif
