/*
 * A log in one file, which outlives the end of its process at any instruction and its machine's power.
 *
 * What a signed head covers is on the disk before the head is, and the head before log_file_commit returns. So after a crash
 * the file is the log up to some head, at least the last that was returned, and perhaps the beginning of what was to come.
 * Opening replays it, keeps what the last head covers, and cuts off the rest, which nobody was told of. What a head covers is
 * never cut or repaired: if it is not there as signed, the log does not open.
 *
 * Hashes and the places of entries follow from the file, and are kept in another without a name: 72 bytes an entry.
 */
#ifndef COFRE_ATTEST_LOG_FILE_H
#define COFRE_ATTEST_LOG_FILE_H

#include "attest/log/item.h"
#include "attest/log/tree.h"

/* What a head is signed over. */
struct log_state {
    uint64_t size; /* entries, 1 or more */
    struct log_hash root;
    struct log_hash id; /* the log's name for ever: the leaf's hash of its first entry */
};

/* Heads are made and judged by the caller; to the file they are bytes, LOG_HEAD_MAX at most. */
struct log_heads {
    void *context;
    /* NULL: the log is only read. */
    int (*sign)(void *context, const struct log_state *state, struct bytes *head, struct cofre_err *err);
    /* 0 where it is a head of exactly that state by somebody who may sign it. */
    int (*check)(void *context, struct view head, const struct log_state *state, struct cofre_err *err);
    bool check_all; /* all heads when the log is opened, and not the last alone */
};

struct log_file;

/* A new log with its first entry and a head over it. An existing file is an error, -COFRE_FAILED, and stays as it is. */
int log_file_create(const char *path, struct view genesis, const struct log_heads *heads,
                    struct cofre_err *err);

/* The same of a log that others keep: fill appends what it has, and heads->sign gives their head over that. */
int log_file_create_copy(const char *path, const struct log_heads *heads,
                         int (*fill)(void *context, struct log_file *f, struct cofre_err *err), void *context,
                         struct cofre_err *err);

/* For writing where heads->sign is there, by one process at a time; others may read meanwhile, and see the log as it was when
 * they opened it. Takes as long as hashing all entries. -COFRE_NEGATIVE, or what heads->check gives, where the log is not what
 * a head says; -COFRE_MALFORMED where it is no log, or damaged. heads is copied, its context outlives the log. */
int log_file_open(struct log_file **out, const char *path, const struct log_heads *heads,
                  struct cofre_err *err);
void log_file_close(struct log_file *f);
static inline void log_file_cleanup(struct log_file **f)
{
    log_file_close(*f);
}
#define CLEAN_LOG_FILE __attribute__((cleanup(log_file_cleanup))) struct log_file

/* What is appended counts from the next head on. *index, its number, may be NULL. */
int log_file_append(struct log_file *f, struct view entry, uint64_t *index, struct cofre_err *err);

/* An entry of which nothing but its leaf's hash is left. */
int log_file_append_removed(struct log_file *f, const struct log_hash *leaf, struct cofre_err *err);

/* A head over all entries, on the disk. If it could not be signed, the entries wait for the next try. After a failed write
 * neither can be called again: what the disk has, only opening can tell. */
int log_file_commit(struct log_file *f, struct cofre_err *err);

/* The last head and its state; valid until the next commit. */
struct view log_file_head(const struct log_file *f);
const struct log_state *log_file_state(const struct log_file *f);

/* Entry number index, below the state's size. The caller frees *out. -COFRE_NEGATIVE: it was removed. */
int log_file_entry(struct log_file *f, uint64_t index, struct bytes *out, struct cofre_err *err);

/* For proofs. */
struct log_tree *log_file_tree(struct log_file *f);

/* Bytes of the file up to the end of the last head: a copy of so many, or of more, is the log. */
uint64_t log_file_length(const struct log_file *f);

#endif
