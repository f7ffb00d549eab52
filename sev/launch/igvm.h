/* The launch image of an SNP guest that an IGVM file describes, and what such a file wants of the launch besides. */
#ifndef COFRE_SEV_LAUNCH_IGVM_H
#define COFRE_SEV_LAUNCH_IGVM_H

#include "sev/digest.h"
#include "sev/launch/owner.h"
#include "vmm/igvm/guest.h"
#include "vmm/machine/boot.h"

/* launch_image's own bytes. */
struct snp_igvm_own {
    bool has_policy, has_id_block;
    uint64_t policy;
    struct snp_id_block id_block;
    struct snp_id_auth id_auth;
    unsigned vmsas; /* of the first vCPUs; the others start as after reset */
    struct snp_vmsa vmsa[];
};

/* tee_ops' igvm_image. */
int snp_igvm_image(const struct igvm_file *file, const struct igvm_machine *machine,
                   const struct boot_config *config, struct launch_image *image, struct cofre_err *err);

/* NULL for an image that no IGVM file made. */
const struct snp_igvm_own *snp_igvm_own(const struct launch_image *image);

/* The file's policy, where no option gives one, and its ID block, likewise. COFRE_USAGE where the option's policy differs. */
int snp_igvm_adopt(struct snp_owner *owner, const struct launch_image *image, struct cofre_err *err);
/* COFRE_NEGATIVE where the file has an ID block for another launch digest. */
int snp_igvm_check_digest(const struct launch_image *image, const struct snp_digest *digest,
                          struct cofre_err *err);

#endif
