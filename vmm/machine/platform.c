#include "vmm/machine/platform.h"

#include <stdio.h>
#include <time.h>

#include "vmm/devices/console.h"
#include "vmm/devices/entropy.h"
#include "vmm/devices/rtc.h"
#define LOG_ROOM "machine"
#include "vmm/base/log.h"
#include "vmm/devices/vsock.h"
#include "vmm/machine/acpi.h"
#include "vmm/machine/parts.h"

/* The ports that the measured ACPI tables promise, and the shim's. A read is 0: nothing to wait for. */
static uint64_t port_read(void *device, uint64_t offset, unsigned len)
{
    (void)device;
    (void)offset;
    (void)len;
    return 0;
}

static void sleep_control_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    (void)len;
    if (offset == 0 && (value & 0xff) == ACPI_POWER_OFF)
        machine_ended(device, MACHINE_POWER_OFF, 0, NULL);
}

static void reset_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    (void)offset;
    (void)len;
    if (value == ACPI_RESET_VALUE)
        machine_ended(device, MACHINE_RESET, 0, NULL);
}

static void shim_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    (void)offset;
    (void)len;
    machine_shim_says(device, (uint8_t)value);
}

/*
 * The CMOS is a clock to be read, and one write to it is heard. Linux restarts a hardware-reduced machine by EFI; without EFI it goes
 * the way of old BIOSes: zero into the shutdown status (register 0x0f, NMIs off), then real mode and a jump to 0xffff0
 * (arch/x86/kernel/reboot.c, machine_real_restart), where no BIOS is and the guest would run for ever.
 */
#define CMOS_SHUTDOWN_STATUS 0x8f

static uint64_t cmos_read(void *device, uint64_t offset, unsigned len)
{
    const struct machine *machine = device;
    (void)len;
    return offset ? rtc_register(atomic_load(&machine->platform.cmos_index), time(NULL)) : UINT64_MAX;
}

static void cmos_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct machine *machine = device;
    (void)len;
    if (offset == 0)
        atomic_store(&machine->platform.cmos_index, (uint8_t)value);
    else if (value == 0 && atomic_load(&machine->platform.cmos_index) == CMOS_SHUTDOWN_STATUS)
        machine_ended(machine, MACHINE_RESET, 0, NULL);
}

/* There is no interval timer. Linux, where no paravirtual clock tells its frequency, tries to measure by one all the same,
 * before it reads the ACPI tables that deny it: ones look to it like a counter whose high byte is still 0xff, and it reads
 * them 100 000 times (arch/x86/kernel/tsc.c, quick_pit_calibrate). Zeros end that at once. */
#define PIT_PORT 0x40

static void pit_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    (void)device;
    (void)offset;
    (void)len;
    (void)value;
}

static const struct bus_ops pit_ops = {port_read, pit_write};
static const struct bus_ops cmos_ops = {cmos_read, cmos_write};
static const struct bus_ops sleep_ops = {port_read, sleep_control_write};
static const struct bus_ops reset_ops = {port_read, reset_write};
static const struct bus_ops shim_ops = {port_read, shim_write};

static int map_ports(struct platform *platform, struct machine *machine, struct cofre_err *err)
{
    const struct bus_range ranges[] = {
        {"ACPI sleep control and status", ACPI_PORT_SLEEP_CONTROL, 2, &sleep_ops, machine},
        {"ACPI reset", ACPI_PORT_RESET, 1, &reset_ops, machine},
        {"CMOS", RTC_PORT, 2, &cmos_ops, machine},
        {"interval timer", PIT_PORT, 4, &pit_ops, machine},
        {"shim port", SHIM_PORT, 1, &shim_ops, machine},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && rc == 0; i++)
        rc = bus_add(&platform->ports, &ranges[i], err);
    return rc;
}

/* A message to nowhere is the guest's business: it wrote the address. */
static void send_msi(void *context, uint64_t address, uint32_t data)
{
    struct machine *machine = context;
    struct cofre_err err;
    if (kvm_vm_signal_msi(&machine->vm, address, data, &err))
        log_debug("%s", err.text);
}

static void power_off(void *machine)
{
    machine_ended(machine, MACHINE_POWER_OFF, 0, NULL);
}

static void reset(void *machine)
{
    machine_ended(machine, MACHINE_RESET, 0, NULL);
}

