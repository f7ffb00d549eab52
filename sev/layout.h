/* The launch digest that a VMM's layout of an OVMF image gets: what is given to the firmware, in which order. Cofre launches
 * OVMF as QEMU does. */
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

#define SNP_CPU_SIGNATURE_DEFAULT 0x800f12u /* EPYC-v4 */
/* CPUID 1's EAX for QEMU's name of a CPU model ("EPYC-Milan", "EPYC-v4"), or the number itself ("0xa00f11"). */
int snp_cpu_signature(uint32_t *out, const char *model, struct cofre_err *err);

/* What the firmware is given before the VMSAs, in that order; data is NULL where a page's contents are not measured. */
#define SNP_LAYOUT_RANGES_MAX (SNP_OVMF_SECTIONS_MAX + 1)
struct snp_layout_ranges {
    struct snp_layout_range {
        enum snp_page_type type;
        uint64_t gpa, len;
        const uint8_t *data; /* the image's, or hash_page */
    } range[SNP_LAYOUT_RANGES_MAX];
    size_t count;
    uint8_t hash_page[SNP_PAGE_SIZE];
};

/* COFRE_MALFORMED for an image that cannot start as such a guest. */
int snp_layout_ranges(struct snp_layout_ranges *out, const struct snp_ovmf *ovmf,
                      const struct snp_layout *layout, struct cofre_err *err);
/* The digest of these and the VMSAs. */
int snp_layout_digest(struct snp_digest *out, const struct snp_ovmf *ovmf, const struct snp_layout *layout,
                      struct cofre_err *err);

#endif
