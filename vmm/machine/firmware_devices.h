/* What stands around a guest that starts in firmware and nobody else's: the chipset that OVMF looks for, fw_cfg with what it
 * is told, and the port for its messages. */
#ifndef COFRE_MACHINE_FIRMWARE_DEVICES_H
#define COFRE_MACHINE_FIRMWARE_DEVICES_H

#include "vmm/devices/chipset.h"
#include "vmm/devices/fw_cfg.h"
#include "vmm/machine/boot.h"

#define FIRMWARE_NUMBERS_MAX 5

struct firmware_devices {
    struct chipset chipset;
    struct fw_cfg fw_cfg;
    struct bytes e820, tables, loader, cmdline;
    uint8_t number[FIRMWARE_NUMBERS_MAX][4];
    unsigned numbers;
    struct firmware_messages {
        pthread_mutex_t lock;
        char line[160];
        size_t len;
    } messages;
    bool attached;
};

/* The callbacks of devices->chipset are the caller's, set before. The config outlives the devices.
 * firmware_devices_destroy in any case. */
int firmware_devices_attach(struct firmware_devices *devices, const struct boot_config *config,
                            const struct guest_memory *memory, struct pci_bus *pci, struct bus *ports,
                            struct cofre_err *err);
void firmware_devices_destroy(struct firmware_devices *devices);

/* Where such a guest's PCI devices may be put, above RAM's low range. */
struct pci_window firmware_pci_window(uint64_t memory);

#endif
