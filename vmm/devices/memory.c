#include "vmm/devices/memory.h"

#include <inttypes.h>
#include <string.h>

int guest_memory_add_file(struct guest_memory *mem, uint64_t gpa, uint64_t len, void *host, int fd,
                          uint64_t offset, struct cofre_err *err)
{
    if (mem->count == GUEST_REGIONS_MAX)
        return cofre_fail(err, COFRE_FAILED, "guest memory: more than %d regions", GUEST_REGIONS_MAX);
    if (len == 0 || gpa + len < gpa)
        return cofre_fail(err, COFRE_FAILED,
                          "guest memory: no region at 0x%" PRIx64 " of 0x%" PRIx64 " bytes", gpa, len);
    for (size_t i = 0; i < mem->count; i++) {
        const struct guest_region *other = &mem->region[i];
        if (gpa < other->gpa + other->len && other->gpa < gpa + len)
            return cofre_fail(err, COFRE_FAILED,
                              "guest memory: 0x%" PRIx64 " overlaps the region at 0x%" PRIx64, gpa,
                              other->gpa);
    }
    mem->region[mem->count++] = (struct guest_region){gpa, len, host, fd, offset};
    return 0;
}

int guest_memory_add(struct guest_memory *mem, uint64_t gpa, uint64_t len, void *host, struct cofre_err *err)
{
    return guest_memory_add_file(mem, gpa, len, host, -1, 0, err);
}

void *guest_memory_at(const struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
    for (size_t i = 0; i < mem->count && len; i++) {
        const struct guest_region *region = &mem->region[i];
        if (gpa >= region->gpa && len <= region->len && gpa - region->gpa <= region->len - len)
            return region->host + (gpa - region->gpa);
    }
    return NULL;
}

void guest_copy(void *out, const void *in, size_t len)
{
    memcpy(out, in, len);
    __asm__ volatile("" ::: "memory");
}

bool guest_memory_read(const struct guest_memory *mem, uint64_t gpa, void *out, size_t len)
{
    const void *host = guest_memory_at(mem, gpa, len);
    if (host)
        guest_copy(out, host, len);
    return host;
}

bool guest_memory_write(const struct guest_memory *mem, uint64_t gpa, const void *data, size_t len)
{
    void *host = guest_memory_at(mem, gpa, len);
    if (host)
        guest_copy(host, data, len);
    return host;
}
