#include "sev/ovmf.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define FOUR_GIB 0x100000000ull

/* A GUID as it lies in memory. */
#define GUID(a, b, c, ...)                                                                                   \
    {                                                                                                        \
        (a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff, (a) >> 24, (b)&0xff, (b) >> 8, (c)&0xff, (c) >> 8,    \
            __VA_ARGS__                                                                                      \
    }

enum { ENTRY_FOOTER, ENTRY_RESET, ENTRY_SECRET, ENTRY_HASHES, ENTRY_SEV_METADATA, ENTRY_TDX_METADATA };
static const struct {
    uint8_t guid[16];
    const char *name;
} known[] = {
    [ENTRY_FOOTER] = {GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d),
                      "table"},
    [ENTRY_RESET] = {GUID(0x00f771de, 0x1a7e, 0x4fcb, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e),
                     "SEV-ES reset block"},
    [ENTRY_SECRET] = {GUID(0x4c2eb361, 0x7d9b, 0x4cc3, 0x80, 0x81, 0x12, 0x7c, 0x90, 0xd3, 0xd2, 0x94),
                      "SEV launch secret"},
    [ENTRY_HASHES] = {GUID(0x7255371f, 0x3a3b, 0x4b04, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54),
                      "SEV kernel hashes"},
    [ENTRY_SEV_METADATA] = {GUID(0xdc886566, 0x984a, 0x4798, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc),
                            "SEV metadata"},
    [ENTRY_TDX_METADATA] = {GUID(0xe47a6535, 0x984a, 0x4798, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2),
                            "TDX metadata"},
};

static const char *const section_names[] = {
    [SNP_OVMF_SEC_MEM] = "SEC memory",
    [SNP_OVMF_SECRETS] = "secrets",
    [SNP_OVMF_CPUID] = "CPUID",
    [SNP_OVMF_SVSM_CAA] = "SVSM calling area",
    [SNP_OVMF_KERNEL_HASHES] = "kernel hashes",
};

const char *snp_ovmf_section_name(uint32_t type)
{
    return type < sizeof section_names / sizeof section_names[0] ? section_names[type] : NULL;
}

const char *snp_ovmf_entry_name(const uint8_t guid[16])
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (memcmp(guid, known[i].guid, 16) == 0)
            return known[i].name;
    return NULL;
}

