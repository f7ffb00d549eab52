/* The two ways to PCI configuration space: ports 0xcf8 and 0xcfc (PCI Local Bus 3.0, 3.2.2.3.2), and ECAM. */
#include "vmm/devices/pci.h"

#define PORT_ADDRESS 0xcf8
#define PORT_LENGTH  8
#define ECAM_BUS     (1 << 20)

/* Both ways name a place as bus, device, function and offset; only function 0 of bus 0 exists. */
struct place {
    unsigned slot, offset;
};

static struct place port_place(uint32_t address, uint64_t port_offset)
{
    bool exists = (address & 0x80000000) && (address & 0x00ffff00) == (address & 0x0000f800);
    return (struct place){exists ? address >> 11 & 31 : PCI_SLOTS,
                          (address & 0xfc) + (unsigned)(port_offset - 4)};
}

static uint64_t ports_read(void *device, uint64_t offset, unsigned len)
{
    struct pci_bus *pci = device;
    uint32_t address = __atomic_load_n(&pci->address, __ATOMIC_RELAXED);
    if (offset == 0 && len == 4)
        return address;
    struct place place = port_place(address, offset);
    return offset < 4 ? UINT64_MAX : pci_config_read(pci, place.slot, place.offset, len);
}

static void ports_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct pci_bus *pci = device;
    if (offset == 0 && len == 4)
        __atomic_store_n(&pci->address, (uint32_t)value, __ATOMIC_RELAXED);
    struct place place = port_place(__atomic_load_n(&pci->address, __ATOMIC_RELAXED), offset);
    if (offset >= 4)
        pci_config_write(pci, place.slot, place.offset, len, (uint32_t)value);
}

int pci_bus_map_ports(struct pci_bus *pci, struct bus *ports, struct cofre_err *err)
{
    static const struct bus_ops ops = {ports_read, ports_write};
    return bus_add(ports,
                   &(struct bus_range){"PCI configuration ports", PORT_ADDRESS, PORT_LENGTH, &ops, pci}, err);
}

static struct place ecam_place(uint64_t offset)
{
    bool first = (offset >> 12 & 7) == 0;
    return (struct place){first ? offset >> 15 & 31 : PCI_SLOTS, offset & 0xfff};
}

static uint64_t ecam_read(void *device, uint64_t offset, unsigned len)
{
    struct place place = ecam_place(offset);
    return pci_config_read(device, place.slot, place.offset, len);
}

static void ecam_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct place place = ecam_place(offset);
    pci_config_write(device, place.slot, place.offset, len, (uint32_t)value);
}

int pci_bus_map_ecam(struct pci_bus *pci, struct bus *mmio, uint64_t base, struct cofre_err *err)
{
    static const struct bus_ops ops = {ecam_read, ecam_write};
    return bus_add(mmio, &(struct bus_range){"PCI ECAM", base, ECAM_BUS, &ops, pci}, err);
}
