#include "vmm/igvm/file.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define MAGIC         "IGVM"
#define FIXED_SIZE    24 /* magic, version, where headers are and how many bytes, the file's size, checksum */
#define FIXED_SIZE_V2 32 /* and architecture, page size */
#define CHECKSUM      20
#define HEADER_SIZE   8 /* type, length */
#define OPTIONAL      (1u << 31)

static const char *const platform_names[] = {
    [IGVM_NATIVE] = "no isolation", [IGVM_VSM] = "Hyper-V VSM", [IGVM_SEV_SNP] = "AMD SEV-SNP",
    [IGVM_TDX] = "Intel TDX",       [IGVM_SEV] = "AMD SEV",     [IGVM_SEV_ES] = "AMD SEV-ES",
};
#define PLATFORM_TYPES (sizeof platform_names / sizeof platform_names[0])
static_assert(PLATFORM_TYPES <= IGVM_PLATFORMS_MAX, "each type of platform fits once");

const char *igvm_platform_name(enum igvm_platform_type type)
{
    return platform_names[type];
}

typedef int decode_fn(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err);
static decode_fn decode_platform, decode_policy, decode_relocatable, decode_page_table, decode_corim,
    decode_area, decode_page, decode_insert, decode_context, decode_required, decode_parameter,
    decode_id_block, decode_error_range;

#define NO_MASK UINT32_MAX /* a type whose headers are for all platforms */

/* The types that there are; their order is that of their sections, which a file keeps. */
static const struct kind {
    uint32_t type;
    const char *name;
    uint32_t size; /* of the body, exactly */
    uint32_t mask; /* where in it the platforms stand */
    decode_fn *decode;
} kinds[] = {
    {IGVM_SUPPORTED_PLATFORM, "supported platform", 16, NO_MASK, decode_platform},
    {IGVM_GUEST_POLICY, "guest policy", 16, 8, decode_policy},
    {IGVM_RELOCATABLE_REGION, "relocatable region", 48, 0, decode_relocatable},
    {IGVM_PAGE_TABLE_REGION, "page table region", 32, 0, decode_page_table},
    {IGVM_CORIM_DOCUMENT, "CoRIM document", 16, 0, decode_corim},
    {IGVM_CORIM_SIGNATURE, "CoRIM signature", 16, 0, decode_corim},
    {IGVM_PARAMETER_AREA, "parameter area", 16, NO_MASK, decode_area},
    {IGVM_PAGE_DATA, "page data", 24, 8, decode_page},
    {IGVM_PARAMETER_INSERT, "parameter insert", 16, 8, decode_insert},
    {IGVM_VP_CONTEXT, "VP context", 20, 8, decode_context},
    {IGVM_REQUIRED_MEMORY, "required memory", 24, 8, decode_required},
    {IGVM_VP_COUNT, "VP count", 8, NO_MASK, decode_parameter},
    {IGVM_SRAT, "SRAT", 8, NO_MASK, decode_parameter},
    {IGVM_MADT, "MADT", 8, NO_MASK, decode_parameter},
    {IGVM_MMIO_RANGES, "MMIO ranges", 8, NO_MASK, decode_parameter},
    {IGVM_SNP_ID_BLOCK, "SNP ID block", 696, 0, decode_id_block},
    {IGVM_MEMORY_MAP, "memory map", 8, NO_MASK, decode_parameter},
    {IGVM_ERROR_RANGE, "error range", 16, 8, decode_error_range},
    {IGVM_COMMAND_LINE, "command line", 8, NO_MASK, decode_parameter},
    {IGVM_SLIT, "SLIT", 8, NO_MASK, decode_parameter},
    {IGVM_PPTT, "PPTT", 8, NO_MASK, decode_parameter},
    {IGVM_VBS_MEASUREMENT, "VBS measurement", 864, 0, NULL},
    {IGVM_DEVICE_TREE, "device tree", 8, NO_MASK, decode_parameter},
    {IGVM_ENVIRONMENT_INFO, "environment info", 8, NO_MASK, decode_parameter},
};

static const struct kind *kind_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].type == type)
            return &kinds[i];
    return NULL;
}

const char *igvm_header_name(uint32_t type)
{
    const struct kind *kind = kind_of(type);
    return kind ? kind->name : NULL;
}

