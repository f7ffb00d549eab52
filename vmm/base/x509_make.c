#include "vmm/base/x509_make.h"

#include <openssl/x509v3.h>

#include "vmm/base/clean_openssl.h"

#define YEAR (365 * 24 * 3600L)
#define HOUR 3600L

static X509_NAME *name_of(const struct x509_draft *draft)
{
    X509_NAME *name = X509_NAME_new();
    bool ok = name;
    for (const struct x509_make_name *part = draft->name; ok && part->field; part++) {
        const char *value = part->value ? part->value : draft->common;
        ok = X509_NAME_add_entry_by_txt(name, part->field, MBSTRING_ASC, (const uint8_t *)value, -1, -1, 0);
    }
    if (ok)
        return name;
    X509_NAME_free(name);
    return NULL;
}

X509 *x509_make_begin(const struct x509_draft *draft)
{
    CLEAN(x509) X509 *x = X509_new();
    CLEAN(name) X509_NAME *subject = name_of(draft);
    if (!x || !subject || !X509_set_version(x, X509_VERSION_3) ||
        !ASN1_INTEGER_set(X509_get_serialNumber(x), draft->serial) ||
        !X509_gmtime_adj(X509_getm_notBefore(x), -HOUR) ||
        !X509_gmtime_adj(X509_getm_notAfter(x), draft->years * YEAR) || !X509_set_subject_name(x, subject) ||
        !X509_set_issuer_name(x, draft->issuer ? X509_get_subject_name(draft->issuer) : subject) ||
        !X509_set_pubkey(x, draft->key))
        return NULL;
    X509 *made = x;
    x = NULL;
    return made;
}

bool x509_make_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer ? issuer : cert, cert, NULL, NULL, 0);
    CLEAN(ext) X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    return ext && X509_add_ext(cert, ext, -1);
}

bool x509_make_raw_extension(X509 *cert, const char *oid, const uint8_t *value, size_t len)
{
    CLEAN(obj) ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    CLEAN(asn1) ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    if (!object || !octets || !ASN1_OCTET_STRING_set(octets, value, (int)len))
        return false;
    CLEAN(ext) X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets);
    return ext && X509_add_ext(cert, ext, -1);
}

bool x509_make_sign(X509 *cert, EVP_PKEY *key, x509_make_signer signer)
{
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    return md && signer(md, key) && X509_sign_ctx(cert, md) > 0;
}

static bool add_key_identifier(X509_CRL *crl, X509 *issuer)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
    CLEAN(ext)
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    return ext && X509_CRL_add_ext(crl, ext, -1);
}

X509_CRL *x509_make_crl(X509 *issuer, EVP_PKEY *key, int64_t from, int64_t to, bool key_identifier,
                        x509_make_signer signer)
{
    CLEAN(crl) X509_CRL *crl = X509_CRL_new();
    CLEAN(asn1) ASN1_TIME *last = ASN1_TIME_set(NULL, from);
    CLEAN(asn1) ASN1_TIME *next = ASN1_TIME_set(NULL, to);
    CLEAN(asn1) ASN1_INTEGER *number = ASN1_INTEGER_new();
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!crl || !last || !next || !number || !md || !X509_CRL_set_version(crl, X509_CRL_VERSION_2) ||
        !X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)) ||
        !X509_CRL_set1_lastUpdate(crl, last) || !X509_CRL_set1_nextUpdate(crl, next) ||
        !ASN1_INTEGER_set(number, 1) || !X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) ||
        (key_identifier && !add_key_identifier(crl, issuer)) || !signer(md, key) ||
        X509_CRL_sign_ctx(crl, md) <= 0)
        return NULL;
    X509_CRL *made = crl;
    crl = NULL;
    return made;
}
