/*
 * A network card's rings served by the host's kernel: vhost-net (linux/vhost.h; drivers/vhost/net.c), which moves
 * packets between them and a tap interface without this process.
 *
 * It reads and writes what guest_memory has, which is what the guest shares with its host, and nothing else of this
 * process; an address outside ends its work on that ring. The headers of the guest's packets are checked by the tap
 * interface, in the kernel, not here.
 *
 * After net_vhost_open it needs, in whatever thread sets a driver going or resets it, which is a vCPU's: the ioctls
 * VHOST_SET_OWNER, VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE, VHOST_SET_VRING_NUM, _BASE, _ADDR, _KICK, _CALL and _ERR, and
 * VHOST_NET_SET_BACKEND on its descriptors, read on its eventfd, and what virtio_hand_over needs (eventfd2, epoll_ctl,
 * close); in the device's thread, epoll_ctl. The kernel's own thread is of
 * this process, and made when the first driver is set going: it has the rights of the thread that does it.
 */
#ifndef COFRE_DEVICES_NET_VHOST_H
#define COFRE_DEVICES_NET_VHOST_H

#include "vmm/devices/net_backend.h"
#include "vmm/devices/virtio_vring.h"

/* Of the rings' features: those that vhost-net knows. */
#define NET_VHOST_RING_FEATURES (1ull << FEATURE_INDIRECT | 1ull << FEATURE_EVENT_IDX)

struct net_vhost {
    int fd;    /* -1: none */
    int fault; /* an eventfd: readable when a ring is none */
    bool owned, started, knows_memory;
};

/* For one pair of queues. COFRE_LACKING where the host has no vhost-net for this user. */
int net_vhost_open(struct net_vhost *out, struct cofre_err *err);
void net_vhost_close(struct net_vhost *vhost);

/* Serves the rings of the pair (receive, transmit) from here on; tap is the pair's descriptor. Where this fails nothing is
 * served. */
int net_vhost_start(struct net_vhost *vhost, const struct guest_memory *mem, uint64_t features,
                    const struct virtio_vring vring[2], int tap, struct cofre_err *err);
/* No ring is touched any more. */
void net_vhost_stop(struct net_vhost *vhost);

#endif
