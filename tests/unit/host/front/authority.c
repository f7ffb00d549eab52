#include "tests/unit/host/front/authority.h"

#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/base/x509_make.h"

static bool sign(EVP_MD_CTX *md, EVP_PKEY *key)
{
    return EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1;
}

X509 *authority_certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                            const char *usage)
{
    static long serial = 1;
    const struct x509_make_name names[] = {{"CN", NULL}, {NULL, NULL}};
    const struct x509_draft draft = {.common = name,
                                     .name = names,
                                     .serial = serial++,
                                     .years = 1,
                                     .key = key,
                                     .issuer = issuer,
                                     .issuer_key = issuer_key};
    X509 *cert = x509_make_begin(&draft);
    assert_non_null(cert);
    if (usage) {
        assert_true(x509_make_extension(cert, issuer, NID_ext_key_usage, usage));
        assert_true(x509_make_extension(cert, issuer, NID_subject_alt_name, "DNS:localhost"));
    } else
        assert_true(x509_make_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE"));
    assert_true(x509_make_sign(cert, issuer_key ? issuer_key : key, sign));
    return cert;
}

X509 *authority_client(X509 *ca, EVP_PKEY *ca_key, const char *who, EVP_PKEY *key, enum house_fault fault)
{
    EVP_PKEY *other_key = EVP_EC_gen("P-256");
    X509 *other = authority_certificate("authority", other_key, NULL, NULL, NULL);
    X509 *cert = authority_certificate(who, key, fault == FAULT_STRANGER ? other : ca,
                                       fault == FAULT_STRANGER ? other_key : ca_key,
                                       fault == FAULT_FOR_SERVERS ? "serverAuth" : "clientAuth");
    if (fault == FAULT_EXPIRED)
        assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), -60));
    if (fault == FAULT_NO_SUBJECT)
        X509_NAME_ENTRY_free(X509_NAME_delete_entry(X509_get_subject_name(cert), 0));
    if (fault == FAULT_EXPIRED || fault == FAULT_NO_SUBJECT)
        assert_true(x509_make_sign(cert, ca_key, sign));
    X509_free(other);
    EVP_PKEY_free(other_key);
    return cert;
}