void snp_guid_format(char out[SNP_GUID_TEXT_SIZE], const uint8_t g[16])
{
    (void)snprintf(out, SNP_GUID_TEXT_SIZE, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", le32(g),
                   le16(g + 4), le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static const struct snp_ovmf_entry *find_entry(const struct snp_ovmf *ovmf, const uint8_t guid[16])
{
    for (size_t i = 0; i < ovmf->entry_count; i++)
        if (memcmp(ovmf->entry[i].guid, guid, 16) == 0)
            return &ovmf->entry[i];
    return NULL;
}

const struct snp_ovmf_section *snp_ovmf_section_find(const struct snp_ovmf *ovmf,
                                                     enum snp_ovmf_section_type type)
{
    for (size_t i = 0; i < ovmf->section_count; i++)
        if (ovmf->section[i].type == type)
            return &ovmf->section[i];
    return NULL;
}

/* Each entry of the table ends with its length, which counts the whole entry, and its GUID. So does the table. */
#define ENTRY_TAIL  (2 + 16)
#define TABLE_ABOVE 32 /* bytes between the table and the image's end: the reset vector */

static int parse_entries(struct snp_ovmf *out, struct view table, struct cofre_err *err)
{
    while (table.len > 0) {
        struct snp_ovmf_entry *entry = &out->entry[out->entry_count];
        const uint8_t *end = table.data + table.len;
        size_t len = table.len >= ENTRY_TAIL ? le16(end - ENTRY_TAIL) : 0;
        if (len < ENTRY_TAIL || len > table.len)
            return cofre_fail(err, COFRE_MALFORMED,
                              "the GUID table's entry %zu says %zu bytes, and %zu are left of the table",
                              out->entry_count, len, table.len);
        if (out->entry_count == SNP_OVMF_ENTRIES_MAX)
            return cofre_fail(err, COFRE_MALFORMED, "the GUID table has more than %d entries",
                              SNP_OVMF_ENTRIES_MAX);
        if (find_entry(out, end - 16))
            return cofre_fail(err, COFRE_MALFORMED, "the GUID table has two entries of one GUID");
        memcpy(entry->guid, end - 16, 16);
        entry->data = (struct view){end - len, len - ENTRY_TAIL};
        out->entry_count++;
        table.len -= len;
    }
    return 0;
}

static bool find_footer(struct view image, struct view *tail)
{
    return image.len >= TABLE_ABOVE + ENTRY_TAIL &&
           view_sub(image, image.len - TABLE_ABOVE - ENTRY_TAIL, ENTRY_TAIL, tail) &&
           memcmp(tail->data + 2, known[ENTRY_FOOTER].guid, 16) == 0;
}

bool snp_ovmf_is(struct view image)
{
    struct view tail;
    return find_footer(image, &tail);
}

static int parse_table(struct snp_ovmf *out, struct cofre_err *err)
{
    struct view tail, table;
    if (!find_footer(out->image, &tail))
        return 0;
    size_t len = le16(tail.data);
    if (len < ENTRY_TAIL ||
        !view_sub(out->image, out->image.len - TABLE_ABOVE - len, len - ENTRY_TAIL, &table))
        return cofre_fail(err, COFRE_MALFORMED, "the GUID table says it has %zu bytes", len);
    return parse_entries(out, table, err);
}

/* An entry that holds one or two 32-bit numbers; false where the image has none. */
static int entry_numbers(const struct snp_ovmf *ovmf, int which, uint32_t *value, size_t count, bool *has,
                         struct cofre_err *err)
{
    const struct snp_ovmf_entry *entry = find_entry(ovmf, known[which].guid);
    *has = entry != NULL;
    if (!entry)
        return 0;
    if (entry->data.len < 4 * count)
        return cofre_fail(err, COFRE_MALFORMED, "the entry \"%s\" has %zu bytes and needs %zu",
                          known[which].name, entry->data.len, 4 * count);
    for (size_t i = 0; i < count; i++)
        value[i] = le32(entry->data.data + 4 * i);
    return 0;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

static bool is_single_page(uint32_t type)
{
    return type == SNP_OVMF_SECRETS || type == SNP_OVMF_CPUID || type == SNP_OVMF_KERNEL_HASHES;
}

static int check_section(const struct snp_ovmf *ovmf, const struct snp_ovmf_section *s, struct cofre_err *err)
{
    if (s->size == 0 || (s->gpa | s->size) % SNP_PAGE_SIZE || (uint64_t)s->gpa + s->size > FOUR_GIB)
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: 0x%x bytes at 0x%x are not whole pages below 4 GiB", s->size,
                          s->gpa);
    if (is_single_page(s->type) && (s->size != SNP_PAGE_SIZE || snp_ovmf_section_find(ovmf, s->type)))
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: the section \"%s\" is not one page, once",
                          section_names[s->type]);
    if (overlap(s->gpa, s->size, ovmf->gpa, ovmf->image.len))
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: the section at 0x%x lies over the image itself", s->gpa);
    for (size_t i = 0; i < ovmf->section_count; i++)
        if (overlap(s->gpa, s->size, ovmf->section[i].gpa, ovmf->section[i].size))
            return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: the sections at 0x%x and 0x%x overlap",
                              s->gpa, ovmf->section[i].gpa);
    return 0;
}

#define METADATA_HEADER  16 /* "ASEV", length of all of it, version, number of sections */
#define METADATA_SECTION 12 /* address, size, type */

static int parse_metadata(struct snp_ovmf *out, struct view metadata, struct cofre_err *err)
{
    uint32_t len = le32(metadata.data + 4), version = le32(metadata.data + 8),
             count = le32(metadata.data + 12);
    if (memcmp(metadata.data, "ASEV", 4) != 0 || version != 1)
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: not of version 1");
    if (count > SNP_OVMF_SECTIONS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: %u sections, and at most %d are taken", count,
                          SNP_OVMF_SECTIONS_MAX);
    if (len > metadata.len || len < METADATA_HEADER + count * METADATA_SECTION)
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: %u bytes cannot hold its %u sections, or exceed the image", len,
                          count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = metadata.data + METADATA_HEADER + i * METADATA_SECTION;
        struct snp_ovmf_section section = {le32(at), le32(at + 4), le32(at + 8)};
        int rc = check_section(out, &section, err);
        if (rc < 0)
            return rc;
        out->section[out->section_count++] = section;
    }
    return 0;
}

/* The entry holds the metadata's distance from the image's end. */
static int find_metadata(struct snp_ovmf *out, struct cofre_err *err)
{
    uint32_t distance = 0;
    bool has;
    struct view metadata;
    int rc = entry_numbers(out, ENTRY_SEV_METADATA, &distance, 1, &has, err);
    if (rc < 0 || !has)
        return rc;
    if (distance < METADATA_HEADER ||
        !view_sub(out->image, out->image.len - (uint64_t)distance, distance, &metadata))
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: %u bytes before the image's end there can be none", distance);
    return parse_metadata(out, metadata, err);
}

