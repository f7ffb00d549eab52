#include "vmm/machine/acpi_loader.h"

#include <assert.h>
#include <string.h>

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1 };

/* A command; numbers are little-endian. */
struct command {
    uint32_t what;
    char file[56];
    union {
        struct {
            uint32_t alignment;
            uint8_t zone;
        } __attribute__((packed)) allocate;
        struct {
            char points_into[56];
            uint32_t offset;
            uint8_t size;
        } __attribute__((packed)) pointer;
        struct {
            uint32_t offset, start, len;
        } __attribute__((packed)) checksum;
        uint8_t all[68];
    };
};
static_assert(sizeof(struct command) == 128, "a command of the table loader");

#define COMMANDS_MAX 24
struct script {
    struct command command[COMMANDS_MAX];
    unsigned count;
    uint8_t *tables;
};

static struct command *add(struct script *s, uint32_t what)
{
    assert(s->count < COMMANDS_MAX); /* the tables are ours */
    struct command *c = &s->command[s->count++];
    *c = (struct command){.what = what, .file = ACPI_LOADER_FILE};
    return c;
}

static void add_pointer(struct script *s, size_t offset, uint8_t size)
{
    struct command *c = add(s, ADD_POINTER);
    memcpy(c->pointer.points_into, ACPI_LOADER_FILE, sizeof ACPI_LOADER_FILE);
    c->pointer.offset = (uint32_t)offset;
    c->pointer.size = size;
}

static void add_checksum(struct script *s, size_t offset, size_t start, size_t len)
{
    struct command *c = add(s, ADD_CHECKSUM);
    c->checksum.offset = (uint32_t)offset;
    c->checksum.start = (uint32_t)start;
    c->checksum.len = (uint32_t)len;
    s->tables[offset] = 0;
}

static void add_table(struct script *s, size_t at)
{
    add_checksum(s, at + 9, at, le32(s->tables + at + 4));
}

/* The FADT has the DSDT's address twice (5.2.9). */
static void add_fadt(struct script *s, size_t at)
{
    const size_t dsdt = le64(s->tables + at + 140);
    add_pointer(s, at + 40, 4);
    add_pointer(s, at + 140, 8);
    add_table(s, dsdt);
}

static void add_xsdt(struct script *s, size_t at)
{
    const size_t end = at + le32(s->tables + at + 4);
    for (size_t entry = at + 36; entry < end; entry += 8) {
        const size_t table = le64(s->tables + entry);
        add_pointer(s, entry, 8);
        if (memcmp(s->tables + table, "FACP", 4) == 0)
            add_fadt(s, table);
        add_table(s, table);
    }
    add_table(s, at);
}

int acpi_loader_build(struct bytes *out, uint8_t *tables, struct cofre_err *err)
{
    struct script s = {.tables = tables};
    struct command *allocate = add(&s, ALLOCATE);
    allocate->allocate.alignment = 64;
    allocate->allocate.zone = ZONE_HIGH;
    add_pointer(&s, 24, 8); /* the RSDP is first (5.2.5.3) */
    add_xsdt(&s, le64(tables + 24));
    add_checksum(&s, 8, 0, 20);
    add_checksum(&s, 32, 0, 36);
    return bytes_copy(out, (struct view){(const uint8_t *)s.command, s.count * sizeof s.command[0]}, err);
}
