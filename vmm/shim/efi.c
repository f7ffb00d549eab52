#include "vmm/shim/efi.h"

enum { UNIT = RAM_STEP, VERSION = 1 };
static_assert(EFI_UNACCEPTED_HEADER + RAM_END / UNIT / 8 <= SHIM_LOG - SHIM_ACCEPT, "bitmap");

static void put(uint8_t *p, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool is_accepted(const struct linux_place *place, uint64_t gpa)
{
    for (unsigned i = 0; i < 2; i++)
        if (gpa >= place->accepted[i].start && gpa < place->accepted[i].end)
            return true;
    return gpa < SHIM_END;
}

void efi_unaccepted_fill(uint8_t *table, const struct shim_boot_page *boot, const struct linux_place *place)
{
    const struct shim_ram *last = &boot->ram[boot->ram_count - 1];
    uint64_t bytes = ((last->gpa + last->size) / UNIT + 7) / 8;
    uint8_t *bitmap = table + EFI_UNACCEPTED_HEADER;
    bytes = (bytes + 7) & ~7ull; /* Linux reads words of it */
    put(table, 4, VERSION);
    put(table + 4, 4, UNIT);
    put(table + 8, 8, 0); /* where the first bit's unit begins */
    put(table + 16, 8, bytes);
    for (uint64_t i = 0; i < bytes; i++)
        bitmap[i] = 0;
    for (unsigned i = 0; i < boot->ram_count; i++)
        for (uint64_t at = 0; at < boot->ram[i].size; at += UNIT) {
            uint64_t gpa = boot->ram[i].gpa + at, bit = gpa / UNIT;
            if (!is_accepted(place, gpa))
                bitmap[bit / 8] |= (uint8_t)(1 << bit % 8);
        }
}

/* EFI_MEMORY_DESCRIPTOR, of 40 bytes. */
enum { DESCRIPTOR = 40, LOADER_DATA = 2, CONVENTIONAL = 7, ACPI_RECLAIM = 9, ACPI_NVS = 10, RESERVED = 0 };

static uint8_t *describe(uint8_t *map, uint32_t type, uint64_t start, uint64_t end)
{
    enum { WRITE_BACK = 8 };
    put(map, 4, type);
    put(map + 8, 8, start);
    put(map + 24, 8, (end - start) / 4096);
    put(map + 32, 8, WRITE_BACK);
    return map + DESCRIPTOR;
}

/* RAM, cut where acceptance begins and ends. */
static uint8_t *describe_ram(uint8_t *map, uint64_t start, uint64_t end, const struct linux_place *place)
{
    while (start < end) {
        bool accepted = is_accepted(place, start);
        uint64_t stop = end;
        for (unsigned i = 0; i < 2; i++) {
            const struct linux_range *range = &place->accepted[i];
            if (start < range->start && range->start < stop)
                stop = range->start;
            if (start < range->end && range->end < stop)
                stop = range->end;
        }
        map = describe(map, accepted ? CONVENTIONAL : LOADER_DATA, start, stop);
        start = stop;
    }
    return map;
}

static uint8_t *describe_all(uint8_t *map, const uint8_t *params, const struct linux_place *place)
{
    static const uint8_t type_of[] = {
        [E820_RESERVED] = RESERVED, [E820_ACPI] = ACPI_RECLAIM, [E820_NVS] = ACPI_NVS};
    for (unsigned i = 0; i < params[LINUX_PARAMS_E820_COUNT]; i++) {
        const uint8_t *entry = params + LINUX_PARAMS_E820 + 20u * i;
        uint64_t start = get(entry, 8), end = start + get(entry + 8, 8), type = get(entry + 16, 4);
        map = type == E820_RAM ? describe_ram(map, start, end, place)
                               : describe(map, type_of[type], start, end);
    }
    return map;
}

/* The page: system table, its vendor's name (of which Linux maps 200 bytes), one configuration table, the map. */
enum { SYSTEM = 0, VENDOR = 0x80, TABLES = 0x180, MAP = 0x200 };

static void fill_system_table(uint8_t *efi, uint32_t address)
{
    enum { HEADER_SIZE = 120, REVISION_2_10 = 2 << 16 | 100 };
    static const char vendor[] = "Cofre";
    put(efi + SYSTEM, 8, 0x5453595320494249); /* "IBI SYST" */
    put(efi + SYSTEM + 8, 4, REVISION_2_10);
    put(efi + SYSTEM + 12, 4, HEADER_SIZE);
    put(efi + SYSTEM + 24, 8, address + VENDOR);
    put(efi + SYSTEM + 104, 8, 1); /* configuration tables */
    put(efi + SYSTEM + 112, 8, address + TABLES);
    for (unsigned i = 0; vendor[i]; i++)
        put(efi + VENDOR + 2 * i, 2, (uint8_t)vendor[i]);
}

void efi_fill(uint8_t efi[static EFI_SIZE], uint32_t address, uint32_t unaccepted,
              uint8_t params[static LINUX_PARAMS_SIZE], const struct linux_place *place)
{
    static const uint8_t guid[16] = {0x3c, 0xde, 0xd1, 0xd5, 0x5c, 0x10, 0xf9, 0x44,
                                     0x9e, 0xa9, 0xbc, 0xef, 0x98, 0x12, 0x00, 0x31};
    enum { SIGNATURE = 0x34364c45 /* EL64 */, MAP_VERSION = 1 };
    uint8_t *info = params + LINUX_PARAMS_EFI;
    fill_system_table(efi, address);
    for (unsigned i = 0; i < sizeof(guid); i++)
        efi[TABLES + i] = guid[i];
    put(efi + TABLES + sizeof(guid), 8, unaccepted);
    uint8_t *end = describe_all(efi + MAP, params, place);
    put(info, 4, SIGNATURE);
    put(info + 4, 4, address + SYSTEM);
    put(info + 8, 4, DESCRIPTOR);
    put(info + 12, 4, MAP_VERSION);
    put(info + 16, 4, address + MAP);
    put(info + 20, 4, (uint64_t)(end - efi - MAP));
}
