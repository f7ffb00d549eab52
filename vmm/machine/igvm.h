/*
 * A guest that an IGVM file describes: its memory is the file's, and the machine around it is that of a guest in firmware, since
 * that is what such files bring. What the file's parameters ask for is this machine's own.
 */
#ifndef COFRE_MACHINE_IGVM_H
#define COFRE_MACHINE_IGVM_H

#include "vmm/machine/boot.h"
#include "vmm/machine/tee.h"

/* As firmware_image_build, of a config whose firmware is an IGVM file. */
int igvm_image_build(const struct boot_config *config, const struct tee_ops *tee, struct launch_image *image,
                     struct cofre_err *err);

#endif
