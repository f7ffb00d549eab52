/* Cleanup by scope for OpenSSL's objects: CLEAN(x509) X509 *x = X509_new(); */
#ifndef COFRE_BASE_CLEAN_OPENSSL_H
#define COFRE_BASE_CLEAN_OPENSSL_H

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define CLEAN_OPENSSL_(name, type, release)                                                                  \
    static inline void clean_openssl_##name(type **p)                                                        \
    {                                                                                                        \
        release(*p);                                                                                         \
    }
CLEAN_OPENSSL_(asn1, ASN1_STRING, ASN1_STRING_free) /* every type of ASN.1 that is a string to OpenSSL */
CLEAN_OPENSSL_(bio, BIO, BIO_free_all)
CLEAN_OPENSSL_(crl, X509_CRL, X509_CRL_free)
CLEAN_OPENSSL_(ext, X509_EXTENSION, X509_EXTENSION_free)
CLEAN_OPENSSL_(md, EVP_MD_CTX, EVP_MD_CTX_free)
CLEAN_OPENSSL_(name, X509_NAME, X509_NAME_free)
CLEAN_OPENSSL_(obj, ASN1_OBJECT, ASN1_OBJECT_free)
CLEAN_OPENSSL_(pkey, EVP_PKEY, EVP_PKEY_free)
CLEAN_OPENSSL_(x509, X509, X509_free)

#define CLEAN(kind) __attribute__((cleanup(clean_openssl_##kind)))

#endif