/* Firmware finds PCI where it puts it, Linux behind the shim where the measured tables say. */
static int map_pci(struct platform *platform, struct machine *machine, struct msi_sink sink,
                   struct cofre_err *err)
{
    const struct boot_config *boot = machine->config->boot;
    const bool firmware = boot->firmware.len != 0;
    pci_bus_init(&platform->pci,
                 firmware ? firmware_pci_window(boot->memory)
                          : (struct pci_window){PCI_WINDOW_BASE, PCI_ECAM_BASE - PCI_WINDOW_BASE},
                 sink);
    shortcuts_init(&platform->shortcuts, &machine->vm, IOAPIC_PINS, &platform->pci.shortcuts);
    platform->initialised = true;
    platform->firmware.chipset.power_off = power_off;
    platform->firmware.chipset.reset = reset;
    platform->firmware.chipset.context = machine;
    int rc = firmware ? firmware_devices_attach(&platform->firmware, boot, &machine->memory.view,
                                                &platform->pci, &platform->ports, err)
                      : 0;
    if (rc == 0)
        rc = pci_bus_map_window(&platform->pci, &platform->mmio, err);
    return rc ? rc
              : pci_bus_map_ecam(&platform->pci, &platform->mmio,
                                 firmware ? CHIPSET_ECAM_BASE : PCI_ECAM_BASE, PCI_ECAM_SIZE, err);
}

static int map_core(struct platform *platform, struct machine *machine, struct cofre_err *err)
{
    const struct msi_sink sink = {send_msi, machine};
    tzset(); /* gmtime_r opens a time zone's file at first use, and vCPUs' threads have no files */
    /* All pins are edge-triggered: the tables have no override, and PCI functions have no interrupt pin. */
    ioapic_init(&platform->ioapic, &(struct ioapic_ops){.sink = sink});
    serial_init(&platform->serial, machine->config->console_out, ioapic_line(&platform->ioapic, 4));
    int rc = map_pci(platform, machine, sink, err);
    if (rc == 0)
        rc = map_ports(platform, machine, err);
    if (rc == 0)
        rc = ioapic_map(&platform->ioapic, &platform->mmio, ACPI_IOAPIC_BASE, err);
    return rc ? rc : serial_map(&platform->serial, &platform->ports, SERIAL_COM1, err);
}

static int attach(struct platform *platform, struct machine *machine, struct virtio_device *device,
                  struct cofre_err *err)
{
    platform->device[platform->devices++] = device;
    device->rates = machine->config->rates;
    return virtio_attach(device, &platform->pci, &machine->memory.view, err);
}

static int add_devices(struct platform *platform, struct machine *machine, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    struct virtio_device *device;
    int rc = virtio_console_new(&device, config->console_in, config->console_out, err);
    if (rc == 0)
        rc = attach(platform, machine, device, err);
    if (rc == 0)
        rc = virtio_entropy_new(&device, err);
    if (rc == 0)
        rc = attach(platform, machine, device, err);
    for (unsigned i = 0; i < config->devices && rc == 0; i++) {
        rc = config->device[i].kind->new (&device, config->device[i].spec, err);
        if (rc == 0)
            rc = attach(platform, machine, device, err);
    }
    if (rc || !config->vsock_cid)
        return rc;
    char path[4096];
    snprintf(path, sizeof path, "%s/vsock", config->vsock_directory);
    rc = virtio_vsock_new(&device, config->vsock_cid, path, config->vsock_way, err);
    return rc ? rc : attach(platform, machine, device, err);
}

/* Through these the guest says that it is dying, or fails to say that it lives. They come after the virtio devices. */
static int add_signs(struct platform *platform, struct machine *machine, struct cofre_err *err)
{
    const struct machine_config *config = machine->config;
    int rc = pvpanic_attach(&platform->pvpanic, &platform->pci, machine_panicked, machine, err);
    if (rc || config->watchdog == WATCHDOG_NONE)
        return rc;
    return watchdog_attach(&platform->watchdog, &platform->pci,
                           (struct watchdog_timer){machine_watchdog_set, machine}, config->watchdog_expired,
                           err);
}

int platform_init(struct platform *platform, struct machine *machine, struct cofre_err *err)
{
    int rc = map_core(platform, machine, err);
    if (rc == 0)
        rc = add_devices(platform, machine, err);
    return rc ? rc : add_signs(platform, machine, err);
}

int platform_start(struct platform *platform, struct cofre_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < platform->devices && rc == 0; i++)
        rc = virtio_start_threads(platform->device[i], err);
    return rc;
}

void platform_free(struct platform *platform)
{
    while (platform->devices)
        virtio_free(platform->device[--platform->devices]);
    if (!platform->initialised)
        return;
    if (platform->pvpanic.event)
        pvpanic_destroy(&platform->pvpanic);
    if (platform->watchdog.timer.set)
        watchdog_destroy(&platform->watchdog);
    firmware_devices_destroy(&platform->firmware);
    pci_bus_destroy(&platform->pci);
    shortcuts_destroy(&platform->shortcuts);
    serial_destroy(&platform->serial);
    ioapic_destroy(&platform->ioapic);
    platform->initialised = false;
}
