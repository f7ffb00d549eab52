/* The script by which firmware puts ACPI tables where it likes (QEMU, hw/acpi/bios-linker-loader.c): the tables in one
 * file of fw_cfg, and commands that say where in it pointers and checksums are. */
#ifndef COFRE_MACHINE_ACPI_LOADER_H
#define COFRE_MACHINE_ACPI_LOADER_H

#include "vmm/base/bytes.h"

#define ACPI_LOADER_FILE "etc/acpi/tables"

/* tables is what acpi_tables_build made for address 0; the checksums in it are cleared, since the firmware makes them
 * anew. */
int acpi_loader_build(struct bytes *out, uint8_t *tables, struct cofre_err *err);

#endif
