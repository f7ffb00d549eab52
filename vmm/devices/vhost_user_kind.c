#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/base/bytes.h"
#include "vmm/devices/vhost_user_device.h"

#define BIT(n) (1ull << (n))

/* virtio 1.2, 5.2.3 and 5.2.4 */
enum block_feature {
    BLOCK_SIZE_MAX = 1,
    BLOCK_SEG_MAX = 2,
    BLOCK_GEOMETRY = 4,
    BLOCK_READ_ONLY = 5,
    BLOCK_BLK_SIZE = 6,
    BLOCK_FLUSH = 9,
    BLOCK_TOPOLOGY = 10,
    BLOCK_MQ = 12,
    BLOCK_DISCARD = 13,
    BLOCK_WRITE_ZEROES = 14,
};
#define BLOCK_CONFIG_SIZE   60
#define BLOCK_CONFIG_QUEUES 34

static int configure_block(struct virtio_device *virtio, struct vhost_user *b,
                           const struct vhost_user_spec *spec, struct cofre_err *err)
{
    if (spec->queues > 1 && !(b->features & BIT(BLOCK_MQ)))
        return cofre_fail(err, COFRE_LACKING, "back end %s: it has one queue only; leave queues=%u out",
                          b->path, spec->queues);
    virtio->config_len = BLOCK_CONFIG_SIZE;
    int rc = vhost_user_config(b, virtio->config, BLOCK_CONFIG_SIZE, err);
    put_le16(virtio->config + BLOCK_CONFIG_QUEUES, (uint16_t)spec->queues);
    return rc;
}

/* virtio 1.2, 5.1.3 and 5.1.4. A control queue would be the front end's; there is none, and so no feature that needs it. */
enum net_feature {
    NET_CSUM = 0,
    NET_GUEST_CSUM = 1,
    NET_MAC = 5,
    NET_GUEST_TSO4 = 7,
    NET_GUEST_TSO6 = 8,
    NET_GUEST_ECN = 9,
    NET_GUEST_UFO = 10,
    NET_HOST_TSO4 = 11,
    NET_HOST_TSO6 = 12,
    NET_HOST_ECN = 13,
    NET_HOST_UFO = 14,
    NET_MRG_RXBUF = 15,
};
#define MAC_LOCAL 0x02 /* in the first byte: no manufacturer's */

static int configure_net(struct virtio_device *virtio, struct vhost_user *b,
                         const struct vhost_user_spec *spec, struct cofre_err *err)
{
    virtio->features |= BIT(NET_MAC);
    virtio->config_len = sizeof spec->mac;
    memcpy(virtio->config, spec->mac, sizeof spec->mac);
    if (spec->has_mac)
        return 0;
    if (getrandom(virtio->config, sizeof spec->mac, 0) != sizeof spec->mac)
        return cofre_fail(err, COFRE_FAILED, "back end %s: no random MAC address", b->path);
    virtio->config[0] = (uint8_t)((virtio->config[0] & 0xfc) | MAC_LOCAL);
    return 0;
}

/* virtio 1.2, 5.11.4: the tag, then the number of request queues. */
static int configure_fs(struct virtio_device *virtio, struct vhost_user *b,
                        const struct vhost_user_spec *spec, struct cofre_err *err)
{
    if (!spec->tag)
        return cofre_fail(err, COFRE_USAGE, "back end %s: tag=T is needed, by which the guest mounts it",
                          b->path);
    virtio->config_len = VHOST_USER_TAG_SIZE + 4;
    memcpy(virtio->config, spec->tag, strlen(spec->tag));
    put_le32(virtio->config + VHOST_USER_TAG_SIZE, spec->queues);
    return 0;
}

static const char *const block_allows[] = {"queues", NULL};
static const char *const net_allows[] = {"mac", NULL};
static const char *const fs_allows[] = {"tag", "queues", NULL};

const struct vhost_user_kind vhost_user_kinds[] = {
    {
        .name = "block",
        .ops = {.name = "vhost-user block", .id = VIRTIO_ID_BLOCK, .class_code = 0x018000},
        .queues_each = 1,
        .allows = block_allows,
        .features = BIT(BLOCK_SIZE_MAX) | BIT(BLOCK_SEG_MAX) | BIT(BLOCK_GEOMETRY) | BIT(BLOCK_READ_ONLY) |
                    BIT(BLOCK_BLK_SIZE) | BIT(BLOCK_FLUSH) | BIT(BLOCK_TOPOLOGY) | BIT(BLOCK_MQ) |
                    BIT(BLOCK_DISCARD) | BIT(BLOCK_WRITE_ZEROES),
        .configure = configure_block,
    },
    {
        .name = "net",
        .ops = {.name = "vhost-user net", .id = VIRTIO_ID_NET, .class_code = 0x020000},
        .queues_each = 2,
        .allows = net_allows,
        .features = BIT(NET_CSUM) | BIT(NET_GUEST_CSUM) | BIT(NET_GUEST_TSO4) | BIT(NET_GUEST_TSO6) |
                    BIT(NET_GUEST_ECN) | BIT(NET_GUEST_UFO) | BIT(NET_HOST_TSO4) | BIT(NET_HOST_TSO6) |
                    BIT(NET_HOST_ECN) | BIT(NET_HOST_UFO) | BIT(NET_MRG_RXBUF),
        .configure = configure_net,
    },
    {
        .name = "fs",
        .ops = {.name = "vhost-user fs", .id = VIRTIO_ID_FS, .class_code = 0x018000},
        .queues_beside = 1, /* for what may not wait */
        .queues_each = 1,
        .allows = fs_allows,
        .configure = configure_fs,
    },
    {.name = NULL},
};
