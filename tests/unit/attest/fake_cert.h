/* Certificates and revocation lists for tests, each detail of which a test can make wrong before it is built. */
#ifndef COFRE_TESTS_FAKE_CERT_H
#define COFRE_TESTS_FAKE_CERT_H

#include <openssl/types.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/x509.h"

#define FAKE_NOW  1700000000 /* 2023-11-14T22:13:20Z */
#define FAKE_YEAR (365 * 86400)

/* A test that cannot make its data is no test. */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A certificate to be made. */
struct fake_cert {
    const char *cn, *issuer_cn, *organisation;
    EVP_PKEY *key, *issuer_key;
    int64_t from, to;
    long serial;
    const char *basic_constraints, *key_usage; /* OpenSSL's configuration text; NULL: none */
    bool pkcs1;                                /* signs by PKCS#1 v1.5 instead of PSS */
    const EVP_MD *digest;
    int salt;
    const char *twice;        /* an extension that is there twice: an OID */
    const char *key_id_of_cn; /* NULL: no authority key identifier; else 20 bytes made of that text */
    const char *critical;     /* an unknown critical extension: an OID */
};

struct fake_crl {
    bool given;
    const char *issuer_cn, *organisation;
    EVP_PKEY *key;
    int64_t from, to;
    long revoked_serial; /* 0: none */
    bool scoped;         /* says that it is of user certificates alone, critically */
    bool pkcs1;
};

/* extend (NULL: nothing) adds a vendor's extensions before the certificate is signed. */
X509 *fake_cert_make(const struct fake_cert *draft, void (*extend)(X509 *cert, const void *arg),
                     const void *arg);
X509_CRL *fake_crl_make(const struct fake_crl *draft, const EVP_MD *digest);

void fake_add_raw(X509 *cert, const char *oid, int critical, const uint8_t *value, int len);
/* Through DER, as they come from files. */
void fake_add_der(struct x509_certs *to, X509 *cert);

#endif