int igvm_header_fail(struct cofre_err *err, const struct igvm_file *file, const struct igvm_header *h,
                     const char *format, ...)
{
    char why[256];
    const char *name = igvm_header_name(h->type);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return cofre_fail(err, COFRE_MALFORMED, "IGVM header %zu (%s, at 0x%zx): %s", h->index,
                      name ? name : "unknown", (size_t)(file->headers.data - file->bytes.data) + h->offset,
                      why);
}

/* The fixed header */

bool igvm_file_is(struct view bytes)
{
    return bytes.len >= FIXED_SIZE && memcmp(bytes.data, MAGIC, 4) == 0;
}

/* Of the fixed header, its checksum taken as zero, and of the others; what may lie between is never read. */
static uint32_t checksum_of(struct view bytes, size_t fixed, struct view headers)
{
    uint8_t first[FIXED_SIZE_V2];
    memcpy(first, bytes.data, fixed);
    put_le32(first + CHECKSUM, 0);
    uLong crc = crc32_z(0, first, fixed);
    return (uint32_t)crc32_z(crc, headers.data, headers.len);
}

static int parse_v2(const uint8_t *at, struct cofre_err *err)
{
    enum { X64 = 0 };
    if (le32(at) != X64)
        return cofre_fail(err, COFRE_MALFORMED, "IGVM file: for architecture %u, which is not x86-64",
                          le32(at));
    if (le32(at + 4) != IGVM_PAGE_SIZE)
        return cofre_fail(err, COFRE_MALFORMED, "IGVM file: of pages of %u bytes, and not of 4096",
                          le32(at + 4));
    return 0;
}

static int parse_fixed(struct igvm_file *out, struct cofre_err *err)
{
    const struct view bytes = out->bytes;
    if (!igvm_file_is(bytes))
        return cofre_fail(err, COFRE_MALFORMED, "not an IGVM file");
    if (bytes.len > IGVM_SIZE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "IGVM file: %zu bytes, and at most %u are taken", bytes.len,
                          IGVM_SIZE_MAX);
    out->version = le32(bytes.data + 4);
    if (out->version != 1 && out->version != 2)
        return cofre_fail(err, COFRE_MALFORMED, "IGVM file: format version %u; 1 and 2 are known",
                          out->version);
    const size_t fixed = out->version == 1 ? FIXED_SIZE : FIXED_SIZE_V2;
    const uint32_t offset = le32(bytes.data + 8), size = le32(bytes.data + 12), total = le32(bytes.data + 16);
    if (total != bytes.len || bytes.len < fixed)
        return cofre_fail(err, COFRE_MALFORMED, "IGVM file: it says that it has %u bytes, and has %zu", total,
                          bytes.len);
    if (offset < fixed || offset % 8 || !view_sub(bytes, offset, size, &out->headers))
        return cofre_fail(
            err, COFRE_MALFORMED,
            "IGVM file: headers of %u bytes at 0x%x do not lie in it, aligned, behind the first", size,
            offset);
    int rc = out->version == 1 ? 0 : parse_v2(bytes.data + FIXED_SIZE, err);
    if (rc < 0)
        return rc;
    const uint32_t checksum = le32(bytes.data + CHECKSUM), found = checksum_of(bytes, fixed, out->headers);
    return checksum == found
               ? 0
               : cofre_fail(err, COFRE_MALFORMED,
                            "IGVM file: its headers have the checksum 0x%08x, and it says 0x%08x", found,
                            checksum);
}

/* What headers have in common */

/* A range of whole pages somewhere in guest memory. */
static int check_memory(const struct igvm_file *file, const struct igvm_header *h, uint64_t gpa,
                        uint64_t size, uint64_t alignment, struct cofre_err *err)
{
    if (size == 0 || size % IGVM_PAGE_SIZE || gpa % alignment)
        return igvm_header_fail(err, file, h, "0x%llx bytes at 0x%llx are not whole pages",
                                (unsigned long long)size, (unsigned long long)gpa);
    if (gpa >= IGVM_ADDRESS_END || size > IGVM_ADDRESS_END - gpa)
        return igvm_header_fail(err, file, h, "0x%llx bytes at 0x%llx lie beyond all guest memory",
                                (unsigned long long)size, (unsigned long long)gpa);
    return 0;
}

