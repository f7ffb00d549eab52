/* The policy's section on SEV-SNP. */
#include <stdio.h>
#include <string.h>

#include "attest/policy_read.h"
#include "attest/reference.h"
#include "sev/abi.h"

const struct policy_named_bit policy_snp_guest_bits[POLICY_SNP_GUEST_BITS] = {
    {"debug", SNP_POLICY_DEBUG, POLICY_FORBIDDEN},
    {"migrate_ma", SNP_POLICY_MIGRATE_MA, POLICY_FORBIDDEN},
    {"smt", SNP_POLICY_SMT, POLICY_ANY},
    {"single_socket", SNP_POLICY_SINGLE_SOCKET, POLICY_ANY},
    {"cxl", SNP_POLICY_CXL_ALLOW, POLICY_ANY},
    {"aes_256_xts", SNP_POLICY_MEM_AES_256_XTS, POLICY_ANY},
    {"rapl_disable", SNP_POLICY_RAPL_DIS, POLICY_ANY},
    {"ciphertext_hiding", SNP_POLICY_CIPHERTEXT_HIDING, POLICY_ANY},
    {"page_swap_disable", SNP_POLICY_PAGE_SWAP_DISABLE, POLICY_ANY},
};

const struct policy_named_bit policy_snp_platform_bits[POLICY_SNP_PLATFORM_BITS] = {
    {"smt", SNP_PLATFORM_SMT_EN, POLICY_ANY},
    {"tsme", SNP_PLATFORM_TSME_EN, POLICY_ANY},
    {"ecc", SNP_PLATFORM_ECC_EN, POLICY_ANY},
    {"rapl_disabled", SNP_PLATFORM_RAPL_DIS, POLICY_ANY},
    {"ciphertext_hiding", SNP_PLATFORM_CIPHERTEXT_HIDING, POLICY_ANY},
    {"alias_check", SNP_PLATFORM_ALIAS_CHECK, POLICY_ANY},
    {"iommu_write_safe", SNP_PLATFORM_IOMMU_WRITE_SAFE, POLICY_ANY},
    {"tio", SNP_PLATFORM_TIO_EN, POLICY_ANY},
};

static int read_svn(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    uint32_t n = 0;
    int rc = policy_read_number(m, value, where, &n, err);
    *(uint8_t *)to = (uint8_t)n;
    return rc;
}

static int read_abi(const struct member *m, json_t *value, const char *where, void *to, struct cofre_err *err)
{
    (void)m;
    unsigned major, minor;
    char rest;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (strspn(text, "0123456789.") != strlen(text) || strlen(text) > 7 ||
        sscanf(text, "%3u.%3u%c", &major, &minor, &rest) != 2 || major > 255 || minor > 255)
        return policy_wrong(where, err, "is not an ABI version such as \"1.51\"");
    *(uint16_t *)to = (uint16_t)(major << 8 | minor);
    return 0;
}

static enum snp_product product_of(const char *name)
{
    enum snp_product product = snp_product_named(name, strlen(name));
    return strcmp(snp_product_name(product), name) == 0 ? product : SNP_PRODUCT_UNKNOWN;
}

static int read_products(const struct member *m, json_t *value, const char *where, void *to,
                         struct cofre_err *err)
{
    (void)m;
    struct policy_snp *snp = to;
    size_t i;
    json_t *item;
    int rc = policy_check_list(value, where, err);
    if (rc < 0)
        return rc;
    json_array_foreach(value, i, item)
    {
        enum snp_product product = product_of(json_is_string(item) ? json_string_value(item) : "");
        if (product == SNP_PRODUCT_UNKNOWN)
            return policy_wrong(where, err, "has a value other than \"Milan\", \"Genoa\" and \"Turin\"");
        snp->product[product] = true;
    }
    snp->has_products = true;
    return 0;
}

#define SVN(NAME, COMPONENT)                                                                                 \
    {                                                                                                        \
        NAME, read_svn, COMPONENT, 255, NULL                                                                 \
    }
static const struct member tcb_members[] = {
    SVN("boot_loader", SNP_TCB_BOOT_LOADER), SVN("tee", SNP_TCB_TEE), SVN("snp", SNP_TCB_SNP),
    SVN("microcode", SNP_TCB_MICROCODE),     SVN("fmc", SNP_TCB_FMC),
};

