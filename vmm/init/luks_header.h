/*
 * What a LUKS2 header (on-disk format 1.1.2) may say, before a key is used on it. The header is the host's: one that names no cipher
 * for the disk, or for the key's slot, would have the guest write in the clear, or take a key that the host knows. So there is
 * one form, that of `cofre image`, and a header that says anything else is refused.
 */
#ifndef COFRE_INIT_LUKS_HEADER_H
#define COFRE_INIT_LUKS_HEADER_H

#include "vmm/base/bytes.h"

#define LUKS_CIPHER          "aes"
#define LUKS_MODE            "xts-plain64"
#define LUKS_VOLUME_KEY_SIZE 64 /* AES-256, twice */
#define LUKS_SECTOR_SIZE     4096
#define LUKS_DATA_OFFSET     (16u << 20)
#define LUKS_HASH            "sha256"
/* The key is 256 random bits: stretching it would add nothing. This is the least that libcryptsetup takes. */
#define LUKS_ITERATIONS 1000
#define LUKS_KEY_SIZE   32 /* what opens a slot */

/* json is the header's, as crypt_dump_json gives it. -COFRE_NEGATIVE and a sentence for what is not so. */
int luks_header_check(struct view json, struct cofre_err *err);

#endif
