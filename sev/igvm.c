#include "sev/igvm.h"

#include <string.h>

#include "sev/id_block.h"

/* The vCPUs */

static int check_context(const struct igvm_context *context, const struct snp_igvm *igvm,
                         struct cofre_err *err)
{
    struct snp_vmsa own, made;
    const struct snp_igvm_layout *layout = &igvm->layout;
    if (context->vp >= layout->cpus)
        return cofre_fail(err, COFRE_MALFORMED, "the guest has %u vCPUs, and no vCPU %u: give it more",
                          layout->cpus, context->vp);
    if (context->gpa != SNP_VMSA_GPA)
        return cofre_fail(err, COFRE_MALFORMED,
                          "KVM measures it at 0x%llx, and not at 0x%llx as the file says", SNP_VMSA_GPA,
                          (unsigned long long)context->gpa);
    if (context->precedes_pages)
        return cofre_fail(err, COFRE_MALFORMED, "memory follows it in the file, and KVM measures it last");
    if (context->state.len != sizeof own)
        return cofre_fail(err, COFRE_MALFORMED, "it has %zu bytes, and a VMSA has %zu", context->state.len,
                          sizeof own);
    memcpy(&own, context->state.data, sizeof own);
    snp_vmsa_of_registers(&made, &own, layout->guest_features);
    const char *field = snp_vmsa_difference(&own, &made);
    return field ? cofre_fail(err, COFRE_MALFORMED,
                              "KVM does not start a vCPU with this %s in its VMSA, so its measurement would "
                              "be another",
                              field)
                 : 0;
}

/* KVM measures vCPUs in the order of their numbers. */
static int check_contexts(const struct snp_igvm *igvm, struct cofre_err *err)
{
    const struct igvm_guest *g = &igvm->guest;
    if (g->contexts == 0)
        return cofre_fail(err, COFRE_MALFORMED, "the IGVM file has no VP context, so no vCPU could start");
    for (size_t i = 0; i < g->contexts; i++) {
        const unsigned vp = g->context[i].vp;
        int rc = vp != i ? cofre_fail(err, COFRE_MALFORMED, "it stands where that of vCPU %zu should", i)
                         : check_context(&g->context[i], igvm, err);
        if (rc < 0)
            return cofre_within(err, rc, "the IGVM file's VP context of vCPU %u", vp);
    }
    return 0;
}

void snp_igvm_vmsa(struct snp_vmsa *out, const struct snp_igvm *igvm, unsigned index)
{
    const struct igvm_guest *g = &igvm->guest;
    const struct snp_igvm_layout *layout = &igvm->layout;
    if (index < g->contexts)
        memcpy(out, g->context[index].state.data, sizeof *out);
    else
        snp_vmsa_of_reset(out, SNP_VMM_QEMU, index, SNP_RESET_VECTOR, layout->cpu_signature,
                          layout->guest_features);
}

/* Memory */

static enum snp_page_type type_of(enum igvm_range_kind kind, bool as_qemu)
{
    static const enum snp_page_type types[] = {
        [IGVM_RANGE_DATA] = SNP_PAGE_NORMAL,           [IGVM_RANGE_ZERO] = SNP_PAGE_NORMAL,
        [IGVM_RANGE_UNMEASURED] = SNP_PAGE_UNMEASURED, [IGVM_RANGE_SECRETS] = SNP_PAGE_SECRETS,
        [IGVM_RANGE_CPUID] = SNP_PAGE_CPUID,
    };
    return as_qemu && kind == IGVM_RANGE_ZERO ? SNP_PAGE_ZERO : types[kind];
}

static void take_ranges(struct snp_igvm *igvm)
{
    const struct igvm_guest *g = &igvm->guest;
    for (size_t i = 0; i < g->count; i++) {
        const enum snp_page_type type = type_of(g->range[i].kind, igvm->layout.as_qemu);
        igvm->range[igvm->count++] = (struct snp_layout_range){
            type, g->range[i].gpa, g->range[i].len, type == SNP_PAGE_ZERO ? NULL : g->range[i].data};
    }
}

/* QEMU, by its library, has 4 KiB of data for a page of whatever size, and zeros behind them. */
static int check_as_qemu(const struct snp_igvm *igvm, const struct igvm_file *file, struct cofre_err *err)
{
    struct igvm_header h = {0};
    while (igvm->layout.as_qemu && igvm_file_next(file, &h))
        if (h.type == IGVM_PAGE_DATA && h.mask & igvm->guest.platform.mask && h.data.len > IGVM_PAGE_SIZE)
            return igvm_header_fail(err, file, &h, "QEMU does not take the data of a page of 2 MiB");
    return 0;
}

