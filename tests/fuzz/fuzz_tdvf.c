/* TDX metadata: the input is the end of an image of 16 KiB; and the launch image and TD HOB of a guest that starts in it. */
#include <string.h>

#include "tdx/launch/firmware.h"
#include "tdx/layout.h"
#include "tests/fuzz/fuzz.h"

#define IMAGE 16384

static void check_accepted(const struct tdx_tdvf *tdvf)
{
    const uint8_t *begin = tdvf->table.image.data;
    FUZZ_CHECK(tdvf->section_count <= TDX_TDVF_SECTIONS_MAX);
    for (size_t i = 0; i < tdvf->section_count; i++) {
        const struct tdx_tdvf_section *s = &tdvf->section[i];
        FUZZ_CHECK(s->size > 0 && s->gpa % 4096 == 0 && s->size % 4096 == 0);
        FUZZ_CHECK(s->gpa < OVMF_END && s->size <= OVMF_END - s->gpa);
        FUZZ_CHECK(s->data.len <= s->size);
        if (s->data.len)
            FUZZ_CHECK(s->data.data >= begin && s->data.len <= IMAGE &&
                       (size_t)(s->data.data - begin) <= IMAGE - s->data.len);
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(s->gpa + s->size <= tdvf->section[j].gpa ||
                       tdvf->section[j].gpa + tdvf->section[j].size <= s->gpa);
    }
}

/* Adding a section costs a hash for each page: not for those of gigabytes. */
static bool is_small(const struct tdx_tdvf *tdvf)
{
    uint64_t size = 0;
    for (size_t i = 0; i < tdvf->section_count; i++)
        size += tdvf->section[i].size;
    return size <= 1u << 17;
}

/* All of RAM once, in its order; what was added is a section. */
static void check_hob(const uint8_t *hob, size_t size, const struct launch_image *image, uint64_t ram)
{
    const uint8_t *at = hob;
    uint64_t end = 0;
    FUZZ_CHECK(size >= 64 && le16(at) == 1);
    for (at += le16(at + 2); le16(at) == 3; at += 48) {
        const uint64_t gpa = le64(at + 32), len = le64(at + 40);
        bool added = le32(at + 24) == 7;
        FUZZ_CHECK((size_t)(at - hob) + 48 + 8 <= size && gpa == end && len > 0);
        for (size_t i = 0; i < image->count; i++)
            added |= image->range[i].gpa == gpa && image->range[i].len == len;
        FUZZ_CHECK(added);
        end = gpa + len;
    }
    FUZZ_CHECK(le16(at) == 0xffff && end == ram);
}

static void check_launch(const struct tdx_tdvf *tdvf)
{
    const struct boot_config config = {
        .tee = BOOT_TDX, .memory = BOOT_MEMORY_MIN, .cpus = 1, .firmware = tdvf->table.image};
    struct launch_image image = {0};
    if (tdx_firmware_image(&config, &image, NULL) == 0) {
        FUZZ_CHECK(image.count == tdvf->section_count);
        for (size_t i = 0; i < image.count; i++) {
            const struct launch_range *r = &image.range[i];
            FUZZ_CHECK(r->gpa >= OVMF_END - IMAGE || r->gpa + r->len <= BOOT_MEMORY_MIN);
            if (r->gpa == image.start_argument)
                check_hob(r->data, r->len, &image, BOOT_MEMORY_MIN);
        }
    }
    launch_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[IMAGE];
    struct tdx_tdvf tdvf;
    uint8_t mrtd[TDX_DIGEST_SIZE], again[TDX_DIGEST_SIZE];
    size_t used = size < IMAGE ? size : IMAGE;
    memset(image, 0, sizeof image);
    if (used)
        memcpy(image + IMAGE - used, data + size - used, used);
    if (tdx_tdvf_parse(&tdvf, (struct view){image, IMAGE}, NULL) < 0)
        return 0;
    check_accepted(&tdvf);
    if (is_small(&tdvf) && tdx_layout_mrtd(mrtd, &tdvf, NULL) == 0)
        FUZZ_CHECK(tdx_layout_mrtd(again, &tdvf, NULL) == 0 && memcmp(mrtd, again, sizeof mrtd) == 0);
    if (is_small(&tdvf))
        check_launch(&tdvf);
    return 0;
}

static void put_section(uint8_t *at, uint32_t offset, uint32_t len, uint64_t gpa, uint64_t size,
                        uint32_t type, uint32_t attributes)
{
    put_le32(at, offset);
    put_le32(at + 4, len);
    put_le64(at + 8, gpa);
    put_le64(at + 16, size);
    put_le32(at + 24, type);
    put_le32(at + 28, attributes);
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const uint8_t footer[16] =
        GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d);
    static const uint8_t metadata[16] =
        GUID(0xe47a6535, 0x984a, 0x4798, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2);
    enum { LEN = 512, SECTIONS = 4, TABLE = LEN - 32 };
    struct tdx_tdvf tdvf;
    uint8_t image[IMAGE] = {0}, mrtd[TDX_DIGEST_SIZE];
    if (index > 0)
        return 0;
    memset(out, 0, LEN);
    memcpy(out, "TDVF", 4);
    put_le32(out + 4, 16 + 32 * SECTIONS);
    put_le32(out + 8, 1);
    put_le32(out + 12, SECTIONS);
    put_section(out + 16, 0x2000, 0x2000, OVMF_END - 0x2000, 0x2000, TDX_TDVF_BFV, TDX_TDVF_MR_EXTEND);
    put_section(out + 48, 0, 0x2000, OVMF_END - 0x4000, 0x2000, TDX_TDVF_CFV, 0);
    put_section(out + 80, 0, 0, 0x810000, 0x10000, TDX_TDVF_TEMP_MEM, 0);
    put_section(out + 112, 0, 0, 0x809000, 0x2000, TDX_TDVF_TD_HOB, 0);
    memcpy(out + TABLE - 16, footer, 16);
    put_le16(out + TABLE - 18, 18 + 22);
    memcpy(out + TABLE - 34, metadata, 16);
    put_le16(out + TABLE - 36, 22);
    put_le32(out + TABLE - 40, LEN);
    memcpy(image + IMAGE - LEN, out, LEN);
    FUZZ_CHECK(tdx_tdvf_parse(&tdvf, (struct view){image, IMAGE}, NULL) == 0 &&
               tdx_layout_mrtd(mrtd, &tdvf, NULL) == 0);
    return LEN;
}
