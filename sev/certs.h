/*
 * Certificates of SEV-SNP (VCEK specification and KDS interface 57230; VLEK: 58369): ARK, which signs itself, over ASK
 * (or ASVK), over VCEK (or VLEK). OpenSSL decodes and computes; what AMD's certificates must be is decided here, not by
 * OpenSSL's own chain building, whose strict mode refuses genuine VCEKs. Pure: no file, no clock.
 *
 * Return values of the checks: 0; -COFRE_NEGATIVE with a sentence; -COFRE_LACKING where collateral is missing or stale.
 */
#ifndef COFRE_SEV_CERTS_H
#define COFRE_SEV_CERTS_H

#include <openssl/types.h>

#include "sev/cert_table.h"
#include "sev/product.h"
#include "sev/tcb.h"
#include "vmm/base/bytes.h"

#define SNP_CERTS_MAX 64
#define SNP_CRLS_MAX  16

/* Certificates in any order; owned. Zeroed is empty. */
struct snp_certs {
    X509 *cert[SNP_CERTS_MAX];
    size_t count;
};
struct snp_crls {
    X509_CRL *crl[SNP_CRLS_MAX];
    size_t count;
};

void snp_certs_free(struct snp_certs *certs);
void snp_crls_free(struct snp_crls *crls);
#define CLEAN_CERTS __attribute__((cleanup(snp_certs_free))) struct snp_certs
#define CLEAN_CRLS  __attribute__((cleanup(snp_crls_free))) struct snp_crls

/* One or many, PEM or DER (one after another), nothing else in the file. -COFRE_MALFORMED and none added otherwise. */
int snp_certs_add(struct snp_certs *certs, struct view file, struct cofre_err *err);
int snp_crls_add(struct snp_crls *crls, struct view file, struct cofre_err *err);
/* The certificates of a table. Its CRL is left out: the attester's host chose it, so it proves nothing. */
int snp_certs_add_table(struct snp_certs *certs, const struct snp_cert_table *table, struct cofre_err *err);
/* Adds those of another bag, which keeps its own. */
int snp_certs_join(struct snp_certs *certs, const struct snp_certs *others, struct cofre_err *err);
/* AMD's own ARK, ASK and ASVK of every product, as its key service publishes them. */
int snp_certs_add_amd(struct snp_certs *certs, struct cofre_err *err);

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
/* The emulated platform's certificates carry the word EMULATED in their names. */
bool snp_cert_is_emulated(X509 *cert);
/* The common name, or the whole subject on one line where there is not exactly one; for sentences. */
void snp_cert_name(char out[128], X509 *cert);

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
void snp_chain_build(struct snp_chain *out, X509 *leaf, const struct snp_certs *certs,
                     const struct snp_certs *trusted);

/* The root's public key is AMD's for the product (by SHA-384 of its SubjectPublicKeyInfo). */
bool snp_root_is_amd(X509 *root, enum snp_product product);
/* The very certificate is in the bag. */
bool snp_certs_have(const struct snp_certs *certs, X509 *cert);

/* A CA with an RSA-4096 key; path: CAs that it must be allowed to have below it. */
int snp_cert_check_ca(X509 *cert, int path, struct cofre_err *err);
/* The issuer's key signed it, by RSA-PSS with SHA-384; the names agree, and the key identifiers where given. */
int snp_cert_check_issued(X509 *cert, X509 *issuer, struct cofre_err *err);
/* An end entity with a P-384 key, given by curve name and as an uncompressed point. */
int snp_cert_check_leaf(X509 *leaf, struct cofre_err *err);
/* Valid at the time, in seconds since 1970. */
int snp_cert_check_time(X509 *cert, int64_t at, struct cofre_err *err);
/* A CRL of the root, signed by it and current, and no signed one that names the chain's intermediate. */
int snp_chain_check_revocation(const struct snp_chain *chain, const struct snp_crls *crls, int64_t at,
                               struct cofre_err *err);

#endif
