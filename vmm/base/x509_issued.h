/*
 * Who issued whom, remembered: that one certificate's key signed another is true for ever, and finding it out costs an RSA
 * verification of 4096 bits, and decoding a certificate costs more. A verifier that meets a chain again need not repeat
 * either. Time, revocation and trust in the root are no part of it.
 */
#ifndef COFRE_BASE_X509_ISSUED_H
#define COFRE_BASE_X509_ISSUED_H

#include "vmm/base/x509.h"

#define X509_ISSUED_MAX 256

/* What is in pairs is owned. A new pair takes the place of the oldest. Of one thread. Zeroed is empty. */
struct x509_issued {
    struct {
        const struct x509_scheme *scheme;
        X509 *cert, *issuer;
    } pair[X509_ISSUED_MAX];
    size_t count, oldest;
    struct {
        const struct x509_scheme *scheme;
        X509_CRL *crl;
        X509 *issuer;
    } list[X509_CRLS_MAX];
    size_t lists, oldest_list;
};

void x509_issued_free(struct x509_issued *issued);
#define CLEAN_ISSUED __attribute__((cleanup(x509_issued_free))) struct x509_issued

/* x509_check_issued, unless the pair is remembered. issued may be NULL. */
int x509_issued_check(const struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert,
                      X509 *issuer, struct cofre_err *err);
/* x509_crl_is_by, unless it was found of the very object before. issued may be NULL. The list is the verifier's own. */
bool x509_issued_is_by(struct x509_issued *issued, const struct x509_scheme *scheme, X509_CRL *crl,
                       X509 *issuer);
/* Remembers what x509_issued_check found. For chains that are trusted: else strangers could push out those that are known. */
void x509_issued_add(struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert, X509 *issuer);

#endif
