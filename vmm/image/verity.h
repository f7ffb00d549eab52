/* dm-verity's tree of hashes behind a file system, by libcryptsetup and without a device mapper: SHA-256, blocks of 4 KiB, salted,
 * without a superblock, because all that it would say is on the guest's measured command line (vmm/init/root.h). */
#ifndef COFRE_IMAGE_VERITY_H
#define COFRE_IMAGE_VERITY_H

#include "vmm/init/root.h"

/* The file is blocks of 4 KiB, and gets the tree behind them. out has root hash and salt; salt is the caller's choice. */
int verity_make(struct root_verity *out, const char *path, const uint8_t salt[ROOT_HASH_SIZE],
                struct cofre_err *err);

#endif
