/*
 * Guest memory as devices may touch it: the shared view, through one checked accessor. What lies in it may be
 * changed by the guest at any moment, so a value is copied out once, checked, and then used from the copy.
 */
#ifndef COFRE_DEVICES_MEMORY_H
#define COFRE_DEVICES_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct guest_region {
    uint64_t gpa, len;
    uint8_t *host; /* len bytes; belongs to the machine and outlives every device */
    int fd;        /* the memfd that host maps from offset on, to be shared with another process; or -1 */
    uint64_t offset;
};

/* Filled before the first device exists, then constant. Zero it to begin. */
#define GUEST_REGIONS_MAX 4
struct guest_memory {
    struct guest_region region[GUEST_REGIONS_MAX];
    size_t count;
};

/* Refuses an empty region, one that wraps around, and one that overlaps another. */
int guest_memory_add(struct guest_memory *mem, uint64_t gpa, uint64_t len, void *host, struct cofre_err *err);
/* The same for memory that fd has at offset; fd stays the caller's, as long as the memory. */
int guest_memory_add_file(struct guest_memory *mem, uint64_t gpa, uint64_t len, void *host, int fd,
                          uint64_t offset, struct cofre_err *err);

/* The host's address of [gpa, gpa+len), or NULL unless all of it lies in one region. len 0 is NULL too. */
void *guest_memory_at(const struct guest_memory *mem, uint64_t gpa, uint64_t len);

/* Copies that read or write guest memory exactly once; false, and nothing done, when the range is not memory.
 */
bool guest_memory_read(const struct guest_memory *mem, uint64_t gpa, void *out, size_t len);
bool guest_memory_write(const struct guest_memory *mem, uint64_t gpa, const void *data, size_t len);

/* The copy itself, for pieces that were checked before: the compiler may not go back to the source
 * afterwards. */
void guest_copy(void *out, const void *in, size_t len);

#endif
