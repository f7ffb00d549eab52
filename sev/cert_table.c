#include "sev/cert_table.h"

#include <string.h>

struct raw_entry {
    uint8_t guid[16];
    uint32_t offset, length;
} __attribute__((packed));
_Static_assert(sizeof(struct raw_entry) == 24, "certificate table entry");

static const struct {
    enum snp_cert_kind kind;
    const char *name;
    uint8_t guid[16];
} kinds[] = {
    {SNP_CERT_VCEK,
     "VCEK", /* 63da758d-e664-4564-adc5-f4b93be8accd */
     {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd}},
    {SNP_CERT_VLEK,
     "VLEK", /* a8074bc2-a25a-483e-aae6-39c045a0b8a1 */
     {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1}},
    {SNP_CERT_ASK,
     "ASK", /* 4ab7b379-bbac-4fe4-a02f-05aef327c782 */
     {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82}},
    {SNP_CERT_ARK,
     "ARK", /* c0b406a4-a803-4952-9743-3fb6014cd0ae */
     {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae}},
    {SNP_CERT_CRL,
     "CRL", /* 92f81bc3-5811-4d3d-97ff-d19f88dc67ea */
     {0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67, 0xea}},
};
#define KINDS (sizeof kinds / sizeof *kinds)

const char *snp_cert_kind_name(enum snp_cert_kind kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "other";
}

static enum snp_cert_kind kind_of(const uint8_t guid[16])
{
    for (size_t i = 0; i < KINDS; i++)
        if (memcmp(kinds[i].guid, guid, 16) == 0)
            return kinds[i].kind;
    return SNP_CERT_OTHER;
}

static bool has_guid(const struct snp_cert_table *table, const uint8_t guid[16])
{
    for (size_t i = 0; i < table->count; i++)
        if (memcmp(table->entry[i].guid, guid, 16) == 0)
            return true;
    return false;
}

/* Entries point behind the header, whose size is known only once its end was found: that is checked last. */
static int parse_entries(struct snp_cert_table *out, struct view raw, struct cofre_err *err)
{
    struct view at;
    for (out->count = 0; view_sub(raw, out->count * sizeof(struct raw_entry), sizeof(struct raw_entry), &at);
         out->count++) {
        if (bytes_are_zero(at.data, at.len))
            return 0;
        if (out->count == SNP_CERT_TABLE_ENTRIES)
            return cofre_fail(err, COFRE_MALFORMED, "certificate table: more than %d entries",
                              SNP_CERT_TABLE_ENTRIES);
        struct snp_cert_entry *e = &out->entry[out->count];
        uint32_t offset = le32(at.data + 16), length = le32(at.data + 20);
        if (has_guid(out, at.data))
            return cofre_fail(err, COFRE_MALFORMED,
                              "certificate table: entry %zu has the GUID of an earlier one", out->count);
        memcpy(e->guid, at.data, 16);
        e->kind = kind_of(e->guid);
        if (length == 0 || !view_sub(raw, offset, length, &e->data))
            return cofre_fail(err, COFRE_MALFORMED,
                              "certificate table: entry %zu (%s) names %u bytes at %u; the table has %zu",
                              out->count, snp_cert_kind_name(e->kind), length, offset, raw.len);
    }
    return cofre_fail(err, COFRE_MALFORMED,
                      "certificate table: it ends (after %zu bytes) without a zero entry", raw.len);
}

int snp_cert_table_parse(struct snp_cert_table *out, struct view raw, struct cofre_err *err)
{
    *out = (struct snp_cert_table){0};
    int rc = parse_entries(out, raw, err);
    size_t header = (out->count + 1) * sizeof(struct raw_entry);
    for (size_t i = 0; rc == 0 && i < out->count; i++)
        if ((size_t)(out->entry[i].data.data - raw.data) < header)
            rc = cofre_fail(err, COFRE_MALFORMED,
                            "certificate table: entry %zu points into the table's header", i);
    if (rc < 0)
        *out = (struct snp_cert_table){0};
    return rc;
}

static const uint8_t *guid_of(const struct snp_cert_entry *entry)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == entry->kind)
            return kinds[i].guid;
    return entry->guid;
}

bool snp_cert_table_recognises(struct view raw)
{
    struct snp_cert_table parsed;
    return snp_cert_table_parse(&parsed, raw, NULL) == 0 && parsed.count &&
           parsed.entry[0].kind != SNP_CERT_OTHER;
}

int snp_cert_table_build(struct bytes *out, const struct snp_cert_entry *entries, size_t count,
                         struct cofre_err *err)
{
    *out = (struct bytes){0};
    if (count > SNP_CERT_TABLE_ENTRIES)
        return cofre_fail(err, COFRE_MALFORMED, "certificate table: %zu entries are more than %d", count,
                          SNP_CERT_TABLE_ENTRIES);
    size_t total = (count + 1) * sizeof(struct raw_entry);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].data.len == 0 || entries[i].data.len > UINT32_MAX - total)
            return cofre_fail(err, COFRE_MALFORMED, "certificate table: a certificate of %zu bytes",
                              entries[i].data.len);
        total += entries[i].data.len;
    }
    int rc = bytes_alloc(out, total, err);
    size_t offset = (count + 1) * sizeof(struct raw_entry);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        uint8_t *at = out->data + i * sizeof(struct raw_entry);
        memcpy(at, guid_of(&entries[i]), 16);
        put_le32(at + 16, (uint32_t)offset);
        put_le32(at + 20, (uint32_t)entries[i].data.len);
        memcpy(out->data + offset, entries[i].data.data, entries[i].data.len);
        offset += entries[i].data.len;
    }
    return rc;
}
