/*
 * What stands behind a network device on the host: an Ethernet that takes and gives packets, each a struct net_header
 * and a frame. Pair n of the device's queues is its descriptor n.
 */
#ifndef COFRE_DEVICES_NET_BACKEND_H
#define COFRE_DEVICES_NET_BACKEND_H

#include "vmm/base/error.h"
#include "vmm/devices/net_header.h"

#define NET_PAIRS_MAX 8
#define NET_MAC_LEN   6
#define NET_NAME_SIZE 128
#define NET_IOV_MAX   1000 /* buffers of one call; Linux takes 1024, of which a backend may want some */

enum net_outcome {
    NET_DONE,
    NET_LATER, /* nothing more can be sent, or is there to receive, now: wait for the descriptor */
    NET_PARTIAL, /* receive only: a packet has come in part; the next call continues it, with the same buffers */
    NET_DROPPED, /* this packet did not get through; the next one may */
    NET_GONE,    /* the backend has ended */
};

struct net_backend;

/* None blocks. send and receive are called with the lock of the pair's thread held, the others with all locks. */
struct net_backend_ops {
    /* Sends one packet: iov[0] is its header, which was checked; the rest is its frame, up to NET_FRAME_MAX. iov is the
     * callee's to change. After NET_LATER it is called again with the same packet, unless forget comes in between. */
    enum net_outcome (*send)(struct net_backend *backend, unsigned pair, struct iovec *iov, unsigned count);
    /* Reads one packet, header first, into buffers that have room for NET_PACKET_MAX in any case. */
    enum net_outcome (*receive)(struct net_backend *backend, unsigned pair, const struct iovec *iov,
                                unsigned count, size_t *len);
    /* The driver is there: these features were negotiated. May be NULL. */
    int (*start)(struct net_backend *backend, uint64_t features, struct cofre_err *err);
    /* From now on the host uses this many pairs, the first ones; with the lock of any thread. NULL: there is one. */
    int (*use_pairs)(struct net_backend *backend, unsigned pairs, struct cofre_err *err);
    /* The driver is gone: what was begun in either direction is not continued. May be NULL. */
    void (*forget)(struct net_backend *backend);
    void (*free)(struct net_backend *backend);
};

/* Part of a backend. */
struct net_backend {
    const struct net_backend_ops *ops;
    char name[NET_NAME_SIZE]; /* for sentences: "tap0", "passt" */
    unsigned pairs;
    bool paced;               /* by the device, at its rates: what stands behind it has none */
    int fd[NET_PAIRS_MAX];    /* not blocking; pairs of them */
    uint64_t features;        /* that it can serve: of checksums and segmentation */
    uint8_t mac[NET_MAC_LEN]; /* the guest's, unless the operator gives another */
    uint16_t mtu;             /* 0: not known */
};

#endif
