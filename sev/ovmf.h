/*
 * What an OVMF image says of itself to a VMM that launches SNP guests: in its table of GUIDs the SEV metadata, the SEV-ES
 * reset block and the place of the kernel hashes.
 * Source: edk2, OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm. The image is hostile input.
 */
#ifndef COFRE_SEV_OVMF_H
#define COFRE_SEV_OVMF_H

#include <stdbool.h>

#include "sev/abi.h"
#include "vmm/base/ovmf_table.h"

#define SNP_OVMF_SECTIONS_MAX 32

enum snp_ovmf_section_type {
    SNP_OVMF_SEC_MEM = 1, /* RAM that the firmware wants validated */
    SNP_OVMF_SECRETS = 2,
    SNP_OVMF_CPUID = 3,
    SNP_OVMF_SVSM_CAA = 4,
    SNP_OVMF_KERNEL_HASHES = 0x10,
};

struct snp_ovmf_section {
    uint32_t gpa, size, type;
};

struct snp_ovmf {
    struct ovmf_table table;
    size_t section_count;
    struct snp_ovmf_section section[SNP_OVMF_SECTIONS_MAX]; /* in the metadata's order */
    bool has_reset_eip, has_hash_table;
    uint32_t reset_eip;                       /* where processors but the first start */
    uint32_t hash_table_gpa, hash_table_size; /* the room for the kernel hashes */
};

/* An image without one, or without SEV metadata, is not malformed: it has no entries or sections.
 * Sections are whole pages below 4 GiB that overlap neither each other nor the image; SECRETS, CPUID and
 * KERNEL_HASHES have one page; the hash table lies in the latter. */
int snp_ovmf_parse(struct snp_ovmf *out, struct view image, struct cofre_err *err);

const struct snp_ovmf_section *snp_ovmf_section_find(const struct snp_ovmf *ovmf,
                                                     enum snp_ovmf_section_type type);

/* "SEC memory", or NULL for a type that is not known. */
const char *snp_ovmf_section_name(uint32_t type);

/* SHA-256 of what QEMU's -kernel, -initrd and -append with kernel-hashes=on hand to the guest. */
struct snp_kernel_items {
    struct view kernel, initrd;
    struct view cmdline; /* without a final zero; the hash includes one */
};

/* The table of these hashes, without its padding. */
#define SNP_HASH_TABLE_SIZE 168
int snp_ovmf_hash_table(uint8_t out[SNP_HASH_TABLE_SIZE], const struct snp_kernel_items *items,
                        struct cofre_err *err);

/* The measured page that holds the hash table, at hash_table_gpa's offset in it, zeros around it. */
int snp_ovmf_hash_page(uint8_t page[SNP_PAGE_SIZE], const struct snp_ovmf *ovmf,
                       const struct snp_kernel_items *items, struct cofre_err *err);

#endif
