/*
 * A database that came from a backup. Its log ends with the backup: what the lost host wrote behind that may be with others, and
 * whoever went on with the same log would show them another one. So it begins a new log, and the first thing that is in it is where
 * the one before ended, and by which head.
 */
#ifndef COFRE_HOST_STORE_RESTORED_H
#define COFRE_HOST_STORE_RESTORED_H

#include "vmm/host/audit/audit.h"

/* The table, as one step of the host's schema. */
extern const char *const restored_schema;

/* Within a transaction: the log is ended, and the next start has to tell. made: when the backup was, seconds since 1970; lost: entries
 * of which is known that they came after it. */
int restored_keep(struct db *db, struct view head, int64_t made, int64_t lost, struct cofre_err *err);
/* In the transaction of the log's first entry: an operation "host.restore", which has the head's SHA-256 as what was before. */
int restored_tell(struct audit_turn *turn, struct db *db, struct cofre_err *err);

#endif
