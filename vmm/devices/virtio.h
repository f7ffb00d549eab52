/*
 * A virtio 1.2 device behind PCI (4.1): the modern transport only. A device fills a struct virtio_device,
 * gives a table of functions, and is served by a thread of its own. VIRTIO_F_VERSION_1 and
 * VIRTIO_F_ACCESS_PLATFORM are always offered and must be accepted: a confidential guest shares its buffers
 * because of the latter, a plain one loses nothing. What a hostile ring does to a device is
 * DEVICE_NEEDS_RESET and a log line, nothing more.
 */
#ifndef COFRE_DEVICES_VIRTIO_H
#define COFRE_DEVICES_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/devices/loop.h"
#include "vmm/devices/memory.h"
#include "vmm/devices/pci.h"
#include "vmm/devices/queue.h"

#define VIRTIO_QUEUES_MAX 4
#define VIRTIO_CONFIG_MAX 64

enum virtio_id { VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_ENTROPY = 4, VIRTIO_ID_VSOCK = 19 };

/* The queue and reset functions are called with the device's lock held. */
struct virtio_ops {
    const char *name; /* "block" */
    enum virtio_id id;
    uint32_t class_code; /* of PCI */
    unsigned queues;
    uint16_t queue_size;
    /* The device's thread: the driver has put requests into that queue, or set the device going. */
    void (*queue)(void *device, unsigned index);
    /* A vCPU's thread: forget all the driver gave, after which no queue is touched. May be NULL. */
    void (*reset)(void *device);
    /* After the thread has ended: finish what is open (flush, close) and free the device itself. */
    void (*free)(void *device);
};

struct virtio_queue {
    struct virtqueue ring;
    struct queue_rings rings; /* as the driver writes them, before it enables the queue */
    uint16_t vector;
    bool enabled;
};

/* Part of a device, which sets features, config and config_len after virtio_init; the rest is private to
 * virtio.c. */
struct virtio_device {
    const struct virtio_ops *ops;
    void *device;
    uint64_t features; /* offered, of the device's own kind */
    uint8_t config[VIRTIO_CONFIG_MAX];
    unsigned config_len; /* constant from virtio_attach on, so its generation never changes */

    struct pci_function pci;
    struct loop loop; /* its lock is the device's */
    struct loop_source kick;
    const struct guest_memory *mem;
    uint32_t kicked; /* queues with notifications, by bit; atomic */
    uint64_t driver_features;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select, config_vector;
    uint8_t status, isr;
    unsigned budget, complaints;
    unsigned window; /* offset of the capability that gives access to the BAR */
    struct virtio_queue queue[VIRTIO_QUEUES_MAX];
};

int virtio_init(struct virtio_device *virtio, const struct virtio_ops *ops, void *device,
                struct cofre_err *err);

/* Puts the device on the bus and starts its thread. mem is filled already and outlives the device, as the bus
 * does. */
int virtio_attach(struct virtio_device *virtio, struct pci_bus *pci, const struct guest_memory *mem,
                  struct cofre_err *err);
/* Ends the thread, finishes what is open and frees the device, attached or not. No vCPU runs any more. NULL
 * is fine. */
void virtio_free(struct virtio_device *virtio);

/* For devices, with the lock held. */
bool virtio_has(const struct virtio_device *virtio, unsigned feature_bit); /* negotiated */
bool virtio_live(const struct virtio_device *virtio, unsigned queue);      /* may take requests from it */
/* The next request; false when there is none now, the device is broken, or others should have their turn
 * first: the device's queue function is then called again. */
bool virtio_next(struct virtio_device *virtio, unsigned queue, struct queue_chain *chain);
/* Gives it back and interrupts the driver where it wants that. */
void virtio_done(struct virtio_device *virtio, unsigned queue, const struct queue_chain *chain,
                 uint64_t written);
/* The driver broke the protocol: the device needs a reset. The sentence goes to the log. */
void virtio_break(struct virtio_device *virtio, const struct cofre_err *why);

#endif
