/* A file that grows at its end. What is appended waits in memory until there is enough of it, or somebody wants it written. */
#ifndef COFRE_ATTEST_LOG_GROWING_FILE_H
#define COFRE_ATTEST_LOG_GROWING_FILE_H

#include "vmm/base/bytes.h"

#define GROWING_HELD_MAX 65536

struct growing_file {
    int fd;
    uint64_t written;  /* bytes that the kernel has */
    struct bytes held; /* GROWING_HELD_MAX bytes, of which held_len are to be written behind them */
    size_t held_len;
};

/* Takes fd, which is open for reading, and for writing unless nothing is to be appended. Zeroed with fd -1 is none. */
int growing_file_open(struct growing_file *out, int fd, struct cofre_err *err);
/* What was not written is lost. */
void growing_file_close(struct growing_file *f);

static inline uint64_t growing_file_size(const struct growing_file *f)
{
    return f->written + f->held_len;
}

/* -COFRE_FAILED, the reason in the sentence; how much of it was written is then open. */
int growing_file_append(struct growing_file *f, struct view data, struct cofre_err *err);
int growing_file_flush(struct growing_file *f,
                       struct cofre_err *err); /* to the kernel: outlives this process */
int growing_file_sync(struct growing_file *f,
                      struct cofre_err *err); /* to the disk: outlives the machine's power */

/* Exactly len bytes, wherever they are: -COFRE_FAILED where the file ends before. */
int growing_file_read(const struct growing_file *f, uint64_t offset, void *out, size_t len,
                      struct cofre_err *err);
/* Writes over bytes that the kernel has. */
int growing_file_rewrite(struct growing_file *f, uint64_t offset, struct view data, struct cofre_err *err);
/* Forgets what is behind the first size bytes; nothing may be held. */
int growing_file_cut(struct growing_file *f, uint64_t size, struct cofre_err *err);

#endif
