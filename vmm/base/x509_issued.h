/*
 * Who issued whom, remembered: that one certificate's key signed another is true for ever, and finding it out costs an RSA
 * verification of 4096 bits. A verifier that meets a chain again need not repeat it. Time, revocation and trust in the root
 * are no part of it.
 */
#ifndef COFRE_BASE_X509_ISSUED_H
#define COFRE_BASE_X509_ISSUED_H

#include "vmm/base/x509.h"

#define X509_ISSUED_MAX 256

/* By the SHA-256 of both certificates, whole. A new pair takes the place of the oldest. Of one thread. Zeroed is empty. */
struct x509_issued {
    struct {
        const struct x509_scheme *scheme;
        uint8_t cert[32], issuer[32];
    } pair[X509_ISSUED_MAX];
    size_t count, oldest;
};

/* x509_check_issued, unless it succeeded before. Failures are not remembered. issued may be NULL. */
int x509_issued_check(struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert, X509 *issuer,
                      struct cofre_err *err);

#endif
