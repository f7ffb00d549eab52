#include "sev/layout.h"

#include <string.h>

#include "vmm/base/number.h"

static const char *const vmm_names[] = {
    [SNP_VMM_QEMU] = "qemu", [SNP_VMM_EC2] = "ec2", [SNP_VMM_GCE] = "gce"};

int snp_vmm_parse(enum snp_vmm *out, const char *name, struct cofre_err *err)
{
    for (unsigned i = 0; i < sizeof vmm_names / sizeof vmm_names[0]; i++)
        if (strcmp(name, vmm_names[i]) == 0) {
            *out = (enum snp_vmm)i;
            return 0;
        }
    return cofre_fail(err, COFRE_USAGE, "no layout of the VMM \"%s\" is known (cofre, qemu, ec2, gce)", name);
}

/* QEMU's models (target/i386/cpu.c, builtin_x86_defs); a version, -v1 and on, changes features and never these. */
static const struct {
    const char *name;
    unsigned family, model, stepping;
} cpu_models[] = {
    {"EPYC", 23, 1, 2},       {"EPYC-IBPB", 23, 1, 2},   {"EPYC-Rome", 23, 49, 0},
    {"EPYC-Milan", 25, 1, 1}, {"EPYC-Genoa", 25, 17, 0}, {"EPYC-Turin", 26, 0, 0},
};

/* Families above 15 are the base 15 and an extended part (AMD publication 25481, Fn0000_0001 EAX). */
static uint32_t signature_of(unsigned family, unsigned model, unsigned stepping)
{
    return (family - 15) << 20 | (model >> 4) << 16 | 15u << 8 | (model & 15) << 4 | stepping;
}

static bool is_version(const char *text)
{
    return *text == '\0' || (strncmp(text, "-v", 2) == 0 && text[2] >= '1' && text[2] <= '9' &&
                             text[2 + strspn(text + 2, "0123456789")] == '\0');
}

int snp_cpu_signature(uint32_t *out, const char *model, struct cofre_err *err)
{
    if (strncmp(model, "0x", 2) == 0) {
        uint64_t value;
        int rc = number_parse(&value, model, "CPU model", 0, UINT32_MAX, err);
        if (rc == 0)
            *out = (uint32_t)value;
        return rc;
    }
    for (size_t i = 0; i < sizeof cpu_models / sizeof cpu_models[0]; i++)
        if (strncmp(model, cpu_models[i].name, strlen(cpu_models[i].name)) == 0 &&
            is_version(model + strlen(cpu_models[i].name))) {
            *out = signature_of(cpu_models[i].family, cpu_models[i].model, cpu_models[i].stepping);
            return 0;
        }
    return cofre_fail(
        err, COFRE_USAGE,
        "CPU model \"%s\" is not known (EPYC, EPYC-IBPB, EPYC-Rome, EPYC-Milan, EPYC-Genoa, EPYC-Turin, "
        "each also with a version as in EPYC-v4, or CPUID 1's EAX as in 0xa00f11)",
        model);
}

static int add_range(struct snp_layout_ranges *out, enum snp_page_type type, uint64_t gpa, uint64_t len,
                     const uint8_t *data, struct cofre_err *err)
{
    if (out->count == SNP_LAYOUT_RANGES_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "SEV metadata: more than %d ranges", SNP_LAYOUT_RANGES_MAX);
    out->range[out->count++] = (struct snp_layout_range){type, gpa, len, data};
    return 0;
}

