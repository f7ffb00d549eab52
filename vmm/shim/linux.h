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

/* Where things go: the protected-mode kernel, with the image's setup part just below it, where it prefers; the initrd as
 * high as kernel and low RAM allow. False when memory is too small. */
struct linux_place {
    uint64_t kernel, initrd;
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

/* Nothing but RAM from 0 on (below RAM_LOW_END) and, perhaps, from RAM_HIGH on, in whole RAM_STEPs. */
bool shim_ram_valid(const struct shim_boot_page *boot);

#endif
