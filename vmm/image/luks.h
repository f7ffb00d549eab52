/* LUKS2 around a file system, without a device mapper: header (luks_format), sectors (luks_sector) and, with integrity, where their
 * tags go (dm_integrity). */
#ifndef COFRE_IMAGE_LUKS_H
#define COFRE_IMAGE_LUKS_H

#include "vmm/init/luks_header.h"
#include "vmm/init/root.h"

/*
 * The file system in the file plain, whole sectors of LUKS_SECTOR_SIZE, goes encrypted to the file path, which is replaced, behind a
 * header of the form that root names, with its UUID. The volume key is drawn here, and lies in one slot, which key opens.
 */
int luks_make(const char *path, const char *plain, const struct root *root, const uint8_t key[LUKS_KEY_SIZE],
              struct cofre_err *err);

#endif
