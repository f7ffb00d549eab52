/* What stands around the vCPUs: buses, interrupt controller, serial port, ACPI's ports, PCI and its virtio devices. */
#ifndef COFRE_MACHINE_PLATFORM_H
#define COFRE_MACHINE_PLATFORM_H

#include "vmm/devices/bus.h"
#include "vmm/devices/ioapic.h"
#include "vmm/devices/pci.h"
#include "vmm/devices/pvpanic.h"
#include "vmm/devices/serial.h"
#include "vmm/devices/virtio.h"
#include "vmm/devices/watchdog.h"
#include "vmm/machine/firmware_devices.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/shortcut.h"

#define PLATFORM_DEVICES_MAX (MACHINE_DEVICES_MAX + 4)

struct platform {
    struct bus ports, mmio;
    struct ioapic ioapic;
    struct serial serial;
    struct pci_bus pci;
    struct pvpanic pvpanic;
    struct watchdog watchdog;
    struct shortcuts shortcuts;
    struct firmware_devices firmware; /* of a guest that starts in one */
    struct virtio_device *device[PLATFORM_DEVICES_MAX];
    unsigned devices;
    _Atomic uint8_t cmos_index; /* the register that the guest last chose */
    bool initialised;
};

/* Builds all of it; the machine's memory and virtual machine are there. platform_free in any case. */
int platform_init(struct platform *platform, struct machine *machine, struct cofre_err *err);
/* Starts the devices' threads. */
int platform_start(struct platform *platform, struct cofre_err *err);
/* No vCPU runs any more: ends the devices' threads and flushes disks. */
void platform_free(struct platform *platform);

#endif
