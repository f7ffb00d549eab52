/*
 * The vhost-user protocol, the front end's half (QEMU 10.0.2, docs/interop/vhost-user.rst): a back end, another process at
 * the end of a unix socket, serves a device's rings. It gets the guest memory that has a file, event descriptors for each
 * ring, and the features that driver and back end agreed upon.
 *
 * The back end is trusted with that memory, and with nothing of this process. Every answer has one right request, flags and
 * size, and comes within the patience; descriptors are never accepted; addresses in messages are the guest's, so that a
 * back end learns none of ours. There is no channel for requests of the back end.
 *
 * After an error the connection has ended for good, and every further call fails. One thread at a time.
 *
 * System calls after vhost_user_greet: sendmsg, recvmsg, poll and shutdown on the one socket, clock_gettime, and close.
 */
#ifndef COFRE_DEVICES_VHOST_USER_H
#define COFRE_DEVICES_VHOST_USER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/devices/memory.h"
#include "vmm/devices/queue.h"

#define VHOST_USER_CONFIG_MAX 256
#define VHOST_USER_PATIENCE   10000

enum vhost_user_protocol_feature {
    VHOST_USER_MQ = 0,
    VHOST_USER_REPLY_ACK = 3,
    VHOST_USER_CONFIG = 9,
};

struct vhost_user {
    int fd;           /* -1: closed */
    bool ended;       /* there was an error, or vhost_user_end */
    const char *path; /* for sentences; the caller's */
    int patience;     /* milliseconds for one message and its answer */
    uint64_t features;
    uint32_t protocol; /* what both sides know of enum vhost_user_protocol_feature, by bit */
    uint32_t queues;   /* how many the back end serves; UINT32_MAX where it does not tell */
};

/* Connects to the back end that listens at path. COFRE_LACKING where there is none. */
int vhost_user_connect(struct vhost_user *b, const char *path, struct cofre_err *err);
/* Asks for the features and how many queues there are, agrees on the protocol's own, and takes the session. */
int vhost_user_greet(struct vhost_user *b, struct cofre_err *err);
/* Says no more, and hears no more. */
void vhost_user_end(struct vhost_user *b);
void vhost_user_close(struct vhost_user *b);

/* The first len bytes (up to VHOST_USER_CONFIG_MAX) of the device's configuration. COFRE_LACKING without VHOST_USER_CONFIG. */
int vhost_user_config(struct vhost_user *b, void *out, uint32_t len, struct cofre_err *err);

/* What the driver accepted: a subset of what the back end offers. */
int vhost_user_set_features(struct vhost_user *b, uint64_t features, struct cofre_err *err);
/* Hands over the regions that have a file. */
int vhost_user_set_memory(struct vhost_user *b, const struct guest_memory *mem, struct cofre_err *err);

/* A ring by guest addresses. The descriptors stay the caller's. */
struct vhost_user_ring {
    struct queue_rings rings;
    uint32_t base;         /* where to begin, in the form that split and packed rings have it */
    int kick, call, error; /* eventfds: a request is there, one is done, the back end cannot go on */
};
int vhost_user_start_ring(struct vhost_user *b, uint32_t index, const struct vhost_user_ring *ring,
                          struct cofre_err *err);
/* After it the back end does not touch the ring. */
int vhost_user_stop_ring(struct vhost_user *b, uint32_t index, struct cofre_err *err);

#endif
