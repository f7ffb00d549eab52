/*
 * PCI bus 0 without firmware: a host bridge at 00:00.0 and single-function devices of header type 0, each
 * with at most one 32-bit memory BAR, which the VMM has placed in the window already. (PCI Local Bus 3.0,
 * chapter 6.) Interrupts are MSI-X only; no function has an interrupt pin.
 */
#ifndef COFRE_DEVICES_PCI_H
#define COFRE_DEVICES_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/msi.h"
#include "vmm/devices/pci_shortcut.h"

#define PCI_SLOTS        32
#define PCI_CONFIG_SIZE  256
#define PCI_MSIX_VECTORS 18 /* at most, of one function */

struct pci_identity {
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code; /* class, subclass, programming interface: 0x010000 */
    uint8_t revision;
};

/* What a function does itself. bar is asked for what is not an access to MSI-X's table or PBA, with the
 * widths of bus.h. Called without a lock. */
struct pci_function_ops {
    struct bus_ops bar;
    /* Before a read of configuration space, or after a write: for capabilities that act. May be NULL. */
    void (*config_access)(void *device, unsigned offset, unsigned len, bool write);
};

struct pci_msix_entry {
    uint64_t address;
    uint32_t data, control;
};

/* Part of a device; private to pci.c after pci_function_init. */
struct pci_function {
    const char *name;
    const struct pci_function_ops *ops;
    void *device;
    pthread_mutex_t lock; /* a leaf: nothing else is locked under it */
    uint8_t config[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE];
    unsigned last_capability, capability_end;
    uint32_t bar_size;
    unsigned msix, msix_vectors;   /* offset of the capability, and of entries */
    uint32_t msix_table, msix_pba; /* offsets into the BAR */
    struct pci_msix_entry entry[PCI_MSIX_VECTORS];
    uint64_t pending;
    struct pci_bus *bus; /* NULL: on none yet */
    struct pci_shortcuts shortcuts;
};

/* bar_size is 0 or a power of two from 4 KiB. name, ops and device outlive the function. */
void pci_function_init(struct pci_function *fn, const char *name, const struct pci_identity *identity,
                       uint32_t bar_size, const struct pci_function_ops *ops, void *device);
/* Adds a capability whose bytes after id and next pointer are body; returns its offset. The guest may write
 * where writable, as long as body or NULL, has bits. There must be room: this is decided when it is written,
 * not at run time. */
unsigned pci_capability_add(struct pci_function *fn, uint8_t id, const void *body, const void *writable,
                            unsigned len);
/* Lets the guest write these bits of a byte that no capability has; for registers of the function's own. */
void pci_config_allow(struct pci_function *fn, unsigned offset, uint8_t writable);
/* MSI-X with its table and PBA at these offsets of the BAR. */
void pci_msix_add(struct pci_function *fn, unsigned vectors, uint32_t table, uint32_t pba);
void pci_function_destroy(struct pci_function *fn);

/* Sends a vector's message, or keeps it pending while masked. Nothing for a vector that does not exist. */
void pci_msix_raise(struct pci_function *fn, unsigned vector);

/* The bytes of configuration space as they lie there, for config_access; the range must exist. */
void pci_config_peek(struct pci_function *fn, unsigned offset, void *out, unsigned len);
void pci_config_poke(struct pci_function *fn, unsigned offset, const void *data, unsigned len);

struct pci_window {
    uint32_t base, len; /* 32-bit MMIO; aligned to the largest BAR */
};

struct pci_bus {
    struct pci_function *slot[PCI_SLOTS];
    struct pci_function host_bridge;
    struct pci_window window;
    uint32_t next_free;
    struct msi_sink sink;
    struct pci_shortcut_ops shortcuts; /* none, unless the machine sets them before vCPUs run */
};

/* The bus stays where it is from here to pci_bus_destroy. */
void pci_bus_init(struct pci_bus *pci, struct pci_window window, struct msi_sink sink);
void pci_bus_destroy(struct pci_bus *pci);
/* Gives the function the next slot and its BAR a place in the window. Before vCPUs run. */
int pci_bus_add(struct pci_bus *pci, struct pci_function *fn, struct cofre_err *err);

/* Puts the window and configuration space (ECAM: PCI Express Base 4.0, 7.2.2) on the machine's bus. len is 1 MiB for
 * each bus that the machine's tables promise; all but bus 0 are empty. */
int pci_bus_map_window(struct pci_bus *pci, struct bus *mmio, struct cofre_err *err);
int pci_bus_map_ecam(struct pci_bus *pci, struct bus *mmio, uint64_t base, uint64_t len,
                     struct cofre_err *err);

/* Configuration space of slot's function 0. len is 1, 2 or 4 within one doubleword; anything else, an empty
 * slot and what lies above PCI_CONFIG_SIZE read as ones. */
uint32_t pci_config_read(struct pci_bus *pci, unsigned slot, unsigned offset, unsigned len);
void pci_config_write(struct pci_bus *pci, unsigned slot, unsigned offset, unsigned len, uint32_t value);

/* An access to a function's BAR, MSI-X included. */
uint64_t pci_bar_read(struct pci_function *fn, uint64_t offset, unsigned len);
void pci_bar_write(struct pci_function *fn, uint64_t offset, unsigned len, uint64_t value);

/* With the function's lock held, for pci_shortcut.c. Whether accesses reach the BAR, and where it is; and the entry
 * of a vector whose messages go out now, or NULL. */
bool pci_bar_decoded(const struct pci_function *fn, uint64_t *base);
const struct pci_msix_entry *pci_msix_open(const struct pci_function *fn, unsigned vector);

#endif
