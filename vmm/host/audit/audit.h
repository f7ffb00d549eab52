/*
 * The record of what was asked of this host, and of what was launched on it: a log (attest/log, docs/log.md) in the decider's database.
 * An entry is in the transaction of its effect, so neither is there without the other; many operations' in one, so that one
 * commit and one signature serve all of them:
 *
 *     work of db_atomically():                 may be called several times
 *         CLEAN_AUDIT_TURN turn = {0};
 *         audit_begin(&turn, audit, db, now, err);
 *         for each operation: its effect; audit_operation(&turn, &operation, &number, err);
 *         audit_sign(&turn, err);
 *     audit_kept(audit);                       once the transaction is
 *     answers to all
 *
 * No secret can enter: entries have digests, numbers and short texts (attest/log/entry.h), and documents come in as their SHA-256.
 */
#ifndef COFRE_HOST_AUDIT_H
#define COFRE_HOST_AUDIT_H

#include <jansson.h>

#include "attest/store/db_log.h"

/* The tables, as one step of the host's schema. */
extern const char *const audit_schema;

#define AUDIT_UNKNOWN_A_SECOND 8 /* entries for refusals of callers who have not shown who they are */

struct audit_config {
    const char *key;  /* PEM: an EC key of P-256 or P-384, which signs heads and nothing else */
    const char *name; /* the log's, 1 to LOG_NAME_MAX bytes: "operations on host7.example.org" */
};

/* The key, and what was counted instead of logged. One thread's. */
struct audit;
int audit_new(struct audit **out, const struct audit_config *config, struct cofre_err *err);
void audit_free(struct audit *audit);

/* A transaction's. */
struct audit_turn {
    struct audit *audit;
    struct db_log log;
    int64_t now;
    uint64_t before;
};
int audit_begin(struct audit_turn *turn, struct audit *audit, struct db *db, int64_t now,
                struct cofre_err *err);
/* What was appended becomes the log, with a signed head over it. Where nothing was, nothing is signed. */
int audit_sign(struct audit_turn *turn, struct cofre_err *err);
void audit_end(struct audit_turn *turn);
#define CLEAN_AUDIT_TURN __attribute__((cleanup(audit_end))) struct audit_turn
/* The transaction of the last audit_sign was kept. */
void audit_kept(struct audit *audit);

/* An operation. Texts may be anybody's: they are made printable, and cut where they are too long. NULL: there is none. */
struct audit_operation {
    enum log_operation_outcome outcome;
    const char *operation; /* "guest.start" */
    const char *request;   /* the request's id */
    const char *subject;   /* who: "uid:1000" */
    const char *identity;  /* how he showed it: "certificate", "socket", "token", "none" */
    const char *from;      /* "192.0.2.7:40312", "pid 17" */
    const char *tenant, *object;
    struct view before, after; /* documents, whose SHA-256 is logged; data NULL: there is none */
    const char *detail;        /* a few words: why it was refused */
};
/* *number, the entry's, may be NULL. */
int audit_operation(struct audit_turn *turn, const struct audit_operation *operation, int64_t *number,
                    struct cofre_err *err);

/*
 * Before a turn is made for the refusal of somebody unknown: false where there were too many of them in this second, and this one
 * was counted. What was counted is told by one entry of the next turn that begins in a later second.
 */
bool audit_may_tell(struct audit *audit, int64_t now);
/* Something was counted that a turn in this second would tell. */
bool audit_has_to_tell(const struct audit *audit, int64_t now);

/* What follows may be taken back with a savepoint of the caller's: then the turn goes on behind the mark. */
struct audit_mark {
    struct log_tree tree;
};
void audit_set_mark(struct audit_mark *out, const struct audit_turn *turn);
void audit_go_back(struct audit_turn *turn, const struct audit_mark *mark);

/* A launch. The caller fills in what it knows of the kind's members (attest/log/entry.h); the texts are made printable. */
int audit_launch(struct audit_turn *turn, const struct log_entry *launch, int64_t *number,
                 struct cofre_err *err);
/* Members that follow from what cofre-vmm printed (cofre run --json): tee, emulated, what was predicted and reported, and the
 * outcome where the two differ. -COFRE_MALFORMED where it is no such result. */
int audit_launch_result(struct log_entry *launch, const json_t *result, struct cofre_err *err);

/*
 * Retention: the entries before number `before` are removed, all but the first one; the number of those that were there. The caller
 * has the turn say so, by an operation "audit.retain" of this object, "entries 1 to N". Hashes stay, and with them every proof; copies
 * of the log have the hashes in the place of these entries. Entries above the log's end, or none: -COFRE_USAGE.
 */
int64_t audit_retain(struct audit_turn *turn, int64_t before, char object[static LOG_NAME_MAX + 1],
                     struct cofre_err *err);
#define AUDIT_RETAIN "audit.retain"

/* Within a transaction: the log is over, and the next turn begins another one. Who ends it has a copy. */
int audit_end_log(struct db *db, struct cofre_err *err);

#endif