static int check_reserved(const struct igvm_file *file, const struct igvm_header *h, size_t offset,
                          size_t len, struct cofre_err *err)
{
    return bytes_are_zero(h->body.data + offset, len)
               ? 0
               : igvm_header_fail(err, file, h, "a reserved field is not zero");
}

/* Data lies behind the headers; an offset of 0 says that there is none. */
static int take_data(const struct igvm_file *file, struct igvm_header *h, uint32_t offset, uint64_t len,
                     struct cofre_err *err)
{
    const size_t begin = (size_t)(file->headers.data - file->bytes.data) + file->headers.len;
    if (offset == 0 || (offset >= begin && view_sub(file->bytes, offset, len, &h->data)))
        return 0;
    return igvm_header_fail(err, file, h, "its 0x%llx bytes at 0x%x are not among the file's data",
                            (unsigned long long)len, offset);
}

/* Each type of header, by the offsets of its fields */

static int decode_platform(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    const uint8_t *b = h->body.data;
    const uint32_t mask = le32(b), type = b[5], version = le16(b + 6);
    if (mask == 0 || mask & (mask - 1))
        return igvm_header_fail(err, file, h, "its mask 0x%x is not one bit", mask);
    if (type >= PLATFORM_TYPES)
        return igvm_header_fail(err, file, h, "platform type %u is not one of x86-64 that is known", type);
    if (version != 1)
        return igvm_header_fail(err, file, h, "version %u of %s; 1 is known", version, platform_names[type]);
    if (b[4] != 0 && b[4] != 2)
        return igvm_header_fail(err, file, h, "a highest VTL of %u, which is 0 or 2", b[4]);
    h->platform = (struct igvm_platform){(enum igvm_platform_type)type, mask, b[4], le64(b + 8)};
    return 0;
}

static int decode_policy(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    h->policy = le64(h->body.data);
    return check_reserved(file, h, 12, 4, err);
}

static int decode_relocatable(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    enum { FLAGS = 7 };
    const uint8_t *b = h->body.data;
    const uint64_t alignment = le64(b + 8), lowest = le64(b + 32), highest = le64(b + 40);
    h->memory.gpa = le64(b + 16);
    h->memory.size = le64(b + 24);
    if (b[7] & ~FLAGS)
        return igvm_header_fail(err, file, h, "flags 0x%x are not known", b[7]);
    if (alignment == 0 || alignment % IGVM_PAGE_SIZE || lowest % alignment || highest % alignment ||
        lowest > highest)
        return igvm_header_fail(err, file, h, "from 0x%llx to 0x%llx in steps of 0x%llx it cannot be moved",
                                (unsigned long long)lowest, (unsigned long long)highest,
                                (unsigned long long)alignment);
    return check_memory(file, h, h->memory.gpa, h->memory.size, alignment, err);
}

static int decode_page_table(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    const uint8_t *b = h->body.data;
    const uint64_t used = le64(b + 24);
    h->memory.gpa = le64(b + 8);
    h->memory.size = le64(b + 16);
    if (used % IGVM_PAGE_SIZE || used > h->memory.size)
        return igvm_header_fail(err, file, h, "0x%llx bytes of it are in use, of 0x%llx",
                                (unsigned long long)used, (unsigned long long)h->memory.size);
    int rc = check_reserved(file, h, 7, 1, err);
    return rc < 0 ? rc : check_memory(file, h, h->memory.gpa, h->memory.size, IGVM_PAGE_SIZE, err);
}

static int decode_corim(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    const uint8_t *b = h->body.data;
    int rc = check_reserved(file, h, 12, 4, err);
    if (rc == 0)
        rc = take_data(file, h, le32(b + 4), le32(b + 8), err);
    return rc < 0 || h->data.len ? rc : igvm_header_fail(err, file, h, "it has no data");
}

static int decode_area(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    const uint8_t *b = h->body.data;
    h->area.size = le64(b);
    h->area.number = le32(b + 8);
    int rc = check_memory(file, h, 0, h->area.size, IGVM_PAGE_SIZE, err);
    return rc < 0 ? rc : take_data(file, h, le32(b + 12), h->area.size, err);
}

