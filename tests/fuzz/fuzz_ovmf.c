/* OVMF metadata: the input is the end of an image of 8 KiB. */
#include <string.h>

#include "sev/layout.h"
#include "tests/fuzz/fuzz.h"

#define IMAGE 8192

static void check_accepted(const struct snp_ovmf *ovmf)
{
    const uint8_t *end = ovmf->table.image.data + ovmf->table.image.len;
    FUZZ_CHECK(ovmf->table.count <= OVMF_ENTRIES_MAX && ovmf->section_count <= SNP_OVMF_SECTIONS_MAX);
    for (size_t i = 0; i < ovmf->table.count; i++)
        FUZZ_CHECK(ovmf->table.entry[i].data.data >= ovmf->table.image.data &&
                   ovmf->table.entry[i].data.data + ovmf->table.entry[i].data.len <= end);
    for (size_t i = 0; i < ovmf->section_count; i++) {
        const struct snp_ovmf_section *s = &ovmf->section[i];
        FUZZ_CHECK(s->size > 0 && s->gpa % 4096 == 0 && s->size % 4096 == 0);
        FUZZ_CHECK((uint64_t)s->gpa + s->size <= ovmf->table.gpa || s->gpa >= ovmf->table.gpa + IMAGE);
    }
}

/* Measuring a section costs a hash for each page: not for those of gigabytes. */
static bool is_small(const struct snp_ovmf *ovmf)
{
    uint64_t size = 0;
    for (size_t i = 0; i < ovmf->section_count; i++)
        size += ovmf->section[i].size;
    return size <= 1u << 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[IMAGE];
    struct snp_ovmf ovmf;
    struct snp_digest digest;
    const struct snp_kernel_items items = {{data, size}, {NULL, 0}, {NULL, 0}};
    size_t used = size < IMAGE ? size : IMAGE;
    memset(image, 0, sizeof image);
    if (used)
        memcpy(image + IMAGE - used, data, used);
    if (snp_ovmf_parse(&ovmf, (struct view){image, IMAGE}, NULL) < 0)
        return 0;
    check_accepted(&ovmf);
    if (!is_small(&ovmf))
        return 0;
    const struct snp_layout layout = {
        .vmm = (enum snp_vmm)(size % 3), .cpus = 2, .kernel = size % 2 ? &items : NULL};
    (void)snp_layout_digest(&digest, &ovmf, &layout, NULL);
    return 0;
}

static uint8_t *add_entry(uint8_t *below, const uint8_t guid[16], const uint32_t *numbers, unsigned count)
{
    memcpy(below - 16, guid, 16);
    put_le16(below - 18, (uint16_t)(18 + 4 * count));
    below -= 18 + 4 * count;
    for (unsigned i = 0; i < count; i++)
        put_le32(below + 4 * i, numbers[i]);
    return below;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t guids[][16] = {
        {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08,
         0x2d}, /* table */
        {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4,
         0x4e}, /* reset */
        {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4,
         0x54}, /* hashes */
        {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67,
         0xcc}, /* metadata */
    };
    static const uint32_t metadata[] = {0x56455341, 16 + 4 * 12, 1,      4,   0x800000, 0x9000,
                                        1,          0x80d000,    0x1000, 2,   0x80e000, 0x1000,
                                        3,          0x810000,    0x1000, 0x10};
    enum { LEN = 512 };
    if (index > 0)
        return 0;
    memset(out, 0, LEN);
    for (unsigned i = 0; i < sizeof metadata / 4; i++)
        put_le32(out + 4 * i, metadata[i]);
    uint8_t *const table = out + LEN - 32;
    uint8_t *below = add_entry(table, guids[0], NULL, 0);
    below = add_entry(below, guids[1], (const uint32_t[]){0x80b004}, 1);
    below = add_entry(below, guids[2], (const uint32_t[]){0x810c00, 0x400}, 2);
    below = add_entry(below, guids[3], (const uint32_t[]){LEN}, 1);
    put_le16(table - 18, (uint16_t)(table - below));
    return LEN;
}
