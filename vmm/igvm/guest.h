/*
 * What an IGVM file says of one platform's guest: the ranges of memory that it begins with, in the file's order, parameters
 * filled in, and the vCPUs' contexts. Pure; prediction and launch have it from here alike.
 */
#ifndef COFRE_IGVM_GUEST_H
#define COFRE_IGVM_GUEST_H

#include "vmm/igvm/file.h"

#define IGVM_RANGES_MAX   256 /* after pages that follow each other were put together */
#define IGVM_AREAS_MAX    32
#define IGVM_CONTEXTS_MAX 255
#define IGVM_CONTENTS_MAX (512u << 20)

/* Memory outside of RAM that a file may fill: where PC machines have their firmware, up to 4 GiB. */
#define IGVM_FIRMWARE_BASE 0xff000000ull
#define IGVM_FIRMWARE_END  0x100000000ull

enum igvm_range_kind {
    IGVM_RANGE_DATA, /* measured */
    IGVM_RANGE_ZERO, /* the same, of pages for which the file has no data: contents are zeros */
    IGVM_RANGE_UNMEASURED,
    IGVM_RANGE_SECRETS, /* a page; the two last have no contents here */
    IGVM_RANGE_CPUID,
};

struct igvm_memory {
    uint64_t gpa, size;
};

/* The machine that the guest shall run on: where it has memory, and what parameters say of it. */
struct igvm_machine {
    unsigned cpus;
    struct igvm_memory ram[2]; /* by address */
    unsigned rams;
    struct igvm_memory mmio[2];
    struct view cmdline; /* without a final zero */
    struct view madt;
    bool memory_is_shared; /* what the file does not fill is shared with the host at the start */
};

struct igvm_guest {
    struct igvm_platform platform;
    struct igvm_range {
        enum igvm_range_kind kind;
        uint64_t gpa, len;
        const uint8_t *data; /* in contents, page-aligned */
    } range[IGVM_RANGES_MAX];
    size_t count;
    struct bytes contents;
    struct igvm_context {
        uint64_t gpa;
        struct view state; /* in the file */
        uint16_t vp;
        bool precedes_pages; /* memory follows in the file */
    } context[IGVM_CONTEXTS_MAX];
    size_t contexts;
    bool has_policy;
    uint64_t policy;
    struct view id_block; /* the header's body; empty: none */
};

/* machine is NULL where it is somebody else's: then pages may lie anywhere and parameters stay as the file has them.
 * COFRE_NEGATIVE where the file is for other platforms, COFRE_MALFORMED, with the header's number, for what cannot be such a
 * guest. The file outlives the guest, which is freed by igvm_guest_free in any case. */
int igvm_guest_build(struct igvm_guest *out, const struct igvm_file *file, enum igvm_platform_type type,
                     const struct igvm_machine *machine, struct cofre_err *err);
void igvm_guest_free(struct igvm_guest *guest);

#endif
