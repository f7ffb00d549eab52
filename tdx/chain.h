/*
 * Intel's certificates for attestation: the SGX Root CA, which signs itself, over the PCK Platform or Processor CA, over
 * PCK certificates; and over the TCB Signing certificate, whose key signs collateral (Intel SGX PCK Certificate and CRL
 * Profile Specification). All keys are of P-256, all signatures ECDSA with SHA-256.
 */
#ifndef COFRE_TDX_CHAIN_H
#define COFRE_TDX_CHAIN_H

#include "vmm/base/x509.h"

extern const struct x509_scheme tdx_scheme;

/* What a certificate's common name says that it is; the chain decides whether it says so rightly. */
enum tdx_role {
    TDX_ROLE_OTHER,
    TDX_ROLE_ROOT,         /* CN Intel SGX Root CA */
    TDX_ROLE_PLATFORM_CA,  /* CN Intel SGX PCK Platform CA */
    TDX_ROLE_PROCESSOR_CA, /* CN Intel SGX PCK Processor CA */
    TDX_ROLE_PCK,          /* CN Intel SGX PCK Certificate */
    TDX_ROLE_TCB_SIGNING,  /* CN Intel SGX TCB Signing */
};
enum tdx_role tdx_cert_role(X509 *cert);
const char *tdx_role_name(enum tdx_role role);

/* The root's public key is Intel's (by SHA-384 of its SubjectPublicKeyInfo). */
bool tdx_root_is_intel(X509 *root);

/* Borrowed from the bags that it was built from; members are NULL where nothing there fits by name. */
struct tdx_chain {
    X509 *leaf, *intermediate, *root;
};
/* From a PCK certificate up: issuers by name, and of several with the name one whose key made the signature. trusted: roots
 * given by hand. */
void tdx_chain_build(struct tdx_chain *out, X509 *leaf, const struct x509_certs *certs,
                     const struct x509_certs *trusted);

#endif
