/* Certificates and revocation lists that are made here, for the emulated platforms: their names all say EMULATED. */
#ifndef COFRE_BASE_X509_MAKE_H
#define COFRE_BASE_X509_MAKE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define X509_MAKE_ORGANISATION "EMULATED by Cofre"

/* How to sign: an EVP_MD_CTX that EVP_DigestSignInit has been called for, with its padding; false where that failed. */
typedef bool (*x509_make_signer)(EVP_MD_CTX *md, EVP_PKEY *key);

/* Fields of a name in their order, to a NULL field; the value NULL stands for the draft's common name. */
struct x509_make_name {
    const char *field, *value;
};

struct x509_draft {
    const char *common;
    const struct x509_make_name *name;
    long serial, years;
    EVP_PKEY *key; /* public or private */
    X509 *issuer;  /* NULL: self-signed */
    EVP_PKEY *issuer_key;
};

/* Version 3, valid from an hour ago; NULL where OpenSSL fails. Extensions and the signature follow. */
X509 *x509_make_begin(const struct x509_draft *draft);
/* In OpenSSL's configuration syntax: "critical,CA:TRUE". */
bool x509_make_extension(X509 *cert, X509 *issuer, int nid, const char *value);
/* The extension's value as it is. */
bool x509_make_raw_extension(X509 *cert, const char *oid, const uint8_t *value, size_t len);
bool x509_make_sign(X509 *cert, EVP_PKEY *key, x509_make_signer signer);

/* Revokes nothing. Times are seconds since 1970; key_identifier: the issuer's goes into it. NULL where OpenSSL fails. */
X509_CRL *x509_make_crl(X509 *issuer, EVP_PKEY *key, int64_t from, int64_t to, bool key_identifier,
                        x509_make_signer signer);

#endif
