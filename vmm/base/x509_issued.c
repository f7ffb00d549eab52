#include "vmm/base/x509_issued.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

static bool fingerprint(uint8_t out[32], X509 *cert)
{
    return X509_digest(cert, EVP_sha256(), out, NULL) == 1;
}

static bool is_known(const struct x509_issued *issued, const struct x509_scheme *scheme,
                     const uint8_t cert[32], const uint8_t issuer[32])
{
    for (size_t i = 0; i < issued->count; i++)
        if (issued->pair[i].scheme == scheme && memcmp(issued->pair[i].cert, cert, 32) == 0 &&
            memcmp(issued->pair[i].issuer, issuer, 32) == 0)
            return true;
    return false;
}

static void remember(struct x509_issued *issued, const struct x509_scheme *scheme, const uint8_t cert[32],
                     const uint8_t issuer[32])
{
    size_t i = issued->count < X509_ISSUED_MAX ? issued->count++ : issued->oldest++ % X509_ISSUED_MAX;
    issued->pair[i].scheme = scheme;
    memcpy(issued->pair[i].cert, cert, 32);
    memcpy(issued->pair[i].issuer, issuer, 32);
}

int x509_issued_check(struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert, X509 *issuer,
                      struct cofre_err *err)
{
    uint8_t of_cert[32], of_issuer[32];
    bool can = issued && fingerprint(of_cert, cert) && fingerprint(of_issuer, issuer);
    if (can && is_known(issued, scheme, of_cert, of_issuer))
        return 0;
    int rc = x509_check_issued(scheme, cert, issuer, err);
    if (can && rc == 0)
        remember(issued, scheme, of_cert, of_issuer);
    return rc;
}
