/*
 * The virtqueue seen from the device, split or packed (virtio 1.2, 2.7 and 2.8), with indirect descriptors and event indices.
 * The rings belong to the guest: every index and descriptor is read once and checked, a chain is bounded, and
 * what is wrong comes back as an error with a sentence. After an error the queue must not be used until it is
 * set up anew.
 */
#ifndef COFRE_DEVICES_QUEUE_H
#define COFRE_DEVICES_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/error.h"
#include "vmm/devices/memory.h"

#define QUEUE_SIZE_MAX  256
#define QUEUE_CHAIN_MAX 256 /* buffers of one chain, also through an indirect table */

struct virtqueue {
    const struct guest_memory *mem;
    uint16_t size; /* 0: not set up */
    bool event_idx, indirect, packed;
    uint16_t next_avail, next_used; /* packed: places in the ring, and these are their wrap counters */
    bool avail_wrap, used_wrap;
    /* next_used when the driver was last asked about interrupts; packed: descriptors given back since */
    uint16_t signalled;
    uint16_t out;                   /* packed: descriptors of requests that were not given back yet, */
    uint16_t taken[QUEUE_SIZE_MAX]; /* and by id how many one has; 0: no such request */
    uint8_t *desc, *avail, *used;   /* packed: the ring; the driver's, the device's event suppression */
};

/* One request: buffers the driver wrote (readable), then buffers it wants filled (writable). The buffers are
 * guest memory that may change at any time; use chain_read and chain_write, or hand them to the kernel. */
struct queue_chain {
    uint16_t head; /* or, packed, id */
    unsigned readable, writable;
    uint64_t readable_len, writable_len;
    struct iovec iov[QUEUE_CHAIN_MAX];
};

struct queue_rings {
    uint16_t size;
    uint64_t desc, avail, used; /* guest physical addresses */
};

/* Checks size (a power of two up to QUEUE_SIZE_MAX), alignment and that all three parts are memory. */
int virtqueue_setup(struct virtqueue *q, const struct guest_memory *mem, const struct queue_rings *rings,
                    bool event_idx, bool indirect, struct cofre_err *err);

/* The same for a packed ring: desc, avail and used are where its ring and the driver's and the device's event suppression are. */
int virtqueue_setup_packed(struct virtqueue *q, const struct guest_memory *mem,
                           const struct queue_rings *rings, bool event_idx, bool indirect,
                           struct cofre_err *err);

/* 1: *chain is the next request; 0: there is none; negative: the ring is not one. */
int virtqueue_next(struct virtqueue *q, struct queue_chain *chain, struct cofre_err *err);

/* Gives the request back; written is how many bytes of its writable part the device filled. */
void virtqueue_done(struct virtqueue *q, uint16_t head, uint32_t written);

/* The same for several requests, in this order, which the driver sees all at once: the parts of one packet. */
struct queue_used {
    uint16_t head;
    uint32_t written;
};
void virtqueue_done_all(struct virtqueue *q, const struct queue_used *used, unsigned count);

/* Whether the driver wants an interrupt for what was given back since this was last called. */
bool virtqueue_wants_interrupt(struct virtqueue *q);

/* Asks the driver to notify of the next request. True when one came in meanwhile, for which it may not
 * notify. */
bool virtqueue_rearm(struct virtqueue *q);

/* Where the device stands in the ring, in vhost's form (VHOST_SET_VRING_BASE): the index of the next available entry;
 * packed: places and wrap counters (bit 15) of the next available and, in the upper half, the next used descriptor.
 * Going on at a position of somebody else's counts what that one gave back as signalled. */
uint32_t virtqueue_position(const struct virtqueue *q);
void virtqueue_set_position(struct virtqueue *q, uint32_t position);

/* Copies between the readable, or writable, part of a chain at offset and a buffer; returns how many bytes
 * there were. */
size_t chain_read(const struct queue_chain *chain, uint64_t offset, void *out, size_t len);
size_t chain_write(const struct queue_chain *chain, uint64_t offset, const void *data, size_t len);

/* The buffers of [offset, offset+len) of the readable or writable part, which must hold it; returns their
 * number. */
unsigned chain_slice(const struct queue_chain *chain, bool writable, uint64_t offset, uint64_t len,
                     struct iovec out[QUEUE_CHAIN_MAX]);

#endif
