/*
 * A guest that starts in firmware of its own, an OVMF or TDVF image, instead of in the shim. The image lies below 4 GiB as
 * memory, measured where the guest is; kernel, initrd and command line, if there are, are handed to it by fw_cfg
 * (firmware_devices.h), and it is the firmware that checks them.
 */
#ifndef COFRE_MACHINE_FIRMWARE_H
#define COFRE_MACHINE_FIRMWARE_H

#include "vmm/machine/boot.h"
#include "vmm/machine/tee.h"

/* Fills *image, which keeps views of the config's and is freed with launch_image_free. tee is NULL for a plain guest.
 * COFRE_USAGE as boot_image_build, COFRE_MALFORMED for an image that is no firmware for such a guest. */
int firmware_image_build(const struct boot_config *config, const struct tee_ops *tee,
                         struct launch_image *image, struct cofre_err *err);

#endif
