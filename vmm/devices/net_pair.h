/* One pair of a network card's queues, which one thread serves, and what it has in hand. Private to net.c and
 * net_pair.c. */
#ifndef COFRE_DEVICES_NET_PAIR_H
#define COFRE_DEVICES_NET_PAIR_H

#include <stdatomic.h>

#include "vmm/devices/net_backend.h"
#include "vmm/devices/net_vhost.h"
#include "vmm/devices/virtio.h"

enum net_direction { NET_RECEIVE = 0, NET_TRANSMIT = 1 }; /* as the driver sees it: queue 2n and 2n+1 */

/* Buffers of the driver's, taken before a packet comes: its length is known only when it has been read, and it is read
 * straight into them. What goes beyond them lands in spill, and waits there for more buffers. */
struct net_receive {
    bool starved, partial;
    struct pace pace;
    unsigned iovs, buffers;
    size_t room;               /* of all buffers */
    size_t packet, spilled_at; /* a packet in wait: its length, and what of it is in the buffers; 0: none */
    struct iovec iov[NET_IOV_MAX];
    struct {
        struct queue_used used;
        unsigned iovs;
        size_t len;
    } buffer[QUEUE_SIZE_MAX];
    struct queue_chain chain;
    uint8_t spill[NET_PACKET_MAX + 1]; /* one more, so that a packet too long is seen */
};

struct net_transmit {
    bool held; /* the packet could not be sent yet */
    struct pace pace;
    struct net_header header;
    struct queue_chain chain;
};

struct net_pair {
    struct net *net;
    unsigned index;
    struct loop_source source; /* the backend's descriptor */
    struct loop_source again;  /* of none: a direction may go on */
    bool slow[2];              /* by direction: it has used up what it may move for now */
    uint64_t wait;             /* nanoseconds until one may move again; 0: none waits */
    struct net_vhost vhost;    /* who serves the pair instead of us, where there is one */
    struct loop_source fault;
    struct net_receive rx;
    struct net_transmit tx;
};

struct net {
    struct virtio_device virtio;
    struct net_backend *backend;
    atomic_bool gone;
    atomic_ulong dropped[2];         /* by direction */
    struct log_allowance complaints; /* about the host, when the driver starts or asks for queues */
    struct net_pair pair[];
};

void net_pair_init(struct net_pair *pair, struct net *net, unsigned index);
/* Before the device is attached: vhost is to serve this pair. */
int net_pair_use_vhost(struct net_pair *pair, struct cofre_err *err);
void net_pair_close(struct net_pair *pair);
/* With the lock of the pair's thread: moves packets as far as they go in the directions of events (EPOLLIN, EPOLLOUT),
 * and waits for the rest. */
void net_pair_serve(struct net_pair *pair, uint32_t events);
/* With all locks, the driver being there: hands the pair to vhost, if it has one. Where that fails, it is served here. */
void net_pair_start(struct net_pair *pair);
/* With all locks: no buffer of the driver's is known any more. */
void net_pair_reset(struct net_pair *pair);

/* The backend has ended: the link goes down. */
void net_gone(struct net *net);

#endif
