#include "vmm/base/x509_issued.h"

#include <openssl/x509.h>

/* The very objects are what a verifier meets that decodes by x509_certs_add_known or has decoded once: looked at first. */
static bool is_known(const struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert,
                     X509 *issuer)
{
    for (size_t i = 0; i < issued->count; i++)
        if (issued->pair[i].cert == cert && issued->pair[i].issuer == issuer &&
            issued->pair[i].scheme == scheme)
            return true;
    for (size_t i = 0; i < issued->count; i++)
        if (issued->pair[i].scheme == scheme && X509_cmp(issued->pair[i].cert, cert) == 0 &&
            X509_cmp(issued->pair[i].issuer, issuer) == 0)
            return true;
    return false;
}

int x509_issued_check(const struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert,
                      X509 *issuer, struct cofre_err *err)
{
    return issued && is_known(issued, scheme, cert, issuer) ? 0
                                                            : x509_check_issued(scheme, cert, issuer, err);
}

static void forget(struct x509_issued *issued, size_t i)
{
    X509_free(issued->pair[i].cert);
    X509_free(issued->pair[i].issuer);
}

void x509_issued_add(struct x509_issued *issued, const struct x509_scheme *scheme, X509 *cert, X509 *issuer)
{
    if (is_known(issued, scheme, cert, issuer))
        return;
    X509_up_ref(cert);
    X509_up_ref(issuer);
    size_t i = issued->count < X509_ISSUED_MAX ? issued->count++ : issued->oldest++ % X509_ISSUED_MAX;
    forget(issued, i);
    issued->pair[i].scheme = scheme;
    issued->pair[i].cert = cert;
    issued->pair[i].issuer = issuer;
}

void x509_issued_free(struct x509_issued *issued)
{
    while (issued->count)
        forget(issued, --issued->count);
}
