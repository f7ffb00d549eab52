#include "vmm/machine/firmware_devices.h"

#include <string.h>

#define LOG_ROOM "firmware"
#include "vmm/base/log.h"
#include "vmm/machine/acpi.h"
#include "vmm/machine/acpi_loader.h"

struct pci_window firmware_pci_window(uint64_t memory)
{
    struct shim_ram ram[2];
    boot_ram(memory, ram);
    const uint32_t base = ram[0].size > CHIPSET_PCI_LOW ? (uint32_t)ram[0].size : CHIPSET_PCI_LOW;
    return (struct pci_window){base, CHIPSET_ECAM_BASE - base};
}

/* What fw_cfg has */

/* INT 15h, E820 (ACPI 15.1): address, size, and type 1 for RAM. */
static int make_e820(struct bytes *out, const struct boot_config *config, struct cofre_err *err)
{
    enum { ENTRY = 20, RAM = 1 };
    struct shim_ram ram[2];
    const unsigned count = boot_ram(config->memory, ram);
    int rc = bytes_alloc(out, count * ENTRY, err);
    for (unsigned i = 0; i < count && rc == 0; i++) {
        uint8_t *entry = out->data + i * ENTRY;
        put_le64(entry, ram[i].gpa);
        put_le64(entry + 8, ram[i].size);
        put_le32(entry + 16, RAM);
    }
    return rc;
}

static int make_tables(struct firmware_devices *d, const struct boot_config *config, struct cofre_err *err)
{
    const struct acpi_config acpi = {.cpus = config->cpus, .ecam = CHIPSET_ECAM_BASE};
    int rc = bytes_alloc(&d->tables, SHIM_ACPI_SIZE, err);
    if (rc)
        return rc;
    if (!acpi_tables_build(d->tables.data, d->tables.len, &acpi))
        return cofre_fail(err, COFRE_FAILED, "the ACPI tables for %u vCPUs do not fit into their page",
                          config->cpus);
    return acpi_loader_build(&d->loader, d->tables.data, err);
}

/* The command line's zero is counted, as OVMF wants it, and hashed. */
static int make_cmdline(struct bytes *out, struct view cmdline, struct cofre_err *err)
{
    int rc = bytes_alloc(out, cmdline.len + 1, err);
    if (rc == 0 && cmdline.len)
        memcpy(out->data, cmdline.data, cmdline.len);
    return rc;
}

/* The kernel's real-mode part: boot sector and setup sectors (Linux, Documentation/arch/x86/boot.rst, setup_sects). */
static size_t setup_size(struct view kernel)
{
    enum { SETUP_SECTS = 0x1f1, SECTOR = 512, OLD_DEFAULT = 4 };
    if (kernel.len <= SETUP_SECTS)
        return kernel.len;
    const size_t sectors = kernel.data[SETUP_SECTS] ? kernel.data[SETUP_SECTS] : OLD_DEFAULT;
    const size_t size = (sectors + 1) * SECTOR;
    return size < kernel.len ? size : kernel.len;
}

/* Numbers are 32 bits wide, of which the count of CPUs has 16. */
static void add_number(struct firmware_devices *d, enum fw_cfg_key key, size_t value, size_t len)
{
    uint8_t *number = d->number[d->numbers++];
    put_le32(number, (uint32_t)value);
    fw_cfg_add(&d->fw_cfg, key, (struct view){number, len});
}

static void add_kernel(struct firmware_devices *d, const struct boot_config *config)
{
    const size_t setup = setup_size(config->kernel);
    const struct {
        enum fw_cfg_key size, data;
        struct view bytes;
    } items[] = {
        {FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, {config->kernel.data, setup}},
        {FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, {config->kernel.data + setup, config->kernel.len - setup}},
        {FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, config->initrd},
        {FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA, bytes_view(&d->cmdline)},
    };
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
        add_number(d, items[i].size, items[i].bytes.len, 4);
        fw_cfg_add(&d->fw_cfg, items[i].data, items[i].bytes);
    }
}

static int add_items(struct firmware_devices *d, const struct boot_config *config, struct cofre_err *err)
{
    int rc = make_e820(&d->e820, config, err);
    if (rc == 0)
        rc = make_tables(d, config, err);
    if (rc == 0)
        rc = make_cmdline(&d->cmdline, config->cmdline, err);
    if (rc)
        return rc;
    const struct {
        const char *name;
        const struct bytes *bytes;
    } files[] = {
        {"etc/e820", &d->e820},
        {ACPI_LOADER_FILE, &d->tables},
        {"etc/table-loader", &d->loader},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        fw_cfg_add_file(&d->fw_cfg, files[i].name, bytes_view(files[i].bytes));
    add_number(d, FW_CFG_CPUS, config->cpus, 2);
    if (config->kernel.len)
        add_kernel(d, config);
    return 0;
}

/* OVMF's messages: bytes at a port, which reads as a number that tells that somebody listens. */
enum { MESSAGE_PORT = 0x402, MESSAGE_SIGN = 0xe9 };

static uint64_t message_read(void *device, uint64_t offset, unsigned len)
{
    (void)device;
    (void)offset;
    (void)len;
    return MESSAGE_SIGN;
}

static void message_write(void *device, uint64_t offset, unsigned len, uint64_t value)
{
    struct firmware_messages *m = device;
    const char byte = (char)value;
    (void)offset;
    (void)len;
    pthread_mutex_lock(&m->lock);
    if (byte >= ' ' && byte <= '~')
        m->line[m->len++] = byte;
    if (m->len && (byte == '\n' || m->len == sizeof m->line)) {
        log_debug("%.*s", (int)m->len, m->line);
        m->len = 0;
    }
    pthread_mutex_unlock(&m->lock);
}

static int map_messages(struct firmware_messages *m, struct bus *ports, struct cofre_err *err)
{
    static const struct bus_ops ops = {message_read, message_write};
    return log_wanted(LOG_ROOM, LOG_DEBUG)
               ? bus_add(ports, &(struct bus_range){"firmware's messages", MESSAGE_PORT, 1, &ops, m}, err)
               : 0;
}

int firmware_devices_attach(struct firmware_devices *d, const struct boot_config *config,
                            const struct guest_memory *memory, struct pci_bus *pci, struct bus *ports,
                            struct cofre_err *err)
{
    pthread_mutex_init(&d->messages.lock, NULL);
    fw_cfg_init(&d->fw_cfg, memory);
    int rc = chipset_attach(&d->chipset, pci, ports, err);
    d->attached = true;
    if (rc == 0)
        rc = add_items(d, config, err);
    if (rc == 0)
        rc = fw_cfg_map(&d->fw_cfg, ports, err);
    return rc ? rc : map_messages(&d->messages, ports, err);
}

void firmware_devices_destroy(struct firmware_devices *d)
{
    if (!d->attached)
        return;
    chipset_destroy(&d->chipset);
    fw_cfg_destroy(&d->fw_cfg);
    pthread_mutex_destroy(&d->messages.lock);
    bytes_free(&d->e820);
    bytes_free(&d->tables);
    bytes_free(&d->loader);
    bytes_free(&d->cmdline);
    d->attached = false;
}
