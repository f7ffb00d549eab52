/* A sector of a LUKS2 disk as dm-crypt writes it (Linux 6.12's drivers/md/dm-crypt.c and crypto/authenc.c), in the two forms of
 * vmm/init/luks_header.h. By OpenSSL. */
#ifndef COFRE_IMAGE_LUKS_SECTOR_H
#define COFRE_IMAGE_LUKS_SECTOR_H

#include "vmm/init/luks_header.h"

struct luks_sealer;

/* key: the volume key, LUKS_VOLUME_KEY_MAX bytes with integrity, LUKS_CIPHER_KEY_SIZE without. */
int luks_sealer_make(struct luks_sealer **out, const uint8_t *key, bool integrity, struct cofre_err *err);
void luks_sealer_free(struct luks_sealer *sealer);

/*
 * Encrypts a sector where it lies. number counts sectors of LUKS_SECTOR_SIZE. tag: LUKS_TAG_SIZE bytes, written with integrity only.
 * False where OpenSSL does not, or has no random bytes.
 */
bool luks_sector_seal(struct luks_sealer *sealer, uint8_t sector[LUKS_SECTOR_SIZE], uint64_t number,
                      uint8_t *tag);

#endif
