/*
 * Where dm-integrity keeps a disk's tags: its layout, from Linux 6.12's Documentation/admin-guide/device-mapper/dm-integrity.rst and
 * drivers/md/dm-integrity.c, of the one kind that a LUKS2 disk with integrity has here: blocks of 4096 bytes, tags of LUKS_TAG_SIZE
 * that dm-crypt makes, a journal that is neither encrypted nor has a MAC. (What the host puts into the journal, or says in the
 * superblock, moves sectors with their tags, which a sector's number is part of.) Pure; all places are in bytes from the superblock.
 *
 *   superblock | journal: sections | tags of area 0 | blocks of area 0 | tags of area 1 | blocks of area 1 | ...
 */
#ifndef COFRE_IMAGE_DM_INTEGRITY_H
#define COFRE_IMAGE_DM_INTEGRITY_H

#include <stdint.h>

#define DM_INTEGRITY_BLOCK       4096u
#define DM_INTEGRITY_TAG         48u
#define DM_INTEGRITY_AREA_BLOCKS 4096u /* the kernel's own choice: 32768 sectors of 512 bytes */
#define DM_INTEGRITY_SUPERBLOCK  4096u /* a block with the tables' sizes in its first 64 bytes */
#define DM_INTEGRITY_SECTION                                                                                 \
    (264u * 512u) /* of the journal: 32 entries of 120 bytes in 8 sectors, and 32 blocks */

/* Of a disk of so many blocks. */
struct dm_integrity {
    uint64_t blocks;
    uint32_t sections;
};

/* With the journal that the kernel would give it: a 128th of the disk, 64 MiB at most. blocks: 1 at least. */
struct dm_integrity dm_integrity_of(uint64_t blocks);

/* All of it. It ends with the last block, so that the kernel, which counts how many there is room for, comes to as many. */
uint64_t dm_integrity_size(const struct dm_integrity *d);
uint64_t dm_integrity_section(uint32_t number);
/* Blocks of an area lie one behind the other, and so do their tags. */
uint64_t dm_integrity_block(const struct dm_integrity *d, uint64_t number);
uint64_t dm_integrity_tag(const struct dm_integrity *d, uint64_t number);

void dm_integrity_put_superblock(uint8_t out[DM_INTEGRITY_SUPERBLOCK], const struct dm_integrity *d);
/* One that has nothing to replay. */
void dm_integrity_put_section(uint8_t out[DM_INTEGRITY_SECTION], uint32_t section);

#endif
