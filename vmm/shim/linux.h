/*
 * Linux's x86 boot protocol as far as the shim needs it (Documentation/arch/x86/boot.rst, protocol 2.12 and later).
 * Pure: bytes in, bytes out. Compiled freestanding for the shim, and for the host, which so refuses before launch what
 * the shim would refuse after it.
 */
#ifndef COFRE_SHIM_LINUX_H
#define COFRE_SHIM_LINUX_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/shim/abi.h"

struct linux_kernel {
    uint32_t setup_size; /* bytes before the protected-mode kernel */
    uint32_t init_size;  /* memory it needs from its load address on, until it runs */
    uint32_t alignment;
    uint32_t initrd_max;  /* highest address of an initrd's last byte */
    uint32_t cmdline_max; /* bytes, without the final zero */
    uint64_t preferred;   /* load address */
    bool relocatable;
};

/* False for what is no bzImage with a 64-bit entry. Of the size bytes only the first LINUX_HEADER_SIZE are read. */
#define LINUX_HEADER_SIZE 1024
bool linux_kernel_parse(struct linux_kernel *out, const uint8_t *image, uint64_t size);

/*
 * Where things go: the protected-mode kernel, with the image's setup part just below it, where it prefers; the initrd as
 * high as kernel and low RAM allow. False when memory is too small.
 *
 * Of RAM above SHIM_END Linux finds two ranges accepted, in whole RAM_STEPs, ascending, apart, perhaps only one and then
 * the second empty: from SHIM_END over the kernel to LINUX_ROOM behind what it needs to unpack itself, where it may take
 * a random address; and around the initrd. Behind both is a RAM_STEP more, where there is one, because Linux reads past
 * the end of words (load_unaligned_zeropad) and wants what follows its memory accepted.
 */
#define LINUX_ROOM (64ull << 20)
struct linux_range {
    uint64_t start, end;
};
struct linux_place {
    uint64_t kernel, initrd;
    struct linux_range accepted[2];
};
bool linux_place(struct linux_place *place, const struct linux_kernel *kernel, uint64_t ram_low,
                 uint64_t initrd_size);

/* boot_params ("zero page"), and where what it points to lies. */
#define LINUX_PARAMS_SIZE 4096
struct linux_params {
    const uint8_t *image; /* the private copy of the bzImage's first LINUX_HEADER_SIZE bytes */
    const struct linux_place *place;
    const struct shim_boot_page *boot;
    uint32_t cmdline;    /* address of the zero-terminated command line */
    uint32_t setup_data; /* address of a list of struct setup_data, or 0 */
};
void linux_params_fill(uint8_t params[static LINUX_PARAMS_SIZE], const struct linux_params *in);

/* Confidential-computing blob for SNP: a setup_data node (type 7) and the struct cc_blob_sev_info that it points to
 * (arch/x86/include/asm/sev.h), written together to one place. */
#define LINUX_CC_SIZE 64
void linux_cc_fill(uint8_t out[static LINUX_CC_SIZE], uint32_t address);

/* Fields of params that others read or write. */
#define LINUX_PARAMS_EFI        0x1c0 /* struct efi_info */
#define LINUX_PARAMS_E820_COUNT 0x1e8
#define LINUX_PARAMS_E820       0x2d0 /* 20 bytes each: address, size, type */
enum linux_e820 { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

/* Is there room for a command line of size bytes? A TEE's is preceded by EFI_NO_RUNTIME (efi.h). */
bool linux_cmdline_fits(const struct linux_kernel *kernel, uint32_t tee, uint64_t size);
/* The command line has accept_memory=eager, by itself, before any "--": all memory is to be accepted at once. */
bool linux_cmdline_eager(const char *cmdline);

/* Nothing but RAM from 0 on (below RAM_LOW_END) and, perhaps, from RAM_HIGH on to at most RAM_END, in whole RAM_STEPs. */
bool shim_ram_valid(const struct shim_boot_page *boot);

#endif
