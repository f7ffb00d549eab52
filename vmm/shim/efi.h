/*
 * What Linux gets as EFI's information so that it accepts memory itself, when it needs it: Linux looks for its table of
 * unaccepted memory (LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID) nowhere but among the configuration tables of an EFI system
 * table (drivers/firmware/efi/efi.c, arch/x86/boot/compressed/efi.c). So there is one, with that table alone: no
 * run-time services, and so that Linux never looks for any, EFI_NO_RUNTIME in front of its command line.
 * UEFI specification 2.10, sections 4.3, 4.6, 7.2.3; struct efi_unaccepted_memory of include/linux/efi.h, version 1.
 *
 * The shim writes all of it into private memory from what it has checked; the host supplies nothing. Pure; compiled
 * freestanding for the shim.
 */
#ifndef COFRE_SHIM_EFI_H
#define COFRE_SHIM_EFI_H

#include "vmm/shim/linux.h"

#define EFI_NO_RUNTIME      "efi=noruntime "
#define EFI_NO_RUNTIME_SIZE (sizeof(EFI_NO_RUNTIME) - 1)

/* The table of unaccepted memory: a header, then a bit for each RAM_STEP from address 0 on, 1 where Linux must accept. */
#define EFI_UNACCEPTED_HEADER 24
void efi_unaccepted_fill(uint8_t *table, const struct shim_boot_page *boot, const struct linux_place *place);

/*
 * Fills a page at address, zeros before, with system table, configuration table and memory map, and points params at
 * them; unaccepted is the address of the other table. The memory map is params' e820 table in EFI's types. RAM that is
 * accepted is conventional, the rest is the loader's, where Linux's decompressor does not go for a random address:
 * there it would have to accept 4 KiB at a time.
 */
#define EFI_SIZE 4096
void efi_fill(uint8_t efi[static EFI_SIZE], uint32_t address, uint32_t unaccepted,
              uint8_t params[static LINUX_PARAMS_SIZE], const struct linux_place *place);

#endif
