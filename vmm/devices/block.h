/*
 * A disk: virtio block device (virtio 1.2, 5.2) on a raw file or block device of the host, with many requests under way
 * at a time (block_io.h). What was written is on stable storage after a flush, and at virtio_free. Whatever the host
 * cannot do reaches the driver as an I/O error, and the log in a bounded number of lines. A reset waits for what is under
 * way, so that nothing touches the guest's memory after it.
 *
 * System calls of a device's thread after virtio_start_threads, besides those of loop.h (epoll_wait, epoll_ctl,
 * futex, read and write of eventfds) and of memory allocation: io_uring_enter. Where the ring could not be made at start: preadv,
 * pwritev, fdatasync, fallocate. On a block device also ioctl(BLKDISCARD), for kernels before 6.12. The thread that
 * resets the device: poll; io_uring_enter where the kernel has run out of memory. The thread that frees it: fdatasync.
 * The kernel's own threads that work for a ring (io-wq, at most 16 a queue) count for RLIMIT_NPROC and a cgroup's pids.
 */
#ifndef COFRE_DEVICES_BLOCK_H
#define COFRE_DEVICES_BLOCK_H

#include "vmm/devices/virtio.h"

/* spec is F[,ro][,direct][,queues=N][,serial=S]: read-only on request; past the host's page cache on request; N queues, each
 * with a thread of its own, 1 to 8, 1 unless given; the serial number, at
 * most 20 bytes, is "cofre" unless given. The file is locked, so that two guests do not write one disk; its size is a
 * multiple of 512 bytes, or of what direct I/O needs. COFRE_USAGE, COFRE_LACKING, COFRE_FAILED. */
int virtio_block_new(struct virtio_device **out, const char *spec, struct cofre_err *err);

#endif
