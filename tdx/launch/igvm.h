/* The launch image of a TD that an IGVM file describes, and the attributes that such a file wants. */
#ifndef COFRE_TDX_LAUNCH_IGVM_H
#define COFRE_TDX_LAUNCH_IGVM_H

#include "tdx/launch/owner.h"
#include "vmm/igvm/guest.h"
#include "vmm/machine/boot.h"

/* tee_ops' igvm_image. COFRE_MALFORMED for pages that TDX does not have, and for a file that leaves the reset vector empty, where
 * every TD starts. */
int tdx_igvm_image(const struct igvm_file *file, const struct igvm_machine *machine,
                   const struct boot_config *config, struct launch_image *image, struct cofre_err *err);

/* The attributes of the file's policy, where it has one. COFRE_USAGE where --attributes says otherwise. */
int tdx_igvm_adopt(struct tdx_owner *owner, const struct launch_image *image, struct cofre_err *err);

#endif
