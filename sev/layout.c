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

/* One prediction under way. */
struct fold {
    struct snp_digest *digest;
    const struct snp_ovmf *ovmf;
    const struct snp_layout *layout;
    const uint8_t *hash_page; /* NULL without a kernel */
};

static int add_section(const struct fold *f, const struct snp_ovmf_section *s, struct cofre_err *err)
{
    enum snp_page_type type;
    const uint8_t *data = NULL;
    switch (s->type) {
    case SNP_OVMF_SEC_MEM:
        type = f->layout->vmm == SNP_VMM_GCE ? SNP_PAGE_UNMEASURED : SNP_PAGE_ZERO;
        break;
    case SNP_OVMF_SECRETS:
        type = SNP_PAGE_SECRETS;
        break;
    case SNP_OVMF_CPUID:
        type = SNP_PAGE_CPUID;
        break;
    case SNP_OVMF_SVSM_CAA:
        type = SNP_PAGE_ZERO;
        break;
    case SNP_OVMF_KERNEL_HASHES:
        type = f->hash_page ? SNP_PAGE_NORMAL : SNP_PAGE_ZERO;
        data = f->hash_page;
        break;
    default:
        return cofre_fail(err, COFRE_MALFORMED,
                          "SEV metadata: what a VMM does with the section of type %u at 0x%x is not known",
                          s->type, s->gpa);
    }
    return snp_digest_pages(f->digest, type, s->gpa, data, s->size, err);
}

/* EC2 gives the CPUID page after everything else. */
static int add_sections(const struct fold *f, struct cofre_err *err)
{
    const struct snp_ovmf_section *last = NULL;
    for (size_t i = 0; i < f->ovmf->section_count; i++) {
        const struct snp_ovmf_section *s = &f->ovmf->section[i];
        if (f->layout->vmm == SNP_VMM_EC2 && s->type == SNP_OVMF_CPUID) {
            last = s;
            continue;
        }
        int rc = add_section(f, s, err);
        if (rc < 0)
            return rc;
    }
    return last ? add_section(f, last, err) : 0;
}

static int add_vmsas(const struct fold *f, struct cofre_err *err)
{
    const struct snp_layout *layout = f->layout;
    struct snp_vmsa vmsa;
    for (unsigned i = 0; i < layout->cpus; i++) {
        snp_vmsa_of_reset(&vmsa, layout->vmm, i, f->ovmf->reset_eip, layout->cpu_signature,
                          layout->guest_features);
        int rc = snp_digest_page(f->digest, SNP_PAGE_VMSA, SNP_VMSA_GPA, &vmsa, err);
        if (rc < 0)
            return rc;
    }
    return 0;
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

int snp_layout_digest(struct snp_digest *out, const struct snp_ovmf *ovmf, const struct snp_layout *layout,
                      struct cofre_err *err)
{
    uint8_t hash_page[SNP_PAGE_SIZE];
    const struct fold f = {out, ovmf, layout, layout->kernel ? hash_page : NULL};
    int rc = check_layout(ovmf, layout, err);
    if (rc == 0 && layout->kernel)
        rc = snp_ovmf_hash_page(hash_page, ovmf, layout->kernel, err);
    if (rc < 0)
        return rc;
    snp_digest_init(out);
    rc = snp_digest_pages(out, SNP_PAGE_NORMAL, ovmf->table.gpa, ovmf->table.image.data,
                          ovmf->table.image.len, err);
    if (rc == 0)
        rc = add_sections(&f, err);
    return rc < 0 ? rc : add_vmsas(&f, err);
}
