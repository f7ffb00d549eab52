#include "sev/certs.h"

#include <string.h>

#include "sev/amd_certs.h"

int snp_certs_add_table(struct x509_certs *certs, const struct snp_cert_table *table,
                        const struct x509_issued *issued, struct cofre_err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct snp_cert_entry *e = &table->entry[i];
        if (e->kind == SNP_CERT_OTHER || e->kind == SNP_CERT_CRL)
            continue;
        int rc = x509_certs_add_issued(certs, e->data, issued, err);
        if (rc < 0)
            return cofre_within(err, rc, "certificate table: the %s", snp_cert_kind_name(e->kind));
    }
    return 0;
}

int snp_certs_add_amd(struct x509_certs *certs, struct cofre_err *err)
{
    return x509_certs_add(certs, (struct view){(const uint8_t *)snp_amd_certs, strlen(snp_amd_certs)}, err);
}

/* Whole names before prefixes, and the longer prefix first. */
static const struct {
    enum snp_cert_role role;
    const char *short_name, *name;
    bool with_product;
} roles[] = {
    {SNP_ROLE_VCEK, "VCEK", "SEV-VCEK", false}, {SNP_ROLE_VLEK, "VLEK", "SEV-VLEK", false},
    {SNP_ROLE_ASVK, "ASVK", "SEV-VLEK-", true}, {SNP_ROLE_ASK, "ASK", "SEV-", true},
    {SNP_ROLE_ARK, "ARK", "ARK-", true},
};

const char *snp_cert_role_name(enum snp_cert_role role)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (roles[i].role == role)
            return roles[i].short_name;
    return "other certificate";
}

enum snp_cert_role snp_cert_role(X509 *cert, enum snp_product *product)
{
    char cn[128];
    size_t len = x509_common_name(cn, cert);
    enum snp_product line = SNP_PRODUCT_UNKNOWN;
    enum snp_cert_role role = SNP_ROLE_OTHER;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && role == SNP_ROLE_OTHER; i++) {
        size_t prefix = strlen(roles[i].name);
        if (len < prefix || memcmp(cn, roles[i].name, prefix) != 0)
            continue;
        if (roles[i].with_product)
            line = snp_product_named(cn + prefix, len - prefix);
        if (roles[i].with_product ? line != SNP_PRODUCT_UNKNOWN : len == prefix)
            role = roles[i].role;
    }
    if (product)
        *product = line;
    return role;
}
