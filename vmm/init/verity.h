/* The root on dm-verity, by the device mapper's ioctls (linux/dm-ioctl.h, version 4): all that it is told comes from the measured
 * command line, so there is nothing of the disk's to parse. */
#ifndef COFRE_INIT_VERITY_H
#define COFRE_INIT_VERITY_H

#include "vmm/init/root.h"

#define VERITY_DEVICE_SIZE 32
#define VERITY_TABLE_SIZE  512

/*
 * Opens it over the disk, a block device, and writes the path of the device that it is then. First it reads the first and the last
 * block, so that another disk, or one for another root hash, is refused with a sentence (-COFRE_NEGATIVE); after that a
 * block that is not what was built ends the guest by a panic of the kernel's, as soon as it is read.
 */
int verity_open(char device[VERITY_DEVICE_SIZE], const struct root_verity *verity, const char *disk,
                struct cofre_err *err);

/* The parameters of the kernel's target "verity"; ends_guest: by a panic, else reading such a block fails. */
void verity_table(char out[VERITY_TABLE_SIZE], const struct root_verity *verity, const char *disk,
                  bool ends_guest);

#endif
