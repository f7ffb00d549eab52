/*
 * Operations on a disk's file that are under way, many at a time, by io_uring; where the host forbids it (an old
 * kernel, a container's seccomp filter, kernel.io_uring_disabled), each is done at once by the caller's thread
 * instead, to the same results. One struct block_io belongs to one thread at a time.
 */
#ifndef COFRE_DEVICES_BLOCK_IO_H
#define COFRE_DEVICES_BLOCK_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/error.h"

enum block_what {
    BLOCK_READ,    /* of the file into iov */
    BLOCK_WRITE,   /* of iov into the file */
    BLOCK_SYNC,    /* fdatasync of the whole file */
    BLOCK_PUNCH,   /* the range reads as zeros and takes no room */
    BLOCK_ZERO,    /* the range reads as zeros and keeps its room */
    BLOCK_DISCARD, /* the range of a block device may read as anything */
};

/* Stays where it is, and so do iov and what it points to, until block_io_next gives it back. */
struct block_op {
    enum block_what what;
    unsigned count; /* of iov */
    const struct iovec *iov;
    uint64_t offset, len; /* bytes; len is of no meaning for reads and writes */
    int result;           /* bytes moved, or 0; or a negative errno */
};

struct block_io;

/* For up to depth operations on fd, which stays the caller's. No io_uring is no failure, but one log line. */
int block_io_new(struct block_io **out, int fd, unsigned depth, struct cofre_err *err);
/* Nothing is under way. NULL is fine. */
void block_io_free(struct block_io *io);

/* A descriptor that is readable while operations wait in block_io_next, to be watched and not read; -1 where none
 * ever comes back later than block_io_submit. */
int block_io_fd(const struct block_io *io);

void block_io_start(struct block_io *io, struct block_op *op);
/* Hands what was started to the kernel. */
void block_io_submit(struct block_io *io);
/* One that has ended, or NULL. Asks the kernel nothing. */
struct block_op *block_io_next(struct block_io *io);
/* Until block_io_next has one; at least one is under way. */
void block_io_wait(struct block_io *io);

#endif
