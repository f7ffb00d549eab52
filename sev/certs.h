/*
 * Certificates of SEV-SNP (VCEK specification and KDS interface 57230; VLEK: 58369): ARK, which signs itself, over ASK
 * (or ASVK), over VCEK (or VLEK). OpenSSL decodes and computes; what AMD's certificates must be is decided here and in
 * vmm/base/x509.h, not by OpenSSL's own chain building, whose strict mode refuses genuine VCEKs. Pure: no file, no clock.
 */
#ifndef COFRE_SEV_CERTS_H
#define COFRE_SEV_CERTS_H

#include <openssl/types.h>

#include "sev/cert_table.h"
#include "sev/product.h"
#include "sev/tcb.h"
#include "vmm/base/x509.h"

/* How AMD's CAs sign: RSA-4096, PSS, SHA-384. */
extern const struct x509_scheme snp_scheme;

/* The certificates of a table; those that are remembered (issued may be NULL) are not decoded again. Its CRL is left out: the
 * attester's host chose it, so it proves nothing. */
int snp_certs_add_table(struct x509_certs *certs, const struct snp_cert_table *table,
                        const struct x509_issued *issued, struct cofre_err *err);
/* AMD's own ARK, ASK and ASVK of every product, as its key service publishes them. */
int snp_certs_add_amd(struct x509_certs *certs, struct cofre_err *err);

/* What a certificate's subject says that it is; the chain decides whether it says so rightly. */
enum snp_cert_role {
    SNP_ROLE_OTHER,
    SNP_ROLE_ARK,  /* CN ARK-Milan */
    SNP_ROLE_ASK,  /* CN SEV-Milan */
    SNP_ROLE_ASVK, /* CN SEV-VLEK-Milan */
    SNP_ROLE_VCEK, /* CN SEV-VCEK */
    SNP_ROLE_VLEK, /* CN SEV-VLEK */
};
const char *snp_cert_role_name(enum snp_cert_role role);
/* *product (may be NULL) is what the name of an ARK, ASK or ASVK carries, else UNKNOWN. */
enum snp_cert_role snp_cert_role(X509 *cert, enum snp_product *product);
static inline bool snp_role_is_leaf(enum snp_cert_role role)
{
    return role == SNP_ROLE_VCEK || role == SNP_ROLE_VLEK;
}

/* Extensions 1.3.6.1.4.1.3704.1 of a VCEK or VLEK. */
struct snp_leaf {
    enum snp_cert_role role;
    unsigned structure;       /* .1: 0, or 1 from Turin on */
    char product_name[32];    /* .2: "Milan-B0", "Turin" */
    enum snp_product product; /* its line: steppings are wrong in the field */
    struct snp_tcb tcb;       /* .3.x */
    uint8_t hwid[64];         /* .4 of a VCEK; 8 bytes on Turin, the rest zero */
    size_t hwid_len;
    char csp_id[64]; /* .5 of a VLEK */
};
int snp_leaf_parse(struct snp_leaf *out, X509 *cert, struct cofre_err *err);

/* Borrowed from the bags that it was built from; members are NULL where nothing there fits by name. */
struct snp_chain {
    X509 *leaf, *intermediate, *root;
};
/* Issuers by name, and of several with the name one whose key made the signature. trusted: roots given by hand. */
void snp_chain_build(struct snp_chain *out, X509 *leaf, const struct x509_certs *certs,
                     const struct x509_certs *trusted);

/* The root's public key is AMD's for the product (by SHA-384 of its SubjectPublicKeyInfo). */
bool snp_root_is_amd(X509 *root, enum snp_product product);

#endif
