#include "vmm/devices/chipset.h"

#include <time.h>

#include "vmm/base/bytes.h"

static const uint8_t host_bridge_id[4] = {0x86, 0x80, 0xc0, 0x29}; /* vendor and device */
static const struct pci_identity lpc_identity = {0x8086, 0x2918, 0, 0, 0x060100, 0};

/* Configuration space that the firmware sets and nothing here follows: what it sets is where things are. */
enum { PCIEXBAR = 0x60, PMBASE = 0x40, ACPI_CONTROL = 0x44, RCBA = 0xf0 };
#define POWER_BASE 0x600 /* what OVMF sets PMBASE to */

enum { POWER_CONTROL = 0x604, POWER_CONTROL_LEN = 2, POWER_TIMER = 0x608, POWER_TIMER_LEN = 4 };
enum { SLEEP_ENABLE = 1 << 13, SLEEP_TYPE = 7 << 10 };

static uint64_t control_read(void *device, uint64_t offset, unsigned len)
{
    struct chipset *c = device;
    (void)len;
    return atomic_load(&c->power_control) >> (8 * offset);
}

/* OVMF powers off by type 0 (ICH9, 13.8.3.3). */
static void control_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct chipset *c = device;
    if (offset != 0 || len != 2)
        return;
    atomic_store(&c->power_control, (uint16_t)(value & ~SLEEP_ENABLE));
    if (value & SLEEP_ENABLE && (value & SLEEP_TYPE) == 0)
        c->power_off(c->context);
}

/* ACPI 4.8.2.1: 3.579545 MHz, 24 bits wide here. */
static uint64_t timer_read(void *device, uint64_t offset, unsigned len)
{
    struct timespec now;
    (void)device;
    (void)len;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ticks = (uint64_t)now.tv_sec * 3579545 + (uint64_t)now.tv_nsec * 3579545 / 1000000000;
    return (ticks & 0xffffff) >> (8 * offset);
}

static void ignored(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    (void)device;
    (void)offset;
    (void)len;
    (void)value;
}

/* PCI Local Bus 3.0, 3.2.2.3.2: bit 31 enables; bus, device, function and register below it. */
enum { CONFIG_ADDRESS = 0xcf8, CONFIG_LEN = 8, CONFIG_DATA = 4, RESET_OFFSET = 1 };
#define CONFIG_ENABLE (1u << 31)

static unsigned slot_of(uint32_t address)
{
    bool exists = address & CONFIG_ENABLE && (address & 0x00ff0700) == 0; /* bus and function 0 */
    return exists ? address >> 11 & 31 : PCI_SLOTS;
}

static uint64_t config_read(void *device, uint64_t offset, unsigned len)
{
    struct chipset *c = device;
    uint32_t address = atomic_load(&c->config_address);
    if (offset < CONFIG_DATA)
        return offset == 0 && len == 4 ? address : UINT64_MAX;
    return pci_config_read(c->pci, slot_of(address), (address & 0xfc) + (unsigned)(offset - CONFIG_DATA),
                           len);
}

/* Port 0xcf9 lies within the address's: a byte there is the reset control (ICH9, 13.7.5), and bit 2 resets. */
static void config_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct chipset *c = device;
    uint32_t address = atomic_load(&c->config_address);
    if (offset == 0 && len == 4)
        atomic_store(&c->config_address, (uint32_t)value);
    else if (offset == RESET_OFFSET && len == 1 && value & 4)
        c->reset(c->context);
    else if (offset >= CONFIG_DATA)
        pci_config_write(c->pci, slot_of(address), (address & 0xfc) + (unsigned)(offset - CONFIG_DATA), len,
                         (uint32_t)value);
}

/* There is no keyboard; what is written to its controller is how old firmware resets. */
enum { KEYBOARD = 0x64, KEYBOARD_RESET = 0xfe };

static uint64_t keyboard_read(void *device, uint64_t offset, unsigned len)
{
    (void)device;
    (void)offset;
    (void)len;
    return UINT64_MAX;
}

static void keyboard_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct chipset *c = device;
    (void)offset;
    (void)len;
    if (value == KEYBOARD_RESET)
        c->reset(c->context);
}

static const struct bus_ops control_ops = {control_read, control_write};
static const struct bus_ops timer_ops = {timer_read, ignored};
static const struct bus_ops config_ops = {config_read, config_write};
static const struct bus_ops keyboard_ops = {keyboard_read, keyboard_write};

static int map_ports(struct chipset *c, struct bus *ports, struct cofre_err *err)
{
    const struct bus_range ranges[] = {
        {"power management control", POWER_CONTROL, POWER_CONTROL_LEN, &control_ops, c},
        {"power management timer", POWER_TIMER, POWER_TIMER_LEN, &timer_ops, c},
        {"PCI configuration by ports", CONFIG_ADDRESS, CONFIG_LEN, &config_ops, c},
        {"keyboard controller's reset", KEYBOARD, 1, &keyboard_ops, c},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && rc == 0; i++)
        rc = bus_add(ports, &ranges[i], err);
    return rc;
}

static void allow(struct pci_function *fn, unsigned offset, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        pci_config_allow(fn, offset + i, 0xff);
}

int chipset_attach(struct chipset *c, struct pci_bus *pci, struct bus *ports, struct cofre_err *err)
{
    c->pci = pci;
    pci_config_poke(&pci->host_bridge, 0, host_bridge_id, sizeof host_bridge_id);
    allow(&pci->host_bridge, PCIEXBAR, 8);
    pci_function_init(&c->lpc, "LPC bridge", &lpc_identity, 0, NULL, NULL);
    allow(&c->lpc, PMBASE, 5);
    allow(&c->lpc, RCBA, 4);
    uint8_t base[4];
    put_le32(base, POWER_BASE | 1);
    pci_config_poke(&c->lpc, PMBASE, base, sizeof base);
    c->lpc.bus = pci;
    pci->slot[CHIPSET_LPC_SLOT] = &c->lpc;
    return map_ports(c, ports, err);
}

void chipset_destroy(struct chipset *c)
{
    pci_function_destroy(&c->lpc);
}
