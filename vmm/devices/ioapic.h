/*
 * The I/O APIC in user space, for KVM's split irqchip (82093AA data sheet, with the EOI register of version
 * 0x20). A pin's interrupt leaves as a message in the form of x86 MSIs.
 */
#ifndef COFRE_DEVICES_IOAPIC_H
#define COFRE_DEVICES_IOAPIC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/irq.h"
#include "vmm/devices/msi.h"

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PINS 24

struct ioapic_ops {
    struct msi_sink sink;
    /* A pin's message has changed: KVM reports an EOI (KVM_EXIT_IOAPIC_EOI) only for level-triggered messages
     * that it knows from its routing table. Called with the lock held; may be NULL where all pins are
     * edge-triggered. */
    void (*route)(void *context, unsigned pin, uint64_t address, uint32_t data);
    void *context;
};

struct ioapic {
    pthread_mutex_t lock;
    struct ioapic_ops ops;
    uint8_t select;
    uint32_t id;
    uint64_t entry[IOAPIC_PINS];
    uint32_t level, pending; /* by pin: the line's level; an edge that was masked when it came */
};

/* All pins masked. It stays where it is from here to ioapic_destroy. */
void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops);
void ioapic_destroy(struct ioapic *ioapic);
int ioapic_map(struct ioapic *ioapic, struct bus *mmio, uint64_t base, struct cofre_err *err);

/* Sets a pin's line; a pin that does not exist is ignored. */
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level);
/* The line to hand to a device. */
struct irq_line ioapic_line(struct ioapic *ioapic, unsigned pin);
/* The guest's end of interrupt for that vector, from KVM_EXIT_IOAPIC_EOI. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