static int decode_page(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    enum { LARGE = 1, UNMEASURED = 2, SHARED = 4 };
    const uint8_t *b = h->body.data;
    const uint32_t flags = le32(b + 16), type = le16(b + 20);
    if (flags & ~(uint32_t)(LARGE | UNMEASURED | SHARED))
        return igvm_header_fail(err, file, h, "flags 0x%x are not known", flags);
    if (type > IGVM_PAGE_CPUID_XF)
        return igvm_header_fail(err, file, h, "data type %u is not known", type);
    if (type != IGVM_PAGE_NORMAL && flags)
        return igvm_header_fail(err, file, h,
                                "flags 0x%x are for pages of the file's own, and not for data type %u", flags,
                                type);
    h->page.type = (enum igvm_page_type)type;
    h->page.gpa = le64(b);
    h->page.size = flags & LARGE ? IGVM_LARGE_PAGE : IGVM_PAGE_SIZE;
    h->page.unmeasured = flags & UNMEASURED;
    h->page.shared = flags & SHARED;
    int rc = check_reserved(file, h, 22, 2, err);
    if (rc == 0)
        rc = check_memory(file, h, h->page.gpa, h->page.size, h->page.size, err);
    return rc < 0 ? rc : take_data(file, h, le32(b + 12), h->page.size, err);
}

static int decode_insert(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    h->insert.gpa = le64(h->body.data);
    h->insert.area = le32(h->body.data + 12);
    return check_memory(file, h, h->insert.gpa, IGVM_PAGE_SIZE, IGVM_PAGE_SIZE, err);
}

/* Hyper-V's is a list of registers; the others' is a page. */
static int decode_context(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    const uint8_t *b = h->body.data;
    const uint32_t offset = le32(b + 12);
    uint64_t size = IGVM_PAGE_SIZE;
    h->context.gpa = le64(b);
    h->context.vp = le16(b + 16);
    for (size_t i = 0; i < file->platforms; i++) {
        const struct igvm_platform *p = &file->platform[i];
        if (!(h->mask & p->mask))
            continue;
        if (p->type == IGVM_TDX)
            return igvm_header_fail(err, file, h,
                                    "a vCPU of Intel TDX starts as the module says, by no context");
        if (p->type == IGVM_VSM)
            size = offset < file->bytes.len ? file->bytes.len - offset : 0;
    }
    if (offset == 0)
        return igvm_header_fail(err, file, h, "it has no data");
    int rc = check_reserved(file, h, 18, 2, err);
    if (rc == 0)
        rc = check_memory(file, h, h->context.gpa, IGVM_PAGE_SIZE, IGVM_PAGE_SIZE, err);
    return rc < 0 ? rc : take_data(file, h, offset, size, err);
}

static int decode_required(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    enum { VTL2_PROTECTABLE = 1 };
    const uint8_t *b = h->body.data;
    h->memory.gpa = le64(b);
    h->memory.size = le32(b + 12);
    if (le32(b + 16) & ~(uint32_t)VTL2_PROTECTABLE)
        return igvm_header_fail(err, file, h, "flags 0x%x are not known", le32(b + 16));
    int rc = check_reserved(file, h, 20, 4, err);
    return rc < 0 ? rc : check_memory(file, h, h->memory.gpa, h->memory.size, IGVM_PAGE_SIZE, err);
}

static int decode_parameter(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    (void)file, (void)err;
    h->parameter.area = le32(h->body.data);
    h->parameter.offset = le32(h->body.data + 4);
    return 0;
}

static int decode_id_block(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    if (h->body.data[4] > 1)
        return igvm_header_fail(err, file, h, "author key enabled: %u, which is 0 or 1", h->body.data[4]);
    return check_reserved(file, h, 5, 3, err);
}

static int decode_error_range(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    h->memory.gpa = le64(h->body.data);
    h->memory.size = le32(h->body.data + 12);
    return check_memory(file, h, h->memory.gpa, h->memory.size, IGVM_PAGE_SIZE, err);
}

/* One header after another */

/* Platforms stand before whoever names them. */
static int take_mask(const struct igvm_file *file, struct igvm_header *h, uint32_t offset,
                     struct cofre_err *err)
{
    uint32_t known = 0;
    if (offset == NO_MASK)
        return 0;
    h->mask = le32(h->body.data + offset);
    for (size_t i = 0; i < file->platforms; i++)
        known |= file->platform[i].mask;
    if (h->mask == 0 || h->mask & ~known)
        return igvm_header_fail(err, file, h, "its mask 0x%x is not of platforms that the file has, 0x%x",
                                h->mask, known);
    return 0;
}

