/* A LUKS2 header, of either form of vmm/init/luks_header.h. */
#ifndef COFRE_IMAGE_LUKS_FORMAT_H
#define COFRE_IMAGE_LUKS_FORMAT_H

#include "vmm/init/luks_header.h"
#include "vmm/init/root.h"

/*
 * Writes the first LUKS_DATA_OFFSET bytes of the file path, which is there already, as long as it will be. volume: the volume key, as
 * luks_volume_key_size says. It lies in one slot, which key opens.
 */
int luks_format(const char *path, const struct root *root, const uint8_t *volume,
                const uint8_t key[LUKS_KEY_SIZE], struct cofre_err *err);

#endif
