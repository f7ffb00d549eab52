#include "tdx/hob.h"

#include <string.h>

#include "vmm/base/bytes.h"

/* Each block begins with its type, its length and four zeros (5.2). */
enum { HANDOFF = 1, RESOURCE_DESCRIPTOR = 3, END_OF_LIST = 0xffff };
enum { HEADER_SIZE = 8, HANDOFF_SIZE = 56, RESOURCE_SIZE = 48 };

/* The hand-off information table (5.3). Boot mode 0 is a boot with full configuration; the memory that it could name is the
 * firmware's to choose. */
enum { HANDOFF_VERSION = 8, VERSION = 9, HANDOFF_END = 48 };

/* A resource descriptor (5.5), whose owner is nobody. */
enum { RESOURCE_TYPE = 24, RESOURCE_ATTRIBUTES = 28, RESOURCE_START = 32, RESOURCE_LEN = 40 };
enum { SYSTEM_MEMORY = 0, MEMORY_UNACCEPTED = 7 };
enum { PRESENT = 1, INITIALIZED = 2, TESTED = 4 };

static void put_header(uint8_t *at, uint16_t type, uint16_t len)
{
    put_le16(at, type);
    put_le16(at + 2, len);
}

static void put_memory(uint8_t *at, const struct tdx_hob_memory *memory)
{
    put_header(at, RESOURCE_DESCRIPTOR, RESOURCE_SIZE);
    put_le32(at + RESOURCE_TYPE, memory->accepted ? SYSTEM_MEMORY : MEMORY_UNACCEPTED);
    put_le32(at + RESOURCE_ATTRIBUTES, PRESENT | INITIALIZED | TESTED);
    put_le64(at + RESOURCE_START, memory->gpa);
    put_le64(at + RESOURCE_LEN, memory->len);
}

size_t tdx_hob_build(uint8_t *out, size_t size, uint64_t gpa, const struct tdx_hob_memory *memory,
                     size_t count)
{
    const size_t len = HANDOFF_SIZE + count * RESOURCE_SIZE + HEADER_SIZE;
    if (len > size)
        return 0;
    memset(out, 0, len);
    put_header(out, HANDOFF, HANDOFF_SIZE);
    put_le32(out + HANDOFF_VERSION, VERSION);
    put_le64(out + HANDOFF_END, gpa + len);
    for (size_t i = 0; i < count; i++)
        put_memory(out + HANDOFF_SIZE + i * RESOURCE_SIZE, &memory[i]);
    put_header(out + len - HEADER_SIZE, END_OF_LIST, HEADER_SIZE);
    return len;
}
