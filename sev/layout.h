/* The launch digest that another VMM's layout of an OVMF image gets: what is given to the firmware, in which order. */
#ifndef COFRE_SEV_LAYOUT_H
#define COFRE_SEV_LAYOUT_H

#include "sev/digest.h"
#include "sev/ovmf.h"
#include "sev/vmsa.h"

#define SNP_LAYOUT_CPUS_MAX 4096

struct snp_layout {
    enum snp_vmm vmm;
    unsigned cpus;
    uint32_t cpu_signature;                /* snp_cpu_signature; QEMU only */
    uint64_t guest_features;               /* the whole of SEV_FEATURES, bit 0 with it */
    const struct snp_kernel_items *kernel; /* NULL: the guest boots from a disk */
};

/* "qemu", "ec2" or "gce". */
int snp_vmm_parse(enum snp_vmm *out, const char *name, struct cofre_err *err);

/* CPUID 1's EAX for QEMU's name of a CPU model ("EPYC-Milan", "EPYC-v4"), or the number itself ("0xa00f11"). */
int snp_cpu_signature(uint32_t *out, const char *model, struct cofre_err *err);

int snp_layout_digest(struct snp_digest *out, const struct snp_ovmf *ovmf, const struct snp_layout *layout,
                      struct cofre_err *err);

#endif
