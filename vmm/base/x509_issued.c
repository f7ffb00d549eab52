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

static void forget_list(struct x509_issued *issued, size_t i)
{
    X509_CRL_free(issued->list[i].crl);
    X509_free(issued->list[i].issuer);
}

bool x509_issued_is_by(struct x509_issued *issued, const struct x509_scheme *scheme, X509_CRL *crl,
                       X509 *issuer)
{
    for (size_t i = 0; issued && i < issued->lists; i++)
        if (issued->list[i].crl == crl && issued->list[i].scheme == scheme &&
            (issued->list[i].issuer == issuer || X509_cmp(issued->list[i].issuer, issuer) == 0))
            return true;
    if (!x509_crl_is_by(scheme, crl, issuer))
        return false;
    if (!issued)
        return true;
    X509_CRL_up_ref(crl);
    X509_up_ref(issuer);
    size_t i = issued->lists < X509_CRLS_MAX ? issued->lists++ : issued->oldest_list++ % X509_CRLS_MAX;
    forget_list(issued, i);
    issued->list[i].scheme = scheme;
    issued->list[i].crl = crl;
    issued->list[i].issuer = issuer;
    return true;
}

void x509_issued_free(struct x509_issued *issued)
{
    while (issued->count)
        forget(issued, --issued->count);
    while (issued->lists)
        forget_list(issued, --issued->lists);
}
