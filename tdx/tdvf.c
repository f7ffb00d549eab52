#include "tdx/tdvf.h"

#include <string.h>

static const struct {
    const char *name;
    bool has_data, has_none;
} types[] = {
    [TDX_TDVF_BFV] = {.name = "boot firmware volume", .has_data = true},
    [TDX_TDVF_CFV] = {.name = "configuration firmware volume", .has_data = true},
    [TDX_TDVF_TD_HOB] = {.name = "TD HOB", .has_none = true},
    [TDX_TDVF_TEMP_MEM] = {.name = "temporary memory", .has_none = true},
    [TDX_TDVF_PERM_MEM] = {.name = "permanent memory", .has_none = true},
    [TDX_TDVF_PAYLOAD] = {.name = "payload"},
    [TDX_TDVF_PAYLOAD_PARAM] = {.name = "payload parameters"},
};
#define TYPES (sizeof types / sizeof types[0])

const char *tdx_tdvf_section_name(uint32_t type)
{
    return type < TYPES ? types[type].name : NULL;
}

static int check_pages(const struct tdx_tdvf_section *s, struct cofre_err *err)
{
    if (s->size == 0 || (s->gpa | s->size) % TDX_PAGE_SIZE || s->gpa >= OVMF_END ||
        s->size > OVMF_END - s->gpa)
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: 0x%llx bytes at 0x%llx are not whole pages below 4 GiB",
                          (unsigned long long)s->size, (unsigned long long)s->gpa);
    return 0;
}

static int check_data(const struct tdx_tdvf_section *s, struct cofre_err *err)
{
    if (s->data.len > s->size)
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: the section at 0x%llx has 0x%zx bytes of data and room for 0x%llx",
                          (unsigned long long)s->gpa, s->data.len, (unsigned long long)s->size);
    if (s->type < TYPES &&
        ((types[s->type].has_data && !s->data.len) || (types[s->type].has_none && s->data.len)))
        return cofre_fail(err, COFRE_MALFORMED, "TDX metadata: the section \"%s\" at 0x%llx has %s",
                          types[s->type].name, (unsigned long long)s->gpa, s->data.len ? "data" : "no data");
    return 0;
}

static int check_others(const struct tdx_tdvf *tdvf, const struct tdx_tdvf_section *s, struct cofre_err *err)
{
    for (size_t i = 0; i < tdvf->section_count; i++) {
        const struct tdx_tdvf_section *other = &tdvf->section[i];
        if (s->gpa < other->gpa + other->size && other->gpa < s->gpa + s->size)
            return cofre_fail(err, COFRE_MALFORMED, "TDX metadata: the sections at 0x%llx and 0x%llx overlap",
                              (unsigned long long)s->gpa, (unsigned long long)other->gpa);
        if (s->type == TDX_TDVF_TD_HOB && other->type == TDX_TDVF_TD_HOB)
            return cofre_fail(err, COFRE_MALFORMED, "TDX metadata: there are two TD HOBs");
    }
    return 0;
}

#define DESCRIPTOR_SIZE 16 /* "TDVF", length of all of it, version, number of sections */
#define SECTION_SIZE    32

static int parse_section(struct tdx_tdvf *out, const uint8_t *at, struct cofre_err *err)
{
    struct tdx_tdvf_section s = {
        .gpa = le64(at + 8), .size = le64(at + 16), .type = le32(at + 24), .attributes = le32(at + 28)};
    uint32_t offset = le32(at), len = le32(at + 4);
    if (len && !view_sub(out->table.image, offset, len, &s.data))
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: 0x%x bytes of data at 0x%x are not in the image", len, offset);
    int rc = check_pages(&s, err);
    if (rc == 0)
        rc = check_data(&s, err);
    if (rc == 0)
        rc = check_others(out, &s, err);
    if (rc == 0)
        out->section[out->section_count++] = s;
    return rc;
}

static int parse_metadata(struct tdx_tdvf *out, struct view metadata, struct cofre_err *err)
{
    uint32_t len = le32(metadata.data + 4), version = le32(metadata.data + 8),
             count = le32(metadata.data + 12);
    if (memcmp(metadata.data, "TDVF", 4) != 0 || version != 1)
        return cofre_fail(err, COFRE_MALFORMED, "TDX metadata: not of version 1");
    if (count == 0 || count > TDX_TDVF_SECTIONS_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "TDX metadata: %u sections, and from 1 to %d are taken",
                          count, TDX_TDVF_SECTIONS_MAX);
    if (len > metadata.len || len != DESCRIPTOR_SIZE + count * SECTION_SIZE)
        return cofre_fail(err, COFRE_MALFORMED,
                          "TDX metadata: %u bytes are not those of its %u sections, or exceed the image", len,
                          count);
    for (uint32_t i = 0; i < count; i++) {
        int rc = parse_section(out, metadata.data + DESCRIPTOR_SIZE + i * SECTION_SIZE, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int tdx_tdvf_parse(struct tdx_tdvf *out, struct view image, struct cofre_err *err)
{
    struct view metadata;
    memset(out, 0, sizeof *out);
    int rc = ovmf_table_parse(&out->table, image, err);
    if (rc == 0)
        rc = ovmf_table_metadata(&out->table, OVMF_TDX_METADATA, DESCRIPTOR_SIZE, &metadata, err);
    return rc == 0 && metadata.len ? parse_metadata(out, metadata, err) : rc;
}
