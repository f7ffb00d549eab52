#include "vmm/devices/block_io.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/log.h"

#define LOG_ROOM "block"

#define WORKERS_MAX       16 /* threads that the kernel may make for one ring's operations that have to wait */
#define RETRY_MILLISECOND 1  /* after the kernel had no memory for what was submitted */

#ifndef BLOCK_URING_CMD_DISCARD
#define BLOCK_URING_CMD_DISCARD _IO(0x12, 0) /* Linux 6.12, linux/blkdev.h */
#endif

struct block_io {
    int fd;
    bool has_ring, has_discard_command;
    struct io_uring ring;
    unsigned depth, first, count; /* of done: a queue of those that ended without the ring */
    struct block_op *done[];
};

static int clear_mode(enum block_what what)
{
    return what == BLOCK_PUNCH ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
}

static ssize_t perform(int fd, const struct block_op *op)
{
    uint64_t range[2] = {op->offset, op->len};
    switch (op->what) {
    case BLOCK_READ:
        return preadv(fd, op->iov, (int)op->count, (off_t)op->offset);
    case BLOCK_WRITE:
        return pwritev(fd, op->iov, (int)op->count, (off_t)op->offset);
    case BLOCK_SYNC:
        return fdatasync(fd);
    case BLOCK_PUNCH:
    case BLOCK_ZERO:
        return fallocate(fd, clear_mode(op->what), (off_t)op->offset, (off_t)op->len);
    case BLOCK_DISCARD:
        return ioctl(fd, BLKDISCARD, range);
    }
    errno = EINVAL;
    return -1;
}

static void do_now(struct block_io *io, struct block_op *op)
{
    ssize_t n = perform(io->fd, op);
    op->result = n < 0 ? -errno : (int)n;
    io->done[(io->first + io->count++) % io->depth] = op;
}

/* The file is not registered with the ring: that would save some nanoseconds an operation, and keep it open, and with
 * it its lock, until the kernel gets round to taking the ring apart, which is after the process has ended. */
static void prepare(struct io_uring_sqe *sqe, int fd, struct block_op *op)
{
    const bool one = op->count == 1; /* the kernel need not fetch a list of buffers */
    switch (op->what) {
    case BLOCK_READ:
        if (one)
            io_uring_prep_read(sqe, fd, op->iov->iov_base, (unsigned)op->iov->iov_len, op->offset);
        else
            io_uring_prep_readv(sqe, fd, op->iov, op->count, op->offset);
        break;
    case BLOCK_WRITE:
        if (one)
            io_uring_prep_write(sqe, fd, op->iov->iov_base, (unsigned)op->iov->iov_len, op->offset);
        else
            io_uring_prep_writev(sqe, fd, op->iov, op->count, op->offset);
        break;
    case BLOCK_SYNC:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        break;
    case BLOCK_PUNCH:
    case BLOCK_ZERO:
        io_uring_prep_fallocate(sqe, fd, clear_mode(op->what), (off_t)op->offset, (off_t)op->len);
        break;
    case BLOCK_DISCARD:
        io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
        sqe->cmd_op = BLOCK_URING_CMD_DISCARD;
        sqe->addr = op->offset;
        sqe->addr3 = op->len;
        break;
    }
    io_uring_sqe_set_data(sqe, op);
}

void block_io_start(struct block_io *io, struct block_op *op)
{
    if (!io->has_ring || (op->what == BLOCK_DISCARD && !io->has_discard_command)) {
        do_now(io, op);
        return;
    }
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&io->ring))) /* as many as operations, so there is one after this */
        block_io_submit(io);
    prepare(sqe, io->fd, op);
}

/* What the kernel has no memory for stays in the ring; it must go out, because nobody would ask again. */
void block_io_submit(struct block_io *io)
{
    struct pollfd wait = {.fd = io->has_ring ? io->ring.ring_fd : -1, .events = POLLIN};
    while (io->has_ring && io_uring_sq_ready(&io->ring))
        if (io_uring_submit(&io->ring) < 0)
            (void)poll(&wait, 1, RETRY_MILLISECOND);
}

struct block_op *block_io_next(struct block_io *io)
{
    struct io_uring_cqe *cqe;
    struct block_op *op = NULL;
    while (io->count == 0 && io->has_ring && io_uring_peek_cqe(&io->ring, &cqe) == 0) {
        op = io_uring_cqe_get_data(cqe);
        op->result = cqe->res;
        io_uring_cqe_seen(&io->ring, cqe);
        if (op->what != BLOCK_DISCARD || (op->result != -EOPNOTSUPP && op->result != -EINVAL))
            return op;
        io->has_discard_command =
            false; /* a kernel before 6.12; the other way says what is true of the device */
        do_now(io, op);
    }
    if (io->count == 0)
        return NULL;
    op = io->done[io->first];
    io->first = (io->first + 1) % io->depth;
    io->count--;
    return op;
}

void block_io_wait(struct block_io *io)
{
    struct pollfd wait = {.fd = block_io_fd(io), .events = POLLIN};
    if (io->count == 0 && io->has_ring)
        (void)poll(&wait, 1, -1);
}

int block_io_fd(const struct block_io *io)
{
    return io->has_ring ? io->ring.ring_fd : -1;
}

/* What a ring is for, and nothing else that rings could do: seccomp(2) does not see what is asked of one. */
static int restrict_ring(struct io_uring *ring)
{
    static const uint8_t operations[] = {IORING_OP_READ,     IORING_OP_WRITE, IORING_OP_READV,
                                         IORING_OP_WRITEV,   IORING_OP_FSYNC, IORING_OP_FALLOCATE,
                                         IORING_OP_URING_CMD};
    struct io_uring_restriction allowed[sizeof operations] = {{0}};
    for (size_t i = 0; i < sizeof operations; i++) {
        allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
        allowed[i].sqe_op = operations[i];
    }
    int rc = io_uring_register(ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed, sizeof operations);
    return rc < 0 ? rc : io_uring_register(ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* R_DISABLED (5.10): until it is restricted. COOP_TASKRUN (Linux 5.19): a thread is not interrupted for what it will look for anyway. */
static int make_ring(struct block_io *io)
{
    int rc = io_uring_queue_init(io->depth, &io->ring, IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN);
    if (rc == -EINVAL)
        rc = io_uring_queue_init(io->depth, &io->ring, IORING_SETUP_R_DISABLED);
    if (rc < 0)
        return rc;
    unsigned workers[2] = {WORKERS_MAX, WORKERS_MAX};
    (void)io_uring_register_iowq_max_workers(&io->ring, workers); /* before 5.15 the kernel's own bound */
    rc = restrict_ring(&io->ring);
    if (rc < 0)
        io_uring_queue_exit(&io->ring);
    io->has_ring = io->has_discard_command = rc == 0;
    return rc;
}

int block_io_new(struct block_io **out, int fd, unsigned depth, struct cofre_err *err)
{
    struct block_io *io = calloc(1, sizeof *io + depth * sizeof *io->done);
    if (!io)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    io->fd = fd;
    io->depth = depth;
    int rc = make_ring(io);
    if (rc < 0)
        log_warn("this host allows no io_uring (%s): requests to a disk are served one after the other",
                 strerror(-rc));
    *out = io;
    return 0;
}

void block_io_free(struct block_io *io)
{
    if (io && io->has_ring)
        io_uring_queue_exit(&io->ring);
    free(io);
}
