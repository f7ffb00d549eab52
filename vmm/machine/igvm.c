#include "vmm/machine/igvm.h"

#include <string.h>

#include "vmm/igvm/guest.h"
#include "vmm/machine/acpi.h"
#include "vmm/machine/firmware_devices.h"

/* The table among those that such a guest's machine has; the first pointer of the XSDT that leads to its signature. */
static int make_madt(struct bytes *tables, struct view *out, const struct boot_config *config,
                     struct cofre_err *err)
{
    enum { RSDP_XSDT = 24, LENGTH = 4, HEADER = 36 };
    const struct acpi_config acpi = {.cpus = config->cpus, .ecam = CHIPSET_ECAM_BASE};
    int rc = bytes_alloc(tables, SHIM_ACPI_SIZE, err);
    if (rc)
        return rc;
    if (!acpi_tables_build(tables->data, tables->len, &acpi))
        return cofre_fail(err, COFRE_FAILED, "the ACPI tables for %u vCPUs do not fit into their page",
                          config->cpus);
    const uint8_t *xsdt = tables->data + le64(tables->data + RSDP_XSDT);
    for (uint32_t at = HEADER; at < le32(xsdt + LENGTH); at += 8) {
        const uint8_t *table = tables->data + le64(xsdt + at);
        if (memcmp(table, "APIC", 4) == 0)
            *out = (struct view){table, le32(table + LENGTH)};
    }
    return 0;
}

/* A confidential guest's memory is private at the start, and not accepted: nothing of it is shared. */
static int make_machine(struct igvm_machine *out, struct bytes *tables, const struct boot_config *config,
                        struct cofre_err *err)
{
    struct shim_ram ram[2];
    const struct pci_window window = firmware_pci_window(config->memory);
    *out = (struct igvm_machine){
        .cpus = config->cpus,
        .rams = boot_ram(config->memory, ram),
        .mmio = {{window.base, window.len}, {CHIPSET_ECAM_BASE, PCI_ECAM_SIZE}},
        .cmdline = config->cmdline,
    };
    for (unsigned i = 0; i < out->rams; i++)
        out->ram[i] = (struct igvm_memory){ram[i].gpa, ram[i].size};
    return make_madt(tables, &out->madt, config, err);
}

int igvm_image_build(const struct boot_config *config, const struct tee_ops *tee, struct launch_image *image,
                     struct cofre_err *err)
{
    struct igvm_file file;
    struct igvm_machine machine;
    CLEAN_BYTES tables = {0};
    if (!tee || !tee->igvm_image)
        return cofre_fail(err, COFRE_USAGE,
                          "--igvm: %s cannot be started by an IGVM file here; --tee snp or tdx can",
                          tee ? tee->title : "a plain guest");
    int rc = make_machine(&machine, &tables, config, err);
    if (rc)
        return rc;
    rc = igvm_file_parse(&file, config->firmware, err);
    if (rc == 0)
        rc = tee->igvm_image(&file, &machine, config, image, err);
    return rc < 0 ? cofre_within(err, rc, "--igvm") : 0;
}
