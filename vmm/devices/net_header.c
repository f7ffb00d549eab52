#include "vmm/devices/net_header.h"

#include "vmm/devices/memory.h"

/* What of segmentation needs which feature. */
static const struct {
    uint8_t gso_type;
    enum net_feature feature;
} gso_kinds[] = {
    {NET_GSO_TCPV4, NET_HOST_TSO4},
    {NET_GSO_TCPV6, NET_HOST_TSO6},
    {NET_GSO_TCPV4 | NET_GSO_ECN, NET_HOST_ECN},
    {NET_GSO_TCPV6 | NET_GSO_ECN, NET_HOST_ECN},
    {NET_GSO_UDP_L4, NET_HOST_USO},
};

static bool gso_allowed(uint8_t gso_type, uint64_t features)
{
    for (size_t i = 0; i < sizeof gso_kinds / sizeof gso_kinds[0]; i++)
        if (gso_kinds[i].gso_type == gso_type)
            return features & NET_BIT(gso_kinds[i].feature);
    return false;
}

bool net_header_check(struct net_header *header, uint64_t frame_len, uint64_t features)
{
    const struct net_header in = *header;
    struct net_header out = {0};
    if (frame_len < NET_FRAME_MIN || frame_len > NET_FRAME_MAX)
        return false;
    if (in.flags & NET_NEEDS_CSUM) {
        if (!(features & NET_BIT(NET_CSUM)) || in.csum_start + in.csum_offset + 2u > frame_len)
            return false;
        out.flags = NET_NEEDS_CSUM;
        out.csum_start = in.csum_start;
        out.csum_offset = in.csum_offset;
    }
    if (in.gso_type != NET_GSO_NONE) {
        /* Segments get checksums of their own, so segmentation comes with the one above (5.1.6.2.1). */
        if (!gso_allowed(in.gso_type, features) || !out.flags || in.gso_size == 0 || in.hdr_len > frame_len)
            return false;
        out.gso_type = in.gso_type;
        out.gso_size = in.gso_size;
        out.hdr_len = in.hdr_len;
    }
    *header = out;
    return true;
}

void net_scatter(const struct iovec *iov, unsigned count, size_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;
    for (unsigned i = 0; i < count && len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = iov[i].iov_len - offset < len ? iov[i].iov_len - offset : len;
        guest_copy((uint8_t *)iov[i].iov_base + offset, from, part);
        from += part;
        len -= part;
        offset = 0;
    }
}

unsigned net_cut(const struct iovec *iov, unsigned count, size_t offset, size_t len, struct iovec *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count && len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t part = iov[i].iov_len - offset < len ? iov[i].iov_len - offset : len;
        out[n++] = (struct iovec){(uint8_t *)iov[i].iov_base + offset, part};
        len -= part;
        offset = 0;
    }
    return n;
}
