/*
 * The one writer of verdicts: result, nonce and log entry are kept together, many requests' in one transaction, and only then is
 * a request answered. So what was acknowledged is on stable storage, and a disk that takes milliseconds for that does it
 * for all who wait.
 */
#ifndef COFRE_ATTEST_SERVICE_LEDGER_H
#define COFRE_ATTEST_SERVICE_LEDGER_H

#include "attest/log/entry.h"
#include "attest/service/trust.h"
#include "attest/store/db_log.h"
#include "attest/store/result.h"

/* What a request leaves; owned by the ledger once it is given. */
struct record {
    struct request *request;
    struct bytes challenge; /* a nonce of ours that it uses up; len 0: none */
    struct log_entry entry;
    struct result result; /* borrows the texts and bytes below */
    char id[RESULT_ID_SIZE];
    uint8_t key[32], evidence[32];
    char *policy, *submitter, *verdict, *jwt;
    struct bytes cwt;
    const struct record_more *more; /* NULL: there is none */
    void *context;                  /* more's */
    struct record *next;
};

/*
 * What else is kept with a result, in the same transaction, and answered instead of it. Such a request is never answered by an earlier
 * one's result: it comes once. keep may be called several times, each of which begins anew; a negative value is the
 * database's, and nothing is kept.
 */
struct record_more {
    int (*keep)(struct record *record, struct db *db, struct db_log *log, int64_t now, struct cofre_err *err);
    void (*answer)(struct record *record); /* answers record->request */
    void (*free)(void *context);
};
void record_free(struct record *record);

int ledger_start(struct ledger **out, struct trust *trust, struct cofre_err *err);
/* Answers the request when the record is kept: with it, with the result that the same request got before, or with a problem. */
void ledger_give(struct ledger *ledger, struct record *record);
/* What was given is answered first. */
void ledger_free(struct ledger *ledger);

#endif
