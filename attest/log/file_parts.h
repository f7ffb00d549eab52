/* A log's file from the inside: for file.c, which uses it, and file_open.c and file_replay.c, which get it there. */
#ifndef COFRE_ATTEST_LOG_FILE_PARTS_H
#define COFRE_ATTEST_LOG_FILE_PARTS_H

#include "attest/log/file.h"
#include "attest/log/growing_file.h"

struct log_file {
    char *path;
    struct log_heads heads;
    struct growing_file items;  /* the log */
    struct growing_file hashes; /* the tree's list */
    struct growing_file places; /* of each entry: where its item begins, 64 bits */
    struct log_tree tree;
    struct bytes head; /* the last */
    struct log_state state;
    uint64_t length;    /* of the file, to the end of that head */
    uint64_t committed; /* as the file said when it was opened */
    bool broken;        /* a write failed */
};

/* file.c: what goes into the file, and what follows from it. */
int log_file_note_entry(struct log_file *f, const struct log_hash *leaf, uint64_t place,
                        struct cofre_err *err);
int log_file_current(struct log_file *f, struct log_state *out, struct cofre_err *err);
/* Its last head, in front of byte number length. */
int log_file_note_head(struct log_file *f, struct view head, const struct log_state *state, uint64_t length,
                       struct cofre_err *err);
/* That the file is good up to there, which is on the disk. */
int log_file_write_committed(struct log_file *f, struct cofre_err *err);

/* file_replay.c: reads the file from its beginning, and leaves what its last head covers. */
int log_file_replay(struct log_file *f, struct cofre_err *err);

#endif
