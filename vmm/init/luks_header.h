/*
 * What a LUKS2 header (on-disk format 1.1.2) may say, before a key is used on it. The header is the host's: one that names no cipher
 * for the disk, or for the key's slot, would have the guest write in the clear, or take a key that the host knows. So there are
 * the two forms of `cofre image`, without and with integrity, and a header that is not the one that is asked for is refused.
 */
#ifndef COFRE_INIT_LUKS_HEADER_H
#define COFRE_INIT_LUKS_HEADER_H

#include "vmm/base/bytes.h"

#define LUKS_CIPHER          "aes"
#define LUKS_MODE            "xts-plain64"
#define LUKS_CIPHER_KEY_SIZE 64 /* AES-256, twice */
#define LUKS_SECTOR_SIZE     4096
#define LUKS_DATA_OFFSET     (16u << 20)
#define LUKS_HASH            "sha256"
/* The key is 256 random bits: stretching it would add nothing. This is the least that libcryptsetup takes. */
#define LUKS_ITERATIONS 1000
#define LUKS_KEY_SIZE   32 /* what opens a slot */

/*
 * With integrity, a sector has a tag, which dm-integrity keeps (vmm/image/dm_integrity.h): HMAC-SHA-256 over the sector's number, its
 * IV and what it was encrypted to, and the IV, drawn anew each time that the sector is written. The volume key is the cipher's
 * and the HMAC's, in this order.
 */
#define LUKS_INTEGRITY          "hmac(sha256)"
#define LUKS_INTEGRITY_MODE     "xts-random"
#define LUKS_INTEGRITY_KEY_SIZE 32
#define LUKS_MAC_SIZE           32
#define LUKS_IV_SIZE            16
#define LUKS_TAG_SIZE           (LUKS_MAC_SIZE + LUKS_IV_SIZE)
#define LUKS_VOLUME_KEY_MAX     (LUKS_CIPHER_KEY_SIZE + LUKS_INTEGRITY_KEY_SIZE)

/* Of the volume key. */
static inline size_t luks_volume_key_size(bool integrity)
{
    return integrity ? LUKS_VOLUME_KEY_MAX : LUKS_CIPHER_KEY_SIZE;
}

/* json is the header's, as crypt_dump_json gives it. -COFRE_NEGATIVE and a sentence for what is not so. */
int luks_header_check(struct view json, bool integrity, struct cofre_err *err);

#endif
