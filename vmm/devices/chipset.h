/*
 * As much of a Q35 chipset (Intel 3 Series MCH, 316966; ICH9, 316972) as OVMF asks for before it believes that it runs on
 * one: the host bridge's device id and PCIEXBAR, configuration space by ports, the bridge at 00:1f.0 with the place of
 * the power management block, that block's timer and power-off, and reset. All else of PCI is the bus's own (pci.h).
 */
#ifndef COFRE_DEVICES_CHIPSET_H
#define COFRE_DEVICES_CHIPSET_H

#include <stdatomic.h>

#include "vmm/devices/pci.h"

#define CHIPSET_ECAM_BASE 0xe0000000u /* where OVMF puts PCIEXBAR, since edk2 202308; not moved */
#define CHIPSET_PCI_LOW   0x80000000u /* OVMF's PCI window begins here, or where RAM ends above it */
#define CHIPSET_LPC_SLOT  31

struct chipset {
    struct pci_bus *pci;
    struct pci_function lpc;
    _Atomic uint32_t config_address;
    _Atomic uint16_t power_control;
    void (*power_off)(void *context);
    void (*reset)(void *context);
    void *context;
};

/* Puts it around a bus, whose host bridge becomes the chipset's, before other functions are added. The callbacks come from any vCPU's
 * thread. chipset_destroy once this was called. */
int chipset_attach(struct chipset *chipset, struct pci_bus *pci, struct bus *ports, struct cofre_err *err);
void chipset_destroy(struct chipset *chipset);

#endif
