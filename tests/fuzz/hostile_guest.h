/*
 * A hostile guest against one virtio device, for the targets of devices: configuration space, BAR, rings and buffers as the
 * input says. The device is made once and set back for each input; its threads are not started, their work is done when a
 * record says so, so that an input does the same each time.
 *
 * An input is a byte that says how it begins, then records of HOSTILE_RECORD bytes: what, width, address (2), value (8).
 */
#ifndef COFRE_TESTS_FUZZ_HOSTILE_GUEST_H
#define COFRE_TESTS_FUZZ_HOSTILE_GUEST_H

#include "tests/fuzz/fuzz.h"
#include "vmm/devices/virtio_pci.h"

#define HOSTILE_RECORD 12
#define HOSTILE_MEMORY (1u << 16)
#define HOSTILE_RINGS  0x4000u /* of one queue: table, available and used ring, buffers, a page each */

enum hostile_action {
    CONFIG_WRITE,
    CONFIG_READ,
    BAR_WRITE,
    BAR_READ,
    MEMORY_WRITE,
    NOTIFY,
    WORK,
    OTHER,
    HOSTILE_ACTIONS
};

/* How an input begins, by bits: features not negotiated; no driver at all: the records are the driver; packed rings. 0x10 is
 * the target's own. */
enum hostile_start {
    WITHOUT_EVENT_IDX = 1,
    WITHOUT_INDIRECT = 2,
    WITHOUT_OWN_FEATURES = 4,
    WITHOUT_DRIVER = 8,
    PACKED = 0x20
};

struct hostile {
    struct virtio_device *device;
    /* What the records OTHER do: the target's own; or NULL. */
    void (*other)(const uint8_t record[HOSTILE_RECORD]);
    uint8_t *memory; /* the guest's; hostile_plug makes it */
    /* Private to hostile_guest.c, as what follows: the function as it was before a driver came. */
    struct guest_memory view;
    struct pci_bus pci;
    uint8_t config[PCI_CONFIG_SIZE];
    struct pci_msix_entry entry[PCI_MSIX_VECTORS];
};

void hostile_plug(struct hostile *guest);
void hostile_play(struct hostile *guest, const uint8_t *data, size_t size);
#define HOSTILE_WORK_MAX 64 /* events of a thread: a device that is always ready would not end */
/* What the device's descriptors are ready for, one event after the other. */
void hostile_work(struct hostile *guest);

/* For seeds: a record at out + n; where the next goes. */
size_t hostile_put(uint8_t *out, size_t n, enum hostile_action what, unsigned width, uint16_t address,
                   uint64_t value);
/* A request in a queue, of the rings that out[0] says: readable bytes in its buffer page, then so many writable ones; notified and worked on. */
size_t hostile_put_request(uint8_t *out, size_t n, unsigned queue, unsigned nth, const void *readable,
                           uint32_t len, uint32_t writable);
/* What a driver does besides: status, BAR, MSI-X, reset. */
size_t hostile_put_housekeeping(uint8_t *out, size_t n);

#endif
