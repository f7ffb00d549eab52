/*
 * The launch image of a guest that boots Linux through cofre-shim: what is measured of it, and where the rest is staged.
 *
 * Measured: the shim, its boot page (sizes and hashes of kernel, initrd and command line; RAM), ACPI tables, and for
 * SNP the CPUID and secrets pages: at most 64 KiB, whatever the kernel's size. TDX leaves the boot page out: what it
 * says goes into run-time registers, as launch_image's events. vmm/shim/abi.h has the map.
 */
#ifndef COFRE_MACHINE_BOOT_H
#define COFRE_MACHINE_BOOT_H

#include "vmm/machine/image.h"
#include "vmm/shim/abi.h"

#define BOOT_MEMORY_MIN     (128ull << 20)
#define BOOT_MEMORY_DEFAULT (512ull << 20) /* of cofre run and cofre measure alike, as is one vCPU */
#define BOOT_MEMORY_MAX     (RAM_END - (RAM_HIGH - RAM_LOW_END))
#define BOOT_CPUS_MAX       255

struct boot_config {
    uint32_t tee;        /* enum boot_tee */
    struct view shim;    /* boot_shim_load */
    uint64_t memory;     /* bytes; a multiple of 2 MiB, from BOOT_MEMORY_MIN on */
    unsigned cpus;       /* 1 to BOOT_CPUS_MAX */
    struct view kernel;  /* a bzImage */
    struct view initrd;  /* empty: none */
    struct view cmdline; /* without a final zero; empty: none */
    struct view
        firmware;    /* an OVMF or TDVF image that the guest starts in, instead of the shim; empty: none */
    bool igvm;       /* firmware is an IGVM file, which describes such a guest */
    uint8_t *window; /* of mmap(2), whole pages: the three as boot_staging_layout places them */
};

/* Fills *image, which the caller frees with launch_image_free; it keeps nothing of the config's views. COFRE_USAGE for
 * a memory size, number of CPUs or command line that no guest can have, COFRE_MALFORMED for a kernel or shim that is
 * none, COFRE_USAGE for an initrd or kernel that does not fit. */
int boot_image_build(const struct boot_config *config, struct launch_image *image, struct cofre_err *err);

/* Its vCPUs, memory and TEE are those of a guest that there can be. */
int boot_check_numbers(const struct boot_config *config, struct cofre_err *err);

/* The guest's RAM: one or two ranges (below 3 GiB, from 4 GiB on), as in the boot page. Returns how many. */
unsigned boot_ram(uint64_t memory, struct shim_ram ram[2]);

/* The staging window's contents: offsets from STAGING_BASE, and its size in whole pages (0: nothing staged). */
struct boot_staging {
    uint32_t kernel, initrd, cmdline, size;
};
int boot_staging_layout(const struct boot_config *config, struct boot_staging *out, struct cofre_err *err);

/* The bytes of the TEE's shim: the file COFRE_SHIM names, else the build tree's (beside the program that runs), else the
 * installed one. */
int boot_shim_load(uint32_t tee, struct bytes *out, struct cofre_err *err);

/* What a shim's termination code means and what to do; NULL for a code that the shim does not have. */
const char *boot_shim_sentence(unsigned code);

#endif
