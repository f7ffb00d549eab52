#include "tests/unit/sev/ovmf_image.h"

#include <string.h>

uint8_t image[SIZE];
uint8_t *below;
uint8_t *entry[4];
size_t entries;
uint8_t *footer_len;

static const uint8_t footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                   0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
const uint8_t reset[16] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f,
                           0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
const uint8_t hashes[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
                            0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
const uint8_t metadata[16] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47,
                              0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};

uint8_t *add_entry(const uint8_t guid[16], const uint32_t *numbers, size_t count)
{
    memcpy(below - 16, guid, 16);
    put_le16(below - 18, (uint16_t)(18 + 4 * count));
    below -= 18 + 4 * count;
    for (size_t i = 0; i < count; i++)
        put_le32(below + 4 * i, numbers[i]);
    put_le16(footer_len, (uint16_t)(image + TABLE - below));
    return entry[entries++] = below;
}

uint8_t *section(size_t i)
{
    return image + METADATA + 16 + 12 * i;
}

void put_section(size_t i, uint32_t gpa, uint32_t size, uint32_t type)
{
    put_le32(section(i), gpa);
    put_le32(section(i) + 4, size);
    put_le32(section(i) + 8, type);
}

int make_image(void **state)
{
    (void)state;
    memset(image, 0, sizeof image);
    below = image + TABLE - 18;
    entries = 0;
    memcpy(image + TABLE - 16, footer, 16);
    footer_len = image + TABLE - 18;
    add_entry(reset, (const uint32_t[]){0x80b004}, 1);
    add_entry(hashes, (const uint32_t[]){0x810c00, 0x400}, 2);
    add_entry(metadata, (const uint32_t[]){SIZE - METADATA}, 1);
    memcpy(image + METADATA, "ASEV", 4);
    put_le32(image + METADATA + 4, 16 + 4 * 12);
    put_le32(image + METADATA + 8, 1);
    put_le32(image + METADATA + 12, 4);
    put_section(MEM, 0x800000, 0x9000, 1);
    put_section(SECRETS, 0x80d000, 0x1000, 2);
    put_section(CPUID, 0x80e000, 0x1000, 3);
    put_section(KERNEL, 0x810000, 0x1000, 0x10);
    return 0;
}
