/* Certificates of a made-up authority, and such that are no good. */
#ifndef COFRE_TESTS_HOST_AUTHORITY_H
#define COFRE_TESTS_HOST_AUTHORITY_H

#include <openssl/types.h>

/* usage NULL: of an authority. issuer NULL: it is its own. */
X509 *authority_certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                            const char *usage);
enum house_fault { FAULT_NONE, FAULT_STRANGER, FAULT_EXPIRED, FAULT_FOR_SERVERS, FAULT_NO_SUBJECT, FAULTS };
X509 *authority_client(X509 *ca, EVP_PKEY *ca_key, const char *who, EVP_PKEY *key, enum house_fault fault);

#endif
