#include "tests/unit/tdx/tdvf_image.h"

#include <string.h>

#define TABLE (SIZE - 32) /* where the GUID table ends */

uint8_t image[SIZE];
uint8_t *distance;

static uint8_t *section(size_t i)
{
    return image + METADATA + 16 + 32 * i;
}

void put_section(size_t i, const struct tdx_tdvf_section *s, uint32_t offset)
{
    put_le32(section(i), offset);
    put_le32(section(i) + 4, (uint32_t)s->data.len);
    put_le64(section(i) + 8, s->gpa);
    put_le64(section(i) + 16, s->size);
    put_le32(section(i) + 24, s->type);
    put_le32(section(i) + 28, s->attributes);
}

const struct tdx_tdvf_section good[SECTIONS] = {
    [CODE] = {{NULL, 0x4000}, BASE + 0x2000, 0x4000, TDX_TDVF_BFV, TDX_TDVF_MR_EXTEND},
    [VARIABLES] = {{NULL, 0x2000}, BASE, 0x2000, TDX_TDVF_CFV, 0},
    [MEM] = {{NULL, 0}, 0x810000, 0x10000, TDX_TDVF_TEMP_MEM, 0},
    [HOB] = {{NULL, 0}, 0x809000, 0x2000, TDX_TDVF_TD_HOB, 0},
};
const uint32_t offsets[SECTIONS] = {[CODE] = 0x2000, [VARIABLES] = 0, [MEM] = 0, [HOB] = 0};

int make_image(void **state)
{
    static const uint8_t footer[16] =
        GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d);
    static const uint8_t tdx[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
                                    0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};
    (void)state;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i ^ i >> 8);
    memcpy(image + TABLE - 16, footer, 16);
    put_le16(image + TABLE - 18, 18 + 22);
    memcpy(image + TABLE - 18 - 16, tdx, 16);
    put_le16(image + TABLE - 18 - 18, 22);
    distance = image + TABLE - 18 - 22;
    put_le32(distance, SIZE - METADATA);
    memcpy(image + METADATA, "TDVF", 4);
    put_le32(image + METADATA + 4, 16 + SECTIONS * 32);
    put_le32(image + METADATA + 8, 1);
    put_le32(image + METADATA + 12, SECTIONS);
    for (size_t i = 0; i < SECTIONS; i++)
        put_section(i, &good[i], offsets[i]);
    return 0;
}
