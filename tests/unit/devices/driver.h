/* A driver for tests: plays the guest's part against a virtio device, through configuration space, the BAR
 * and rings in a memory of its own. Addresses in it are guest physical; everything the device sees can be
 * made wrong. */
#ifndef COFRE_TESTS_DRIVER_H
#define COFRE_TESTS_DRIVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/bus.h"
#include "vmm/devices/memory.h"
#include "vmm/devices/pci.h"
#include "vmm/devices/virtio.h"

#define DRIVER_MEMORY (1u << 21)
#define DRIVER_GPA    0x100000ull
#define DRIVER_BUFFER 0x80000u /* offset in memory from which on tests may use it as they like */
#define DRIVER_QUEUE  16
#define DRIVER_WINDOW 0xe0000000u

#define FEATURES_NEEDED (1ull << 32 | 1ull << 33)
#define FEATURE_PACKED  (1ull << 34)

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

struct desc {
    uint64_t address;
    uint32_t len;
    uint16_t flags, next;
};

struct packed_desc {
    uint64_t address;
    uint32_t len;
    uint16_t id, flags;
};

/* Tests write chains as descriptors of a split ring. In a packed one desc is the driver's own, and driver_post writes what
 * they say into the ring: at most DRIVER_QUEUE descriptors in an indirect table, in the order of the table. */
struct driver_queue {
    uint16_t size;
    struct desc *desc;
    uint16_t *avail,
        *used; /* flags, idx, ring...; used's elements are 4 words each; packed: event suppression */
    uint16_t next_avail, next_used;
    bool packed, avail_wrap, used_wrap;
    struct packed_desc *ring;
    uint8_t slots[DRIVER_QUEUE]; /* how many the chain with that head took */
};

struct driver {
    uint8_t *memory;
    int memfd;
    struct guest_memory mem;
    struct bus mmio, ports;
    struct pci_bus pci;
    struct virtio_device *device;
    unsigned slot, msix;
    uint64_t common, notify, isr, config; /* bus addresses of the structures */
    uint32_t notify_multiplier;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    unsigned interrupts[PCI_MSIX_VECTORS]; /* messages by data */
    unsigned config_changes;               /* that were waited for */
    bool packed;                           /* negotiated; so in every test where COFRE_RINGS is "packed" */
    struct driver_queue queue[VIRTIO_QUEUES_MAX];
};

/* Buses, memory and the device attached; found by its capabilities, memory decoding and mastering on, MSI-X
 * on. */
void driver_open(struct driver *d, struct virtio_device *device);
/* Frees the device too. */
void driver_close(struct driver *d);

uint64_t driver_read(struct driver *d, uint64_t address, unsigned len);
void driver_write(struct driver *d, uint64_t address, unsigned len, uint64_t value);
uint32_t driver_config_read(struct driver *d, unsigned offset, unsigned len);
void driver_config_write(struct driver *d, unsigned offset, unsigned len, uint32_t value);

uint8_t driver_status(struct driver *d);
void driver_reset(struct driver *d);
/* Features and FEATURES_OK; whether the device agreed. */
bool driver_negotiate(struct driver *d, uint64_t features);
uint64_t driver_offered(struct driver *d);
/* COFRE_RINGS is "packed": tests are of packed rings where the device offers them. */
bool driver_wants_packed(void);
/* All queues at fixed places, then DRIVER_OK. */
void driver_start(struct driver *d);
/* driver_negotiate with what is needed and extra, asserted, then driver_start. */
void driver_go(struct driver *d, uint64_t extra);

void *at(struct driver *d, uint64_t gpa);
void driver_notify(struct driver *d, unsigned queue);
/* Makes the chain of descriptor head available. */
void driver_put(struct driver *d, unsigned queue, uint16_t head);
/* With event indices: whether the device wants to be notified of what was put last, one request at a time; and that the
 * driver wants to be interrupted when the nth of those after the ones waited for (0: the next) comes back. */
bool driver_should_notify(struct driver *d, unsigned queue);
void driver_interrupt_at(struct driver *d, unsigned queue, unsigned nth);
/* Puts it and notifies. */
void driver_post(struct driver *d, unsigned queue, uint16_t head);
/* Whether a request came back that was not waited for. */
bool driver_came_back(struct driver *d, unsigned queue);
/* Waits for one request to come back; its head and how much was written. Fails the test after some seconds.
 */
uint32_t driver_wait(struct driver *d, unsigned queue, uint16_t *head);
/* Waits until the device needs a reset. */
void driver_wait_broken(struct driver *d);
/* Waits until that many interrupts of that vector came since the beginning. */
void driver_wait_interrupts(struct driver *d, unsigned vector, unsigned count);

/* One request of a readable and a writable part (len 0: none), at descriptors 0 and 1; returns what was
 * written. */
uint32_t driver_ask(struct driver *d, unsigned queue, uint64_t out, uint32_t out_len, uint64_t in,
                    uint32_t in_len);

#endif