static int read_min_tcb(const struct member *m, json_t *value, const char *where, void *to,
                        struct cofre_err *err)
{
    (void)m;
    struct policy_snp *snp = to;
    const char *name;
    json_t *tcb;
    if (!json_is_object(value) || json_object_size(value) == 0)
        return policy_wrong(where, err, "is not an object with a member for at least one product");
    json_object_foreach(value, name, tcb)
    {
        char path[160];
        enum snp_product product = product_of(name);
        (void)snprintf(path, sizeof path, "%s.%.32s", where, name);
        if (product == SNP_PRODUCT_UNKNOWN)
            return policy_wrong(where, err, "has a member other than \"Milan\", \"Genoa\" and \"Turin\"");
        int rc = policy_read_object(tcb_members, sizeof tcb_members / sizeof *tcb_members, tcb, path,
                                    snp->min_tcb[product].tcb.svn, err);
        if (rc < 0)
            return rc;
        if (product != SNP_PRODUCT_TURIN && json_object_get(tcb, "fmc"))
            return policy_wrong(path, err, "has \"fmc\", a component that only Turin has");
        snp->min_tcb[product].given = true;
    }
    snp->has_min_tcb = true;
    return 0;
}

#define AT(FIELD) offsetof(struct policy_snp, FIELD)
static const struct member snp_members[] = {
    HEX_LIST(struct policy_snp, measurement, 48),
    HEX_LIST(struct policy_snp, host_data, 32),
    HEX_LIST(struct policy_snp, id_key_digest, 48),
    HEX_LIST(struct policy_snp, author_key_digest, 48),
    HEX_LIST(struct policy_snp, family_id, 16),
    HEX_LIST(struct policy_snp, image_id, 16),
    HEX_LIST(struct policy_snp, chip_id, 64),
    HEX_LIST(struct policy_snp, csp_id, 0),
    HEX_LIST(struct policy_snp, report_id, 32),
    HEX_LIST(struct policy_snp, report_id_ma, 32),
    {"report_data", policy_read_hex_one, AT(report_data), 64, NULL},
    {"reference", policy_read_names, AT(reference), REFERENCE_NAME_MAX, NULL},
    {"min_tcb", read_min_tcb, 0, 0, NULL},
    {"max_vmpl", policy_read_number, AT(max_vmpl), 3, NULL},
    {"min_guest_svn", policy_read_number, AT(min_guest_svn), UINT32_MAX, NULL},
    {"min_abi", read_abi, AT(min_abi), 0, NULL},
    {"mitigations", policy_read_mask, AT(mitigations), 0, NULL},
    {"products", read_products, 0, 0, NULL},
    {"guest_policy", policy_read_bits, AT(guest_policy), POLICY_SNP_GUEST_BITS, policy_snp_guest_bits},
    {"platform_info", policy_read_bits, AT(platform_info), POLICY_SNP_PLATFORM_BITS,
     policy_snp_platform_bits},
    {"provisional_firmware", policy_read_bit, AT(provisional_firmware), 0, NULL},
    {"unknown_bits", policy_read_bit, AT(unknown_bits), 0, NULL},
};

#define MEMBERS (sizeof snp_members / sizeof *snp_members)

int policy_snp_read(struct policy_snp *to, json_t *value, const char *where, struct cofre_err *err)
{
    return policy_read_object(snp_members, MEMBERS, value, where, to, err);
}

void policy_snp_init(struct policy_snp *out)
{
    *out = (struct policy_snp){.provisional_firmware = POLICY_FORBIDDEN, .unknown_bits = POLICY_FORBIDDEN};
    for (size_t i = 0; i < POLICY_SNP_GUEST_BITS; i++)
        out->guest_policy[i] = policy_snp_guest_bits[i].initial;
    for (size_t i = 0; i < POLICY_SNP_PLATFORM_BITS; i++)
        out->platform_info[i] = policy_snp_platform_bits[i].initial;
}

void policy_snp_free(struct policy_snp *policy)
{
    policy_free_lists(snp_members, MEMBERS, policy);
}
