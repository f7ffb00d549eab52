/*
 * Where an image's guest has its root file system, as its command line says. The command line is measured, so this is the word of
 * who built the image; the disk is the host's.
 *   cofre.root=verity,hash=HEX,salt=HEX,blocks=N   dm-verity: SHA-256, blocks of 4 KiB, the tree behind the last block
 *   cofre.root=luks,uuid=UUID[,integrity]          LUKS2, with integrity or without; vmm/init/luks_header.h says what else must hold
 */
#ifndef COFRE_INIT_ROOT_H
#define COFRE_INIT_ROOT_H

#include "vmm/base/bytes.h"

#define ROOT_BLOCK      4096
#define ROOT_HASH_SIZE  32
#define ROOT_BLOCKS_MAX (1ull << 40)

enum root_kind { ROOT_VERITY, ROOT_LUKS };
extern const char *const root_kind_names[]; /* "verity", "luks" */
#define ROOT_KINDS 2

struct root_verity {
    uint8_t hash[ROOT_HASH_SIZE], salt[ROOT_HASH_SIZE];
    uint64_t blocks;
};

#define ROOT_UUID_SIZE 37 /* as text: lower-case, terminated */

struct root {
    enum root_kind kind;
    struct root_verity verity;
    char uuid[ROOT_UUID_SIZE]; /* of LUKS */
    bool integrity;            /* of LUKS: the disk has tags; one that has none is not taken */
};

/* Of /proc/cmdline. No such word, two of them, or one that is not exactly as above is -COFRE_MALFORMED. */
int root_parse(struct root *out, struct view cmdline, struct cofre_err *err);

/* The word, terminated. */
#define ROOT_WORD_SIZE 256
void root_format(char out[ROOT_WORD_SIZE], const struct root *root);

/* What follows "NAME=" in the last such word of a command line, as the kernel takes it; false where there is none. */
bool root_word(struct view cmdline, const char *name, struct view *value);

#endif
