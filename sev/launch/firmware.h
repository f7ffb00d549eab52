/* The launch image of an SNP guest that starts in OVMF: as QEMU lays it out, so that figures made for QEMU hold. */
#ifndef COFRE_SEV_LAUNCH_FIRMWARE_H
#define COFRE_SEV_LAUNCH_FIRMWARE_H

#include "vmm/machine/boot.h"

/* tee_ops' firmware_image. COFRE_MALFORMED for an image without SEV metadata, or with sections outside of the guest's
 * memory; and where there is a kernel, for one that would not check it. */
int snp_firmware_image(const struct boot_config *config, struct launch_image *image, struct cofre_err *err);

#endif