static int decode_body(const struct igvm_file *file, struct igvm_header *h, struct cofre_err *err)
{
    const struct kind *kind = kind_of(h->type);
    h->known = kind != NULL;
    h->mask = NO_MASK;
    if (!kind)
        return h->optional
                   ? 0
                   : igvm_header_fail(err, file, h,
                                      "type 0x%x is not known here, and the file cannot do without it",
                                      h->type);
    if (h->body.len != kind->size)
        return igvm_header_fail(err, file, h, "it has %zu bytes and must have %u", h->body.len, kind->size);
    int rc = take_mask(file, h, kind->mask, err);
    return rc < 0 || !kind->decode ? rc : kind->decode(file, h, err);
}

/* The header that begins where h->next says. */
static int decode(const struct igvm_file *file, struct igvm_header *h, size_t index, struct cofre_err *err)
{
    struct view head, padding;
    *h = (struct igvm_header){.index = index, .offset = h->next};
    if (!view_sub(file->headers, h->offset, HEADER_SIZE, &head))
        return igvm_header_fail(err, file, h, "%zu bytes are left, and a header begins with 8",
                                file->headers.len - h->offset);
    h->type = le32(head.data) & ~OPTIONAL;
    h->optional = le32(head.data) & OPTIONAL;
    const uint32_t len = le32(head.data + 4);
    const size_t end = h->offset + HEADER_SIZE + len;
    h->next = (end + 7) & ~(size_t)7;
    if (!view_sub(file->headers, h->offset + HEADER_SIZE, len, &h->body) ||
        !view_sub(file->headers, end, h->next - end, &padding))
        return igvm_header_fail(err, file, h,
                                "its %u bytes, padded to a multiple of 8, do not fit into the %zu "
                                "that are left",
                                len, head.len + file->headers.len - h->offset - 2 * HEADER_SIZE);
    if (!bytes_are_zero(padding.data, padding.len))
        return igvm_header_fail(err, file, h, "the bytes behind it are not zero");
    return decode_body(file, h, err);
}

static int add_platform(struct igvm_file *file, const struct igvm_header *h, struct cofre_err *err)
{
    for (size_t i = 0; i < file->platforms; i++)
        if (file->platform[i].mask == h->platform.mask || file->platform[i].type == h->platform.type)
            return igvm_header_fail(err, file, h,
                                    "its mask 0x%x or its platform, %s, is another header's, too",
                                    h->platform.mask, platform_names[h->platform.type]);
    file->platform[file->platforms++] = h->platform;
    return 0;
}

/* Platforms, then initialisation, then directives. */
static unsigned section_of(uint32_t type)
{
    return type <= 0x100 ? 0 : type <= 0x200 ? 1 : 2;
}

static int parse_headers(struct igvm_file *out, struct cofre_err *err)
{
    struct igvm_header h = {0};
    unsigned section = 0;
    for (out->count = 0; h.next < out->headers.len; out->count++) {
        int rc = decode(out, &h, out->count, err);
        if (rc < 0)
            return rc;
        if (h.known && section_of(h.type) < section)
            return igvm_header_fail(err, out, &h, "it stands behind headers of a later section");
        if (h.known)
            section = section_of(h.type);
        if (h.type == IGVM_SUPPORTED_PLATFORM)
            rc = add_platform(out, &h, err);
        if (rc < 0)
            return rc;
    }
    return out->platforms ? 0 : cofre_fail(err, COFRE_MALFORMED, "IGVM file: it is for no platform");
}

int igvm_file_parse(struct igvm_file *out, struct view bytes, struct cofre_err *err)
{
    *out = (struct igvm_file){.bytes = bytes};
    int rc = parse_fixed(out, err);
    return rc < 0 ? rc : parse_headers(out, err);
}

bool igvm_file_next(const struct igvm_file *file, struct igvm_header *h)
{
    struct cofre_err never;
    const size_t index = h->next ? h->index + 1 : 0;
    return h->next < file->headers.len && decode(file, h, index, &never) == 0;
}

const struct igvm_platform *igvm_file_platform(const struct igvm_file *file, enum igvm_platform_type type)
{
    for (size_t i = 0; i < file->platforms; i++)
        if (file->platform[i].type == type)
            return &file->platform[i];
    return NULL;
}
