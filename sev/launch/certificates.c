#include "sev/launch/certificates.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "sev/cert_table.h"
#include "sev/certs.h"

/* A table has no GUID of its own for an ASVK. */
static const enum snp_cert_kind kinds[] = {
    [SNP_ROLE_OTHER] = SNP_CERT_OTHER, [SNP_ROLE_ARK] = SNP_CERT_ARK,   [SNP_ROLE_ASK] = SNP_CERT_ASK,
    [SNP_ROLE_ASVK] = SNP_CERT_ASK,    [SNP_ROLE_VCEK] = SNP_CERT_VCEK, [SNP_ROLE_VLEK] = SNP_CERT_VLEK,
};

struct der {
    uint8_t *data[SNP_CERT_TABLE_ENTRIES];
};

static void der_free(struct der *der)
{
    for (size_t i = 0; i < SNP_CERT_TABLE_ENTRIES; i++)
        OPENSSL_free(der->data[i]);
}

static int table_of(struct bytes *table, const struct x509_certs *certs, struct cofre_err *err)
{
    __attribute__((cleanup(der_free))) struct der der = {0};
    struct snp_cert_entry entries[SNP_CERT_TABLE_ENTRIES] = {0};
    if (certs->count > SNP_CERT_TABLE_ENTRIES)
        return cofre_fail(err, COFRE_MALFORMED, "has %zu certificates; a guest's table takes %d",
                          certs->count, SNP_CERT_TABLE_ENTRIES);
    for (size_t i = 0; i < certs->count; i++) {
        enum snp_cert_role role = snp_cert_role(certs->cert[i], NULL);
        char name[128];
        x509_name(name, certs->cert[i]);
        if (role == SNP_ROLE_OTHER)
            return cofre_fail(err, COFRE_MALFORMED, "\"%s\" is no certificate of an SEV-SNP chain", name);
        int len = i2d_X509(certs->cert[i], &der.data[i]);
        if (len <= 0)
            return cofre_fail(err, COFRE_FAILED, "\"%s\" cannot be encoded", name);
        entries[i] = (struct snp_cert_entry){.kind = kinds[role], .data = {der.data[i], (size_t)len}};
    }
    return snp_cert_table_build(table, entries, certs->count, err);
}

int snp_certificates_load(struct bytes *table, struct view file, struct cofre_err *err)
{
    struct snp_cert_table parsed;
    if (snp_cert_table_parse(&parsed, file, NULL) == 0)
        return bytes_copy(table, file, err);
    CLEAN_CERTS certs = {0};
    int rc = x509_certs_add(&certs, file, err);
    return rc < 0 ? rc : table_of(table, &certs, err);
}
