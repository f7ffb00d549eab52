/* A log (attest/log) in the database, so that an entry and what it tells of are kept together or not at all: the service's of
 * verdicts, the host manager's of operations. */
#ifndef COFRE_ATTEST_STORE_DB_LOG_H
#define COFRE_ATTEST_STORE_DB_LOG_H

#include <openssl/types.h>
#include <stdio.h>

#include "attest/log/entry.h"
#include "attest/log/receipt.h"
#include "attest/log/tree.h"
#include "attest/store/db.h"

struct db_log {
    struct db *db;
    struct log_tree tree;
};

/* For proofs: the tree as it was at some moment. */
int db_log_open(struct db_log *out, struct db *db, struct cofre_err *err);
/* Within a transaction, to append: others wait until it ends. */
int db_log_open_to_append(struct db_log *out, struct db *db, struct cofre_err *err);
void db_log_close(struct db_log *log);
#define CLEAN_DB_LOG __attribute__((cleanup(db_log_close))) struct db_log

/* The first entry of a log that has none yet, of that name. */
int db_log_begin(struct db_log *log, const char *name, int64_t now, struct cofre_err *err);
/* *number: the entry's, from 0 on. */
int db_log_write(struct db_log *log, const struct log_entry *entry, int64_t *number, struct cofre_err *err);
int db_log_append(struct db_log *log, struct view entry, int64_t *number, struct cofre_err *err);
/* What was appended becomes the log, with a signed head over it. */
int db_log_sign(struct db_log *log, const char *name, EVP_PKEY *key, int64_t now, struct cofre_err *err);

typedef int (*db_log_take)(void *context, struct view bytes, struct cofre_err *err);
/* -COFRE_NEGATIVE: there is none, or it was removed. */
int db_log_entry(struct db *db, int64_t number, db_log_take take, void *context, struct cofre_err *err);
/* The first head over more than after entries, *size of them. -COFRE_NEGATIVE: there is none. */
int db_log_next_head(struct db *db, int64_t after, int64_t *size, db_log_take take, void *context,
                     struct cofre_err *err);
/* The newest head, of *size entries. */
int db_log_head(struct db *db, int64_t *size, db_log_take take, void *context, struct cofre_err *err);

/* The leaf's hash of an entry, which is there for ever. -COFRE_FAILED: there is no such entry. */
int db_log_leaf(struct db *db, int64_t number, struct log_hash *out, struct cofre_err *err);
/* The lowest number but 0 whose entry is there; the first that there will be, where there is none. */
int db_log_first(int64_t *out, struct db *db, struct cofre_err *err);
/* Within a transaction: the entries from the second on, up to before (which is not among them), are removed; their hashes stay, and
 * so does every proof. The number of those that were there. */
int64_t db_log_remove(struct db *db, int64_t before, struct cofre_err *err);

/* Within a transaction: there is no log any more, and the next one is another. Who ends one so has a copy of it. */
int db_log_end(struct db *db, struct cofre_err *err);

/* A receipt by the newest head: of entry number, or of growth since the size. -COFRE_NEGATIVE: the log has none. */
int db_log_prove(struct db *db, enum log_receipt_kind kind, int64_t number, struct bytes *out,
                 struct cofre_err *err);
/* All of it, as a log's file is (attest/log/item.h), which can be sought in. */
int db_log_copy(struct db *db, FILE *to, struct cofre_err *err);

#endif
