/* Between virtio.c, which knows what a device's state means, and virtio_pci.c, which knows where a driver
 * finds it. */
#ifndef COFRE_DEVICES_VIRTIO_PCI_H
#define COFRE_DEVICES_VIRTIO_PCI_H

#include "vmm/devices/virtio.h"

/* virtio 1.2, 2.1 */
enum virtio_status {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_NEEDS_RESET = 64,
    STATUS_FAILED = 128,
};

enum virtio_isr { ISR_QUEUE = 1, ISR_CONFIG = 2 };
#define NO_VECTOR         0xffff
#define NOTIFY_MULTIPLIER 4 /* bytes from a queue's notification address to the next */

/* The one BAR: the structures that the capabilities point to, a page each. */
enum virtio_bar {
    BAR_COMMON = 0x0000,
    BAR_ISR = 0x1000,
    BAR_CONFIG = 0x2000,
    BAR_NOTIFY = 0x3000,
    BAR_MSIX_TABLE = 0x4000,
    BAR_MSIX_PBA = 0x5000,
    BAR_SIZE = 0x8000,
};

/* PCI's side of a device whose queues and configuration are known. */
void virtio_pci_init(struct virtio_device *virtio);

/* The locks of all threads, in order. */
void virtio_lock(struct virtio_device *virtio);
void virtio_unlock(struct virtio_device *virtio);

/* With all of them held. */
void virtio_reset(struct virtio_device *virtio);
uint64_t virtio_offered(const struct virtio_device *virtio);
void virtio_set_status(struct virtio_device *virtio, uint8_t status);
void virtio_enable_queue(struct virtio_device *virtio, struct virtio_queue *q);
void virtio_set_vector(struct virtio_device *virtio, struct virtio_queue *q, uint16_t vector);
/* With a thread's. */
void virtio_interrupt(struct virtio_device *virtio, uint16_t vector, uint8_t isr);
void virtio_vring_end(struct virtio_queue *q);
/* Without any. */
void virtio_notify(struct virtio_device *virtio, unsigned queue);

#endif
