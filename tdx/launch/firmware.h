/* The launch image of a TD that starts in a TDVF: the sections that its metadata name, as tdx/layout.h measures them, and the TD HOB
 * in its place. */
#ifndef COFRE_TDX_LAUNCH_FIRMWARE_H
#define COFRE_TDX_LAUNCH_FIRMWARE_H

#include "vmm/machine/boot.h"

/* As tee_ops' firmware_image. */
int tdx_firmware_image(const struct boot_config *config, struct launch_image *image, struct cofre_err *err);

#endif
