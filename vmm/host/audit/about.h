/*
 * What entries are about, in columns, so that a page of them is found by keys however long the log is. It follows from the
 * entries, vouches for nothing, and can be made again from them: whoever wants to know reads the entry.
 */
#ifndef COFRE_HOST_AUDIT_ABOUT_H
#define COFRE_HOST_AUDIT_ABOUT_H

#include "vmm/host/audit/audit.h"

/* The table, as one step of the host's schema. */
extern const char *const about_schema;

/* Writes an entry of the turn, and what it is about. */
int audit_write(struct audit_turn *turn, const struct log_entry *entry, int64_t *number,
                struct cofre_err *err);

int about_add(struct db *db, int64_t number, const struct log_entry *entry, struct cofre_err *err);
/* Of those before this number; what they say is gone. */
int about_remove(struct db *db, int64_t before, struct cofre_err *err);
/* Within a transaction: for entries that were written before there was the table. */
int about_catch_up(struct db *db, struct cofre_err *err);

/* Which entries. NULL: any. */
struct about_query {
    const char *tenant, *who, *object;
    const char *operation; /* "guest.start", "guest.*", "*" */
    int64_t from, to;      /* not before, and before */
    bool launches, operations, differing;
    bool newest;   /* by their times, the newest first; else by their numbers */
    int64_t after; /* the last one of the page before; -1: the first page */
    int64_t limit;
};
/* take gets their numbers. 0, or an error, which may be take's. */
int about_find(struct db *db, const struct about_query *query,
               int (*take)(void *context, int64_t number, struct cofre_err *err), void *context,
               struct cofre_err *err);

#endif
