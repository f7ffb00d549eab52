/* Certificates, revocation lists and certificate tables from anybody. */
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "sev/certs.h"
#include "tests/fuzz/fuzz.h"

static void use(const struct x509_certs *certs, const struct x509_crls *crls)
{
    for (size_t i = 0; i < certs->count; i++) {
        struct snp_chain chain;
        struct snp_leaf leaf;
        char name[128];
        X509 *cert = certs->cert[i];
        x509_name(name, cert);
        FUZZ_CHECK(strlen(name) < sizeof name);
        if (snp_leaf_parse(&leaf, cert, NULL) == 0)
            FUZZ_CHECK(leaf.product != SNP_PRODUCT_UNKNOWN && leaf.hwid_len <= sizeof leaf.hwid);
        snp_chain_build(&chain, cert, certs, NULL);
        FUZZ_CHECK(chain.leaf == cert);
        (void)x509_is_emulated(cert);
        (void)x509_check_end_entity(cert, &ecdsa_p384, NULL);
        (void)x509_check_ca(&snp_scheme, cert, 0, NULL);
        (void)x509_check_time(cert, 1717200000, NULL);
        FUZZ_CHECK(!snp_root_is_amd(cert, SNP_PRODUCT_MILAN)); /* no seed is AMD's */
        if (chain.intermediate)
            FUZZ_CHECK(x509_check_issued(&snp_scheme, cert, chain.intermediate, NULL) <= 0);
        if (chain.root)
            (void)x509_check_revocation(&snp_scheme, chain.intermediate, chain.root, crls, NULL, 1717200000,
                                        NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_CERTS certs = {0};
    CLEAN_CRLS crls = {0};
    struct snp_cert_table table;
    struct view file = {data, size};
    if (x509_certs_add(&certs, file, NULL) < 0)
        FUZZ_CHECK(certs.count == 0);
    if (x509_crls_add(&crls, file, NULL) < 0)
        FUZZ_CHECK(crls.count == 0);
    if (snp_cert_table_parse(&table, file, NULL) == 0)
        for (size_t i = 0; i < table.count; i++)
            FUZZ_CHECK(table.entry[i].data.data >= data && table.entry[i].data.len > 0 &&
                       table.entry[i].data.data + table.entry[i].data.len <= data + size);
    use(&certs, &crls);
    return 0;
}

/* A VCEK by its name and extensions, of a P-384 key of its own. */
static size_t seed_cert(uint8_t out[FUZZ_SEED_MAX])
{
    static const struct {
        const char *oid;
        uint8_t value[12], len;
    } extensions[] = {
        {"1.3.6.1.4.1.3704.1.1", {2, 1, 0}, 3},
        {"1.3.6.1.4.1.3704.1.2", {0x16, 5, 'M', 'i', 'l', 'a', 'n'}, 7},
        {"1.3.6.1.4.1.3704.1.3.1", {2, 1, 3}, 3},
        {"1.3.6.1.4.1.3704.1.3.2", {2, 1, 0}, 3},
        {"1.3.6.1.4.1.3704.1.3.3", {2, 1, 8}, 3},
        {"1.3.6.1.4.1.3704.1.3.8", {2, 2, 0, 0xd5}, 4},
    };
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-384");
    X509_NAME *name = X509_get_subject_name(cert);
    uint8_t hwid[64] = {1, 2, 3}, *p = out;
    FUZZ_CHECK(X509_set_version(cert, 2) && X509_set_pubkey(cert, key) &&
               X509_gmtime_adj(X509_getm_notBefore(cert), -1000) &&
               X509_gmtime_adj(X509_getm_notAfter(cert), 1000) &&
               X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"SEV-VCEK", -1, -1, 0) &&
               X509_set_issuer_name(cert, name));
    for (size_t i = 0; i <= sizeof extensions / sizeof *extensions; i++) {
        bool last = i == sizeof extensions / sizeof *extensions;
        ASN1_OBJECT *oid = OBJ_txt2obj(last ? "1.3.6.1.4.1.3704.1.4" : extensions[i].oid, 1);
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        FUZZ_CHECK(
            ASN1_OCTET_STRING_set(value, last ? hwid : extensions[i].value, last ? 64 : extensions[i].len));
        X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
        FUZZ_CHECK(X509_add_ext(cert, ext, -1));
        X509_EXTENSION_free(ext);
        ASN1_OCTET_STRING_free(value);
        ASN1_OBJECT_free(oid);
    }
    FUZZ_CHECK(X509_sign(cert, key, EVP_sha384()) > 0);
    int len = i2d_X509(cert, &p);
    X509_free(cert);
    EVP_PKEY_free(key);
    return len > 0 ? (size_t)len : 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static uint8_t der[FUZZ_SEED_MAX];
    static size_t len;
    if (len == 0)
        len = seed_cert(der);
    struct snp_cert_entry entry = {.kind = SNP_CERT_VCEK, .data = {der, len}};
    CLEAN_BYTES table = {0};
    switch (index) {
    case 0:
        memcpy(out, der, len);
        return len;
    case 1:
        FUZZ_CHECK(snp_cert_table_build(&table, &entry, 1, NULL) == 0);
        memcpy(out, table.data, table.len);
        return table.len;
    case 2: {
        int n = 0;
        n += sprintf((char *)out, "-----BEGIN CERTIFICATE-----\n");
        n += EVP_EncodeBlock(out + n, der,
                             (int)(len / 3 * 3)); /* one long line, and cut: PEM's own ways to be wrong */
        n += sprintf((char *)out + n, "\n-----END CERTIFICATE-----\n");
        return (size_t)n;
    }
    default:
        return 0;
    }
}