/* Firmware that is handed a kernel must have a measured word about it, or the host may hand it another. */
static int check_kernel(const struct snp_igvm *igvm, struct cofre_err *err)
{
    uint8_t table[SNP_HASH_TABLE_SIZE];
    int rc = igvm->layout.kernel ? snp_ovmf_hash_table(table, igvm->layout.kernel, err) : 0;
    if (rc < 0 || !igvm->layout.kernel)
        return rc;
    for (size_t i = 0; i < igvm->count; i++) {
        const struct snp_layout_range *r = &igvm->range[i];
        if (r->type == SNP_PAGE_NORMAL && memmem(r->data, r->len, table, sizeof table))
            return 0;
    }
    return cofre_fail(
        err, COFRE_NEGATIVE,
        "no measured page of the IGVM file has the hashes of this kernel, initrd and command line, "
        "so its launch digest would not stand for them");
}

/* The ID block */

/* Offsets in the header's body: the key has a field more than the firmware's. */
enum {
    ID_AUTHOR = 4,
    ID_DIGEST = 8,
    ID_FAMILY = 56,
    ID_IMAGE = 72,
    ID_VERSION = 88,
    ID_SVN = 92,
    ID_KEY_ALGORITHM = 96,
    ID_AUTHOR_ALGORITHM = 100,
    ID_SIGNATURE = 104,
    ID_KEY = 248,
    ID_AUTHOR_SIGNATURE = 400,
    ID_AUTHOR_KEY = 544,
    ID_COMPONENT = 72, /* of signatures and keys */
};

static void take_signature(struct snp_signature *out, const uint8_t *from)
{
    memcpy(out->r, from, ID_COMPONENT);
    memcpy(out->s, from + ID_COMPONENT, ID_COMPONENT);
}

static void take_key(struct snp_ecdsa_key *out, const uint8_t *from)
{
    out->curve = le32(from);
    memcpy(out->qx, from + 8, ID_COMPONENT);
    memcpy(out->qy, from + 8 + ID_COMPONENT, ID_COMPONENT);
}

static int take_id_block(struct snp_igvm *igvm, struct cofre_err *err)
{
    const uint8_t *b = igvm->guest.id_block.data;
    struct snp_id_block block = {
        .version = le32(b + ID_VERSION), .guest_svn = le32(b + ID_SVN), .policy = igvm->guest.policy};
    struct snp_id_auth auth = {.id_key_algo = le32(b + ID_KEY_ALGORITHM)};
    if (!igvm->guest.has_policy)
        return cofre_fail(err, COFRE_MALFORMED, "there is no guest policy that it would be signed for");
    memcpy(block.launch_digest, b + ID_DIGEST, sizeof block.launch_digest);
    memcpy(block.family_id, b + ID_FAMILY, sizeof block.family_id);
    memcpy(block.image_id, b + ID_IMAGE, sizeof block.image_id);
    take_signature(&auth.id_block_sig, b + ID_SIGNATURE);
    take_key(&auth.id_key, b + ID_KEY);
    if (b[ID_AUTHOR]) {
        auth.author_key_algo = le32(b + ID_AUTHOR_ALGORITHM);
        take_signature(&auth.id_key_sig, b + ID_AUTHOR_SIGNATURE);
        take_key(&auth.author_key, b + ID_AUTHOR_KEY);
    }
    int rc = snp_id_block_parse(&igvm->id_block, (struct view){(const uint8_t *)&block, sizeof block}, err);
    if (rc == 0)
        rc = snp_id_auth_parse(&igvm->id_auth, (struct view){(const uint8_t *)&auth, sizeof auth}, err);
    if (rc == 0)
        rc = snp_id_auth_verify(&igvm->id_auth, &igvm->id_block, b[ID_AUTHOR], err);
    igvm->has_id_block = rc == 0;
    return rc;
}

int snp_igvm_build(struct snp_igvm *out, const struct igvm_file *file, const struct igvm_machine *machine,
                   const struct snp_igvm_layout *layout, struct cofre_err *err)
{
    *out = (struct snp_igvm){.layout = *layout};
    int rc = igvm_guest_build(&out->guest, file, IGVM_SEV_SNP, machine, err);
    if (rc == 0)
        rc = check_as_qemu(out, file, err);
    if (rc == 0)
        rc = check_contexts(out, err);
    if (rc < 0)
        return rc;
    if (out->guest.id_block.len)
        rc = take_id_block(out, err);
    if (rc < 0)
        return cofre_within(err, rc, "the IGVM file's ID block");
    take_ranges(out);
    return check_kernel(out, err);
}

void snp_igvm_free(struct snp_igvm *igvm)
{
    igvm_guest_free(&igvm->guest);
}

int snp_igvm_digest(struct snp_digest *out, const struct snp_igvm *igvm, struct cofre_err *err)
{
    struct snp_vmsa vmsa;
    int rc = 0;
    snp_digest_init(out);
    for (size_t i = 0; i < igvm->count && rc == 0; i++) {
        const struct snp_layout_range *r = &igvm->range[i];
        rc = snp_digest_pages(out, r->type, r->gpa, snp_page_has_contents(r->type) ? r->data : NULL, r->len,
                              err);
    }
    for (unsigned i = 0; i < igvm->layout.cpus && rc == 0; i++) {
        snp_igvm_vmsa(&vmsa, igvm, i);
        rc = snp_digest_page(out, SNP_PAGE_VMSA, SNP_VMSA_GPA, &vmsa, err);
    }
    return rc;
}
