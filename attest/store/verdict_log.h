/* The log of verdicts (attest/log) in the database, so that a verdict and its entry are kept together or not at all. */
#ifndef COFRE_ATTEST_STORE_VERDICT_LOG_H
#define COFRE_ATTEST_STORE_VERDICT_LOG_H

#include <openssl/types.h>

#include "attest/log/entry.h"
#include "attest/log/tree.h"
#include "attest/store/db.h"

struct verdict_log {
    struct db *db;
    struct log_tree tree;
};

/* For proofs: the tree as it was at some moment. */
int verdict_log_open(struct verdict_log *out, struct db *db, struct cofre_err *err);
/* Within a transaction, to append: others wait until it ends. */
int verdict_log_open_to_append(struct verdict_log *out, struct db *db, struct cofre_err *err);
void verdict_log_close(struct verdict_log *log);
#define CLEAN_VERDICT_LOG __attribute__((cleanup(verdict_log_close))) struct verdict_log

/* The first entry of a log that has none yet, of that name. */
int verdict_log_begin(struct verdict_log *log, const char *name, int64_t now, struct cofre_err *err);
/* *number: the entry's, from 0 on. */
int verdict_log_write(struct verdict_log *log, const struct log_entry *entry, int64_t *number,
                      struct cofre_err *err);
int verdict_log_append(struct verdict_log *log, struct view entry, int64_t *number, struct cofre_err *err);
/* What was appended becomes the log, with a signed head over it. */
int verdict_log_sign(struct verdict_log *log, const char *name, EVP_PKEY *key, int64_t now,
                     struct cofre_err *err);

typedef int (*verdict_log_take)(void *context, struct view bytes, struct cofre_err *err);
/* -COFRE_NEGATIVE: there is none. */
int verdict_log_entry(struct db *db, int64_t number, verdict_log_take take, void *context,
                      struct cofre_err *err);
/* The first head over more than after entries, *size of them. -COFRE_NEGATIVE: there is none. */
int verdict_log_next_head(struct db *db, int64_t after, int64_t *size, verdict_log_take take, void *context,
                          struct cofre_err *err);
/* The newest head, of *size entries. */
int verdict_log_head(struct db *db, int64_t *size, verdict_log_take take, void *context,
                     struct cofre_err *err);

#endif
