/*
 * An SNP guest that an IGVM file describes: what the firmware is given, in which order, and the vCPUs' VMSAs, as KVM measures
 * them: all of them last, at one address, made by KVM itself of registers that it was given. A context of the file is good
 * where that gives its own bytes. Prediction and launch have all of this from here.
 */
#ifndef COFRE_SEV_IGVM_H
#define COFRE_SEV_IGVM_H

#include "sev/layout.h"
#include "vmm/igvm/guest.h"

struct snp_igvm_layout {
    /* The format's authors want a page for which the file has no data measured as a page of zeros; QEMU gives the firmware a
     * zero page, which has another digest. Cofre does as the format says. */
    bool as_qemu;
    unsigned cpus;
    uint32_t cpu_signature; /* of vCPUs without a context, which start as after reset, as QEMU's do */
    uint64_t guest_features;
    const struct snp_kernel_items *kernel; /* NULL: none is handed to the guest beside the file */
};

struct snp_igvm {
    struct igvm_guest guest;
    struct snp_igvm_layout layout;
    struct snp_layout_range range[IGVM_RANGES_MAX];
    size_t count;
    bool has_id_block;
    struct snp_id_block id_block;
    struct snp_id_auth id_auth;
};

/* machine is as igvm_guest_build has it. COFRE_NEGATIVE for a file that is not for SNP, and for one whose measured pages lack
 * the hashes of the kernel that is handed to the guest, as OVMF's AmdSev build wants them: its digest would not stand for that
 * kernel. COFRE_MALFORMED for a file that KVM cannot launch as it is. snp_igvm_free in any case. */
int snp_igvm_build(struct snp_igvm *out, const struct igvm_file *file, const struct igvm_machine *machine,
                   const struct snp_igvm_layout *layout, struct cofre_err *err);
void snp_igvm_free(struct snp_igvm *igvm);

/* The page that KVM makes of that vCPU, and measures. */
void snp_igvm_vmsa(struct snp_vmsa *out, const struct snp_igvm *igvm, unsigned index);
int snp_igvm_digest(struct snp_digest *out, const struct snp_igvm *igvm, struct cofre_err *err);

#endif
