/*
 * Certificates and revocation lists of the vendors. OpenSSL decodes and computes; what a vendor's certificates must be is
 * decided here and in the vendor's room, not by OpenSSL's own chain building. Pure: no file, no clock.
 *
 * Return values of the checks: 0; -COFRE_NEGATIVE with a sentence; -COFRE_LACKING where collateral is missing or stale.
 */
#ifndef COFRE_BASE_X509_H
#define COFRE_BASE_X509_H

#include <openssl/types.h>

#include "vmm/base/bytes.h"
#include "vmm/base/ecdsa.h"

#define X509_CERTS_MAX 64
#define X509_CRLS_MAX  16

struct x509_issued;

/* In any order; owned. Zeroed is empty. */
struct x509_certs {
    X509 *cert[X509_CERTS_MAX];
    size_t count;
};
struct x509_crls {
    X509_CRL *crl[X509_CRLS_MAX];
    size_t count;
};

void x509_certs_free(struct x509_certs *certs);
void x509_crls_free(struct x509_crls *crls);
#define CLEAN_CERTS __attribute__((cleanup(x509_certs_free))) struct x509_certs
#define CLEAN_CRLS  __attribute__((cleanup(x509_crls_free))) struct x509_crls

/* One or many, PEM or DER (one after another), nothing else in the file. -COFRE_MALFORMED and none added otherwise. */
int x509_certs_add(struct x509_certs *certs, struct view file, struct cofre_err *err);
int x509_crls_add(struct x509_crls *crls, struct view file, struct cofre_err *err);
/* The same; a certificate whose very bytes are one's in a known bag (ended by NULL) is taken from there: decoding one costs
 * more than two signatures' verification, and what was found of the known one need not be found again. */
int x509_certs_add_known(struct x509_certs *certs, struct view file, const struct x509_certs *const *known,
                         struct cofre_err *err);
/* The same with those that were issued by somebody, as far as that is remembered (vmm/base/x509_issued.h); may be NULL. */
int x509_certs_add_issued(struct x509_certs *certs, struct view file, const struct x509_issued *issued,
                          struct cofre_err *err);
/* Adds those of another bag, which keeps its own. */
int x509_certs_join(struct x509_certs *certs, const struct x509_certs *others, struct cofre_err *err);
int x509_crls_join(struct x509_crls *crls, const struct x509_crls *others, struct cofre_err *err);
/* The very certificate is in the bag. */
bool x509_certs_have(const struct x509_certs *certs, X509 *cert);

/* The subject's only common name; 0 characters where there is none or another number of them. */
size_t x509_common_name(char out[128], X509 *cert);
/* The common name, or the whole subject on one line where there is not exactly one; for sentences. */
void x509_name(char out[128], X509 *cert);
/* The emulated platforms' certificates carry the word EMULATED in their names. */
bool x509_is_emulated(X509 *cert);
/* SHA-384 of the SubjectPublicKeyInfo; false without memory. */
bool x509_key_digest(uint8_t out[48], X509 *cert);

/* How a vendor's CAs sign. The texts complete sentences. */
struct x509_scheme {
    const char *vendor;    /* "AMD" */
    const char *key;       /* "RSA key of 4096 bits" */
    const char *algorithm; /* "RSA-PSS with SHA-384" */
    bool (*is_key)(EVP_PKEY *key);
    bool (*is_algorithm)(const X509_ALGOR *algorithm);
};

/* The issuer in the bags (NULL entries allowed): by name, and of several with the name one whose key made the signature.
 * Of several roots with one key (a real one, and one with an altered body) it is one that signs itself. Or NULL. */
X509 *x509_find_issuer(const struct x509_scheme *scheme, X509 *cert, const struct x509_certs *bags[2],
                       bool is_root);
/* A CA with the vendor's kind of key; path: CAs that it must be allowed to have below it. */
int x509_check_ca(const struct x509_scheme *scheme, X509 *cert, int path, struct cofre_err *err);
/* The issuer's key signed it, by the vendor's algorithm; the names agree, and the key identifiers where given. */
int x509_check_issued(const struct x509_scheme *scheme, X509 *cert, X509 *issuer, struct cofre_err *err);
/* An end entity that may sign data, with a key of that curve, given by the curve's name and as an uncompressed point. */
int x509_check_end_entity(X509 *cert, const struct ecdsa_curve *curve, struct cofre_err *err);
/* Valid at the time, in seconds since 1970. */
int x509_check_time(X509 *cert, int64_t at, struct cofre_err *err);
/* The list is in the issuer's name and signed by its key, which may sign lists. */
bool x509_crl_is_by(const struct x509_scheme *scheme, X509_CRL *crl, X509 *issuer);
/* The list, whoever's, is current and does not name the certificate. */
int x509_crl_check(const struct x509_scheme *scheme, X509_CRL *crl, X509 *cert, int64_t at,
                   struct cofre_err *err);
/* There is a list of the issuer, signed by it and current, and no signed one names the certificate. issued may be NULL. */
int x509_check_revocation(const struct x509_scheme *scheme, X509 *cert, X509 *issuer,
                          const struct x509_crls *crls, struct x509_issued *issued, int64_t at,
                          struct cofre_err *err);

#endif
