#include "vmm/image/dm_integrity.h"

#include <string.h>

#include "vmm/base/bytes.h"
#include "vmm/init/luks_header.h"

#define SECTOR          512u /* the kernel's unit */
#define SECTORS(blocks) ((uint64_t)(blocks) * (DM_INTEGRITY_BLOCK / SECTOR))

_Static_assert(DM_INTEGRITY_BLOCK == LUKS_SECTOR_SIZE && DM_INTEGRITY_TAG == LUKS_TAG_SIZE,
               "dm-crypt above and dm-integrity below have the same blocks and tags");

/* Before the blocks of an area are their tags, rounded up to 4 KiB; in the last area, room for as many as in the others. */
#define TAGS_OF_AREA (DM_INTEGRITY_AREA_BLOCKS * DM_INTEGRITY_TAG)
_Static_assert(TAGS_OF_AREA % 4096 == 0, "the tags of an area need no padding");
#define AREA (TAGS_OF_AREA + DM_INTEGRITY_AREA_BLOCKS * DM_INTEGRITY_BLOCK)

/* struct superblock of the kernel's, little-endian. */
enum {
    MAGIC = 0,
    VERSION = 8,
    LOG2_INTERLEAVE_SECTORS = 9,
    TAG_SIZE = 10,
    JOURNAL_SECTIONS = 12,
    DATA_SECTORS = 16,
    FLAGS = 24,
    LOG2_SECTORS_PER_BLOCK = 28,
};
#define FLAG_FIXED_PADDING   8 /* tags are rounded up to 4 KiB, not to 128 KiB */
#define VERSION_OF_THAT_FLAG 4

/* A section of the journal: 8 sectors with entries, and the blocks that they are of. Each sector ends with a number that says which
 * one it is, and by which round of the journal it was written. */
#define ENTRY_SECTORS 8
#define ENTRIES                                                                                              \
    32 /* four in a sector: number, the ends of the block's 8 sectors, tag, to a multiple of 8 bytes */
#define ENTRY_SIZE 120
_Static_assert(ENTRY_SIZE == (8 + 8 * 8 + DM_INTEGRITY_TAG + 7) / 8 * 8, "an entry");
_Static_assert(ENTRIES == ENTRY_SECTORS * ((SECTOR - 8) / ENTRY_SIZE), "entries of a section");
_Static_assert(DM_INTEGRITY_SECTION == ENTRY_SECTORS * SECTOR + ENTRIES * DM_INTEGRITY_BLOCK, "a section");
#define FIRST_ROUND  0x1111111111111111ull
#define ENTRY_UNUSED 0xffffffffu /* in place of the upper half of the number */

#define JOURNAL_MAX (64ull << 20)

struct dm_integrity dm_integrity_of(uint64_t blocks)
{
    uint64_t journal = blocks * DM_INTEGRITY_BLOCK / 128;
    journal = journal > JOURNAL_MAX ? JOURNAL_MAX : journal;
    const uint32_t sections = (uint32_t)(journal / DM_INTEGRITY_SECTION);
    return (struct dm_integrity){blocks, sections ? sections : 1};
}

uint64_t dm_integrity_section(uint32_t number)
{
    return DM_INTEGRITY_SUPERBLOCK + (uint64_t)number * DM_INTEGRITY_SECTION;
}

static uint64_t area_of(const struct dm_integrity *d, uint64_t number)
{
    return dm_integrity_section(d->sections) + number / DM_INTEGRITY_AREA_BLOCKS * AREA;
}

uint64_t dm_integrity_tag(const struct dm_integrity *d, uint64_t number)
{
    return area_of(d, number) + number % DM_INTEGRITY_AREA_BLOCKS * DM_INTEGRITY_TAG;
}

uint64_t dm_integrity_block(const struct dm_integrity *d, uint64_t number)
{
    return area_of(d, number) + TAGS_OF_AREA + number % DM_INTEGRITY_AREA_BLOCKS * DM_INTEGRITY_BLOCK;
}

uint64_t dm_integrity_size(const struct dm_integrity *d)
{
    return dm_integrity_block(d, d->blocks - 1) + DM_INTEGRITY_BLOCK;
}

void dm_integrity_put_superblock(uint8_t out[DM_INTEGRITY_SUPERBLOCK], const struct dm_integrity *d)
{
    memset(out, 0, DM_INTEGRITY_SUPERBLOCK);
    memcpy(out + MAGIC, "integrt", 8);
    out[VERSION] = VERSION_OF_THAT_FLAG;
    out[LOG2_INTERLEAVE_SECTORS] = (uint8_t)__builtin_ctzll(SECTORS(DM_INTEGRITY_AREA_BLOCKS));
    put_le16(out + TAG_SIZE, DM_INTEGRITY_TAG);
    put_le32(out + JOURNAL_SECTIONS, d->sections);
    put_le64(out + DATA_SECTORS, SECTORS(d->blocks));
    put_le32(out + FLAGS, FLAG_FIXED_PADDING);
    out[LOG2_SECTORS_PER_BLOCK] = (uint8_t)__builtin_ctzll(SECTORS(1));
}

void dm_integrity_put_section(uint8_t out[DM_INTEGRITY_SECTION], uint32_t section)
{
    memset(out, 0, DM_INTEGRITY_SECTION);
    for (uint32_t i = 0; i < DM_INTEGRITY_SECTION / SECTOR; i++)
        put_le64(out + (i + 1) * SECTOR - 8, FIRST_ROUND ^ ((uint64_t)section << 32 ^ i));
    for (uint32_t i = 0; i < ENTRIES; i++)
        put_le32(out + i % ENTRY_SECTORS * SECTOR + i / ENTRY_SECTORS * ENTRY_SIZE + 4, ENTRY_UNUSED);
}
