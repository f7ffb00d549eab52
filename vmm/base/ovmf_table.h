/*
 * The table of GUIDs that ends 32 bytes before the end of an OVMF image and grows downwards: what the firmware says of
 * itself to a VMM, for SEV-SNP and TDX alike. Source: edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm. The image is
 * hostile input.
 */
#ifndef COFRE_BASE_OVMF_TABLE_H
#define COFRE_BASE_OVMF_TABLE_H

#include "vmm/base/bytes.h"

#define OVMF_PAGE_SIZE   4096u
#define OVMF_SIZE_MAX    (16u << 20) /* the room below 4 GiB that PC machines have for firmware */
#define OVMF_ENTRIES_MAX 32
#define OVMF_END         0x100000000ull /* where an image ends in guest memory */

/* The entries with a meaning here. */
enum ovmf_entry_kind {
    OVMF_TABLE,
    OVMF_SEV_RESET,
    OVMF_SEV_SECRET,
    OVMF_SEV_HASHES,
    OVMF_SEV_METADATA,
    OVMF_TDX_METADATA,
};

struct ovmf_entry {
    uint8_t guid[16]; /* as it lies in the image: the first three groups little-endian */
    struct view data;
};

struct ovmf_table {
    struct view image; /* the caller's */
    uint64_t gpa;      /* of the image's first byte */
    size_t count;
    struct ovmf_entry entry[OVMF_ENTRIES_MAX]; /* from the image's end downwards */
};

/* An image without a table is not malformed: it has no entries. One of no whole pages, or of more than OVMF_SIZE_MAX, is. */
int ovmf_table_parse(struct ovmf_table *out, struct view image, struct cofre_err *err);

/* True where the image has a table, good or not. */
bool ovmf_table_is(struct view image);

/* An entry that begins with 32-bit numbers; *has is false, and value untouched, where the image has none. */
int ovmf_table_numbers(const struct ovmf_table *table, enum ovmf_entry_kind kind, uint32_t *value,
                       size_t count, bool *has, struct cofre_err *err);

/* The entry holds the distance of metadata from the image's end: those bytes, up to the end. Metadata of less than min
 * bytes are malformed; out is empty where the image has no such entry. */
int ovmf_table_metadata(const struct ovmf_table *table, enum ovmf_entry_kind kind, size_t min,
                        struct view *out, struct cofre_err *err);

/* "SEV metadata", or NULL for an entry that is not known. */
const char *ovmf_entry_name(const uint8_t guid[16]);
#define GUID_TEXT_SIZE 37
void guid_format(char out[GUID_TEXT_SIZE], const uint8_t guid[16]);

/* A GUID as it lies in memory. */
#define GUID(a, b, c, ...)                                                                                   \
    {                                                                                                        \
        (a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff, (a) >> 24, (b)&0xff, (b) >> 8, (c)&0xff, (c) >> 8,    \
            __VA_ARGS__                                                                                      \
    }

#endif