/* The hash table as QEMU lays it out (target/i386/sev.c, PaddedSevHashTable). */
struct hash_entry {
    uint8_t guid[16];
    uint16_t len;
    uint8_t hash[32];
} __attribute__((packed));
struct hash_table {
    uint8_t guid[16];
    uint16_t len; /* without the padding */
    struct hash_entry cmdline, initrd, kernel;
    uint8_t padding[8];
} __attribute__((packed));
static_assert(sizeof(struct hash_entry) == 50, "hash entry");
static_assert(sizeof(struct hash_table) == 176, "hash table");

static const uint8_t table_guid[16] =
    GUID(0x9438d606, 0x4f22, 0x4cc9, 0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21);
static const uint8_t kernel_guid[16] =
    GUID(0x4de79437, 0xabd2, 0x427f, 0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b);
static const uint8_t initrd_guid[16] =
    GUID(0x44baf731, 0x3a2f, 0x4bd7, 0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d);
static const uint8_t cmdline_guid[16] =
    GUID(0x97d02dd8, 0xbd20, 0x4c94, 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a);

static int check_hash_table(const struct snp_ovmf *ovmf, struct cofre_err *err)
{
    const struct snp_ovmf_section *page = snp_ovmf_section_find(ovmf, SNP_OVMF_KERNEL_HASHES);
    if (!ovmf->has_hash_table || !page)
        return 0;
    if (ovmf->hash_table_size < sizeof(struct hash_table) || ovmf->hash_table_gpa < page->gpa ||
        ovmf->hash_table_gpa - page->gpa > SNP_PAGE_SIZE - sizeof(struct hash_table))
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the room for kernel hashes, 0x%x bytes at 0x%x, does not hold them within the page at 0x%x",
            ovmf->hash_table_size, ovmf->hash_table_gpa, page->gpa);
    return 0;
}

int snp_ovmf_parse(struct snp_ovmf *out, struct view image, struct cofre_err *err)
{
    uint32_t room[2] = {0, 0};
    memset(out, 0, sizeof *out);
    if (image.len == 0 || image.len % SNP_PAGE_SIZE || image.len > SNP_OVMF_SIZE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are not whole pages of at most 16 MiB", image.len);
    out->image = image;
    out->gpa = FOUR_GIB - image.len;
    int rc = parse_table(out, err);
    if (rc == 0)
        rc = entry_numbers(out, ENTRY_RESET, &out->reset_eip, 1, &out->has_reset_eip, err);
    if (rc == 0)
        rc = entry_numbers(out, ENTRY_HASHES, room, 2, &out->has_hash_table, err);
    out->hash_table_gpa = room[0];
    out->hash_table_size = room[1];
    if (rc == 0)
        rc = find_metadata(out, err);
    return rc < 0 ? rc : check_hash_table(out, err);
}

static bool fill_hash(struct hash_entry *out, const uint8_t guid[16], struct view data, bool final_zero)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, data.data, data.len) == 1 &&
              (!final_zero || EVP_DigestUpdate(md, "", 1) == 1) &&
              EVP_DigestFinal_ex(md, out->hash, NULL) == 1;
    EVP_MD_CTX_free(md);
    memcpy(out->guid, guid, sizeof out->guid);
    put_le16(&out->len, sizeof *out);
    return ok;
}

int snp_ovmf_hash_page(uint8_t page[SNP_PAGE_SIZE], const struct snp_ovmf *ovmf,
                       const struct snp_kernel_items *items, struct cofre_err *err)
{
    if (!ovmf->has_hash_table || !snp_ovmf_section_find(ovmf, SNP_OVMF_KERNEL_HASHES))
        return cofre_fail(
            err, COFRE_MALFORMED,
            "the firmware has no room for kernel hashes, so it would not check the kernel; take one "
            "that has (Debian's package ovmf-amdsev)");
    struct hash_table table = {0};
    memcpy(table.guid, table_guid, sizeof table.guid);
    put_le16(&table.len, sizeof table - sizeof table.padding);
    if (!fill_hash(&table.cmdline, cmdline_guid, items->cmdline, true) ||
        !fill_hash(&table.initrd, initrd_guid, items->initrd, false) ||
        !fill_hash(&table.kernel, kernel_guid, items->kernel, false))
        return cofre_fail(err, COFRE_FAILED, "kernel hashes: SHA-256 is not available in this OpenSSL");
    memset(page, 0, SNP_PAGE_SIZE);
    memcpy(page + ovmf->hash_table_gpa % SNP_PAGE_SIZE, &table, sizeof table);
    return 0;
}