static int add_section(struct snp_layout_ranges *out, const struct snp_layout *layout,
                       const struct snp_ovmf_section *s, struct cofre_err *err)
{
    const uint8_t *hashes = layout->kernel ? out->hash_page : NULL;
    switch (s->type) {
    case SNP_OVMF_SEC_MEM:
        return add_range(out, layout->vmm == SNP_VMM_GCE ? SNP_PAGE_UNMEASURED : SNP_PAGE_ZERO, s->gpa,
                         s->size, NULL, err);
    case SNP_OVMF_SECRETS:
        return add_range(out, SNP_PAGE_SECRETS, s->gpa, s->size, NULL, err);
    case SNP_OVMF_CPUID:
        return add_range(out, SNP_PAGE_CPUID, s->gpa, s->size, NULL, err);
    case SNP_OVMF_SVSM_CAA:
        return add_range(out, SNP_PAGE_ZERO, s->gpa, s->size, NULL, err);
    case SNP_OVMF_KERNEL_HASHES:
        return add_range(out, hashes ? SNP_PAGE_NORMAL : SNP_PAGE_ZERO, s->gpa, s->size, hashes, err);
    default:
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: what a VMM does with the section of type %u at 0x%x is not known",
                          s->type, s->gpa);
    }
}

/* EC2 gives the CPUID page after everything else. */
static int add_sections(struct snp_layout_ranges *out, const struct snp_ovmf *ovmf,
                        const struct snp_layout *layout, struct cofre_err *err)
{
    const struct snp_ovmf_section *last = NULL;
    for (size_t i = 0; i < ovmf->section_count; i++) {
        const struct snp_ovmf_section *s = &ovmf->section[i];
        if (layout->vmm == SNP_VMM_EC2 && s->type == SNP_OVMF_CPUID) {
            last = s;
            continue;
        }
        int rc = add_section(out, layout, s, err);
        if (rc < 0)
            return rc;
    }
    return last ? add_section(out, layout, last, err) : 0;
}

static int check_layout(const struct snp_ovmf *ovmf, const struct snp_layout *layout, struct cofre_err *err)
{
    if (layout->cpus == 0 || layout->cpus > SNP_LAYOUT_CPUS_MAX)
        return cofre_fail(err, COFRE_USAGE, "%u vCPUs: from 1 to %d can be predicted", layout->cpus,
                          SNP_LAYOUT_CPUS_MAX);
    if (ovmf->section_count == 0)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the firmware has no SEV metadata, so it cannot start as an SNP guest");
    if (layout->cpus > 1 && !ovmf->has_reset_eip)
        return cofre_fail(err, COFRE_MALFORMED,
                          "the firmware has no SEV-ES reset block, so it can have one vCPU and not %u",
                          layout->cpus);
    return 0;
}

int snp_layout_ranges(struct snp_layout_ranges *out, const struct snp_ovmf *ovmf,
                      const struct snp_layout *layout, struct cofre_err *err)
{
    out->count = 0;
    int rc = check_layout(ovmf, layout, err);
    if (rc == 0 && layout->kernel)
        rc = snp_ovmf_hash_page(out->hash_page, ovmf, layout->kernel, err);
    if (rc == 0)
        rc = add_range(out, SNP_PAGE_NORMAL, ovmf->table.gpa, ovmf->table.image.len, ovmf->table.image.data,
                       err);
    return rc < 0 ? rc : add_sections(out, ovmf, layout, err);
}

static int add_vmsas(struct snp_digest *digest, const struct snp_ovmf *ovmf, const struct snp_layout *layout,
                     struct cofre_err *err)
{
    struct snp_vmsa vmsa;
    for (unsigned i = 0; i < layout->cpus; i++) {
        snp_vmsa_of_reset(&vmsa, layout->vmm, i, ovmf->reset_eip, layout->cpu_signature,
                          layout->guest_features);
        int rc = snp_digest_page(digest, SNP_PAGE_VMSA, SNP_VMSA_GPA, &vmsa, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int snp_layout_digest(struct snp_digest *out, const struct snp_ovmf *ovmf, const struct snp_layout *layout,
                      struct cofre_err *err)
{
    struct snp_layout_ranges ranges;
    int rc = snp_layout_ranges(&ranges, ovmf, layout, err);
    snp_digest_init(out);
    for (size_t i = 0; i < ranges.count && rc == 0; i++) {
        const struct snp_layout_range *r = &ranges.range[i];
        rc = snp_digest_pages(out, r->type, r->gpa, r->data, r->len, err);
    }
    return rc < 0 ? rc : add_vmsas(out, ovmf, layout, err);
}
