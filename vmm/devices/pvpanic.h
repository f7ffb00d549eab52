/*
 * A PCI function to which a guest says that it panicked (QEMU, docs/specs/pvpanic.rst; Linux's driver is pvpanic-pci): one
 * byte in BAR 0, which reads as the events that are known here.
 */
#ifndef COFRE_DEVICES_PVPANIC_H
#define COFRE_DEVICES_PVPANIC_H

#include "vmm/devices/pci.h"

enum pvpanic_event {
    PVPANIC_PANICKED = 1 << 0,     /* the host is to act */
    PVPANIC_CRASH_LOADED = 1 << 1, /* the guest acts itself: it saves a dump */
    PVPANIC_SHUTDOWN = 1 << 2,     /* no panic: the guest has shut down */
};

struct pvpanic {
    struct pci_function function;
    /* One event of those above; a vCPU's thread, as often as the guest likes. */
    void (*event)(void *context, enum pvpanic_event event);
    void *context;
};

/* Adds it to the bus; it stays where it is until pvpanic_destroy. */
int pvpanic_attach(struct pvpanic *pvpanic, struct pci_bus *pci,
                   void (*event)(void *context, enum pvpanic_event event), void *context,
                   struct cofre_err *err);
void pvpanic_destroy(struct pvpanic *pvpanic);

#endif
