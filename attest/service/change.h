/*
 * Who changed what the verdicts go by: policies, credentials, reference values. Each change has an entry of its own in the log of
 * verdicts (attest/log/entry.h), and is kept in the same transaction: neither is there without the other.
 *
 * Within the work of a db_atomically(), after the change itself was stored:
 *
 *     const struct change change = {.action = "added", .object = "value", .name = name, .version = 2,
 *                                   .actor = call->caller.name, .content = document, .detail = "from web.corim"};
 *     return change_log(call->trust, db, &change, err);
 */
#ifndef COFRE_ATTEST_SERVICE_CHANGE_H
#define COFRE_ATTEST_SERVICE_CHANGE_H

#include "attest/log/entry.h"
#include "attest/service/trust.h"
#include "attest/store/db.h"

/* Texts that are too long for their place are cut. */
struct change {
    const char *action; /* "added", "activated", "removed", "retired" */
    const char *object; /* "policy", "credential", "value" */
    const char *name;
    int64_t version;     /* 0 where the object has none */
    const char *actor;   /* caller.name */
    struct view content; /* whose SHA-256 is logged: the document, the signed file */
    struct view digest;  /* or that SHA-256 itself; len 0 where there is content */
    const char *detail;  /* a few words for an auditor, as a reason; NULL: none */
};

/* The entry itself, for who writes to the log by other means. */
int change_entry(struct log_entry *entry, const struct change *change, int64_t now, struct cofre_err *err);

/* Within a transaction. Needs trust's config, signer and clock, no more. */
int change_log(const struct trust *trust, struct db *db, const struct change *change, struct cofre_err *err);

#endif
