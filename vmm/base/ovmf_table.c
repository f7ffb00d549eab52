#include "vmm/base/ovmf_table.h"

#include <stdio.h>
#include <string.h>

static const struct {
    uint8_t guid[16];
    const char *name;
} known[] = {
    [OVMF_TABLE] = {GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d),
                    "table"},
    [OVMF_SEV_RESET] = {GUID(0x00f771de, 0x1a7e, 0x4fcb, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e),
                        "SEV-ES reset block"},
    [OVMF_SEV_SECRET] = {GUID(0x4c2eb361, 0x7d9b, 0x4cc3, 0x80, 0x81, 0x12, 0x7c, 0x90, 0xd3, 0xd2, 0x94),
                         "SEV launch secret"},
    [OVMF_SEV_HASHES] = {GUID(0x7255371f, 0x3a3b, 0x4b04, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54),
                         "SEV kernel hashes"},
    [OVMF_SEV_METADATA] = {GUID(0xdc886566, 0x984a, 0x4798, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc),
                           "SEV metadata"},
    [OVMF_TDX_METADATA] = {GUID(0xe47a6535, 0x984a, 0x4798, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2),
                           "TDX metadata"},
};

const char *ovmf_entry_name(const uint8_t guid[16])
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (memcmp(guid, known[i].guid, 16) == 0)
            return known[i].name;
    return NULL;
}

void guid_format(char out[GUID_TEXT_SIZE], const uint8_t g[16])
{
    (void)snprintf(out, GUID_TEXT_SIZE, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", le32(g),
                   le16(g + 4), le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static const struct ovmf_entry *find_entry(const struct ovmf_table *table, const uint8_t guid[16])
{
    for (size_t i = 0; i < table->count; i++)
        if (memcmp(table->entry[i].guid, guid, 16) == 0)
            return &table->entry[i];
    return NULL;
}

/* Each entry of the table ends with its length, which counts the whole entry, and its GUID. So does the table. */
#define ENTRY_TAIL  (2 + 16)
#define TABLE_ABOVE 32 /* bytes between the table and the image's end: the reset vector */

static int parse_entries(struct ovmf_table *out, struct view table, struct cofre_err *err)
{
    while (table.len > 0) {
        struct ovmf_entry *entry = &out->entry[out->count];
        const uint8_t *end = table.data + table.len;
        size_t len = table.len >= ENTRY_TAIL ? le16(end - ENTRY_TAIL) : 0;
        if (len < ENTRY_TAIL || len > table.len)
            return cofre_fail(err, COFRE_MALFORMED,
                              "the GUID table's entry %zu says %zu bytes, and %zu are left of the table",
                              out->count, len, table.len);
        if (out->count == OVMF_ENTRIES_MAX)
            return cofre_fail(err, COFRE_MALFORMED, "the GUID table has more than %d entries",
                              OVMF_ENTRIES_MAX);
        if (find_entry(out, end - 16))
            return cofre_fail(err, COFRE_MALFORMED, "the GUID table has two entries of one GUID");
        memcpy(entry->guid, end - 16, 16);
        entry->data = (struct view){end - len, len - ENTRY_TAIL};
        out->count++;
        table.len -= len;
    }
    return 0;
}

static bool find_footer(struct view image, struct view *tail)
{
    return image.len >= TABLE_ABOVE + ENTRY_TAIL &&
           view_sub(image, image.len - TABLE_ABOVE - ENTRY_TAIL, ENTRY_TAIL, tail) &&
           memcmp(tail->data + 2, known[OVMF_TABLE].guid, 16) == 0;
}

bool ovmf_table_is(struct view image)
{
    struct view tail;
    return find_footer(image, &tail);
}

int ovmf_table_parse(struct ovmf_table *out, struct view image, struct cofre_err *err)
{
    struct view tail, table;
    memset(out, 0, sizeof *out);
    if (image.len == 0 || image.len % OVMF_PAGE_SIZE || image.len > OVMF_SIZE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are not whole pages of at most 16 MiB", image.len);
    out->image = image;
    out->gpa = OVMF_END - image.len;
    if (!find_footer(image, &tail))
        return 0;
    size_t len = le16(tail.data);
    if (len < ENTRY_TAIL || !view_sub(image, image.len - TABLE_ABOVE - len, len - ENTRY_TAIL, &table))
        return cofre_fail(err, COFRE_MALFORMED, "the GUID table says it has %zu bytes", len);
    return parse_entries(out, table, err);
}

int ovmf_table_numbers(const struct ovmf_table *table, enum ovmf_entry_kind kind, uint32_t *value,
                       size_t count, bool *has, struct cofre_err *err)
{
    const struct ovmf_entry *entry = find_entry(table, known[kind].guid);
    *has = entry != NULL;
    if (!entry)
        return 0;
    if (entry->data.len < 4 * count)
        return cofre_fail(err, COFRE_MALFORMED, "the entry \"%s\" has %zu bytes and needs %zu",
                          known[kind].name, entry->data.len, 4 * count);
    for (size_t i = 0; i < count; i++)
        value[i] = le32(entry->data.data + 4 * i);
    return 0;
}

int ovmf_table_metadata(const struct ovmf_table *table, enum ovmf_entry_kind kind, size_t min,
                        struct view *out, struct cofre_err *err)
{
    uint32_t distance = 0;
    bool has;
    *out = (struct view){NULL, 0};
    int rc = ovmf_table_numbers(table, kind, &distance, 1, &has, err);
    if (rc < 0 || !has)
        return rc;
    if (distance < min || !view_sub(table->image, table->image.len - (uint64_t)distance, distance, out))
        return cofre_fail(err, COFRE_MALFORMED, "%s: %u bytes before the image's end there can be none",
                          known[kind].name, distance);
    return 0;
}
