/*
 * A queue in somebody else's hands: the kernel's vhost, or a process that speaks vhost-user. While it is, our thread serves
 * it no more; the driver's notifications go to the kick eventfd as always, which the other reads now, and what the other
 * writes to the call eventfd is the queue's interrupt. On a KVM that can, neither passes this process.
 * Whoever knows split rings only (the kernel's vhost) is given no others: such a device takes FEATURE_RING_PACKED out of
 * ring_features.
 */
#ifndef COFRE_DEVICES_VIRTIO_VRING_H
#define COFRE_DEVICES_VIRTIO_VRING_H

#include "vmm/devices/virtio.h"

/* What the other has to know, in the words of vhost: addresses are of this process, checked to be guest memory of the
 * right size. The descriptors stay the queue's: to be passed on, not to be closed. */
struct virtio_vring {
    uint16_t size;
    bool packed; /* then desc, avail, used are the ring and the driver's and the device's event suppression */
    uint8_t *desc, *avail, *used;
    uint32_t base; /* where to go on, as VHOST_SET_VRING_BASE has it (virtqueue_position) */
    int kick, call;
};

/* In ops.start, or with the queue's thread's lock held; the queue is enabled. Until virtio_take_back, or the end of
 * ops.reset (which has to make the other stop first), virtio_live says false of it. */
int virtio_hand_over(struct virtio_device *virtio, unsigned queue, struct virtio_vring *out,
                     struct cofre_err *err);
/* The other has stopped at base (VHOST_GET_VRING_BASE): our thread goes on there. With the queue's thread's lock held. */
void virtio_take_back(struct virtio_device *virtio, unsigned queue, uint32_t base);

#endif
