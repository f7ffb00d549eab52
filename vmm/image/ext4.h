/*
 * An ext4 file system in a file, made without privileges: mke2fs formats it, libext2fs puts the entries in. The same entries in
 * the same order with the same identity are the same bytes.
 */
#ifndef COFRE_IMAGE_EXT4_H
#define COFRE_IMAGE_EXT4_H

#include "vmm/image/tree.h"

#define EXT4_BLOCK 4096u

/* What would differ from one making to the next, were it not given. */
struct ext4_identity {
    uint8_t uuid[16], hash_seed[16];
    int64_t time; /* of the making, seconds since 1970; no file is newer */
};

struct ext4_plan {
    const char *path; /* is replaced */
    uint64_t size;    /* bytes; a multiple of EXT4_BLOCK */
    uint64_t inodes;  /* at least so many */
    bool journal;     /* for one that will be written to */
    struct ext4_identity identity;
};

struct ext4;

int ext4_make(struct ext4 **out, const struct ext4_plan *plan, struct cofre_err *err);
/* Owner, mode, time of change, links and extended attributes are kept; access lists are not. Directories above it that did not
 * come before are made, root's. */
int ext4_add(struct ext4 *fs, const struct tree_entry *entry, struct cofre_err *err);
/* Writes what is not written; frees in any case. */
int ext4_finish(struct ext4 *fs, struct cofre_err *err);

/* As mke2fs and LUKS write it: lower-case, terminated. */
void ext4_uuid_text(char out[37], const uint8_t uuid[16]);

/* Bytes that a file system takes for so many bytes of files, each rounded up to whole blocks, and entries; of those that want it
 * as small as it may be, and to which nothing is added. */
uint64_t ext4_room(uint64_t content, uint64_t entries, bool journal);

#endif
