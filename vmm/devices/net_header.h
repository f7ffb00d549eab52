/*
 * What stands before every frame in a ring of a network device (virtio 1.2, 5.1.6; segmentation of UDP: virtio 1.3,
 * 5.1.6), and the features that say what may stand in it. A header from the guest reaches the host's kernel only after
 * net_header_check.
 */
#ifndef COFRE_DEVICES_NET_HEADER_H
#define COFRE_DEVICES_NET_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* virtio 1.2, 5.1.3; the last three: virtio 1.3, 5.1.3 */
enum net_feature {
    NET_CSUM = 0,
    NET_GUEST_CSUM = 1,
    NET_MTU = 3,
    NET_MAC = 5,
    NET_GUEST_TSO4 = 7,
    NET_GUEST_TSO6 = 8,
    NET_GUEST_ECN = 9,
    NET_HOST_TSO4 = 11,
    NET_HOST_TSO6 = 12,
    NET_HOST_ECN = 13,
    NET_MRG_RXBUF = 15,
    NET_STATUS = 16,
    NET_CTRL_VQ = 17,
    NET_MQ = 22,
    NET_GUEST_USO4 = 54,
    NET_GUEST_USO6 = 55,
    NET_HOST_USO = 56,
};
#define NET_BIT(feature) (1ull << (feature))

enum net_header_flag { NET_NEEDS_CSUM = 1 };
enum net_gso {
    NET_GSO_NONE = 0,
    NET_GSO_TCPV4 = 1,
    NET_GSO_TCPV6 = 4,
    NET_GSO_UDP_L4 = 5,
    NET_GSO_ECN = 0x80
};

/* All fields are little-endian. */
struct net_header {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct net_header) == 12, "virtio 1.2, 5.1.6");

#define NET_FRAME_MIN  14               /* an Ethernet header */
#define NET_FRAME_MAX  (65535 + 14 + 4) /* the longest IP packet, in a frame with a VLAN's tag */
#define NET_PACKET_MAX (sizeof(struct net_header) + NET_FRAME_MAX)

/* Whether a frame of that length may be sent with the header that the guest gave, under the features that were
 * negotiated. What no check covered is zero in it afterwards. */
bool net_header_check(struct net_header *header, uint64_t frame_len, uint64_t features);

/* Copies data to offset of the buffers, which hold it. */
void net_scatter(const struct iovec *iov, unsigned count, size_t offset, const void *data, size_t len);
/* The buffers without their first offset bytes and with at most len; returns their number. out may be iov. */
unsigned net_cut(const struct iovec *iov, unsigned count, size_t offset, size_t len, struct iovec *out);

#endif
