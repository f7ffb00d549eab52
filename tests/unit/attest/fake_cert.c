#include "tests/unit/attest/fake_cert.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

static X509_NAME *name_of(const char *cn, const char *organisation)
{
    X509_NAME *name = X509_NAME_new();
    MUST(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)organisation, -1, -1, 0));
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0));
    return name;
}

void fake_add_raw(X509 *cert, const char *oid, int critical, const uint8_t *value, int len)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    MUST(object && octets && ASN1_OCTET_STRING_set(octets, value, len));
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, object, critical, octets);
    MUST(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(object);
}

static void add_config(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    MUST(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static EVP_MD_CTX *begin_signature(EVP_PKEY *key, const EVP_MD *digest, bool pkcs1, int salt)
{
    EVP_PKEY_CTX *ctx;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    MUST(EVP_DigestSignInit(md, &ctx, digest, NULL, key) == 1);
    if (!pkcs1 && EVP_PKEY_is_a(key, "RSA"))
        MUST(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) == 1);
    return md;
}

static void key_id(uint8_t out[20], const char *cn)
{
    for (size_t i = 0; i < 20; i++)
        out[i] = (uint8_t)cn[i % strlen(cn)];
}

static void add_common(X509 *cert, const struct fake_cert *d)
{
    static const uint8_t null[] = {5, 0};
    uint8_t id[24] = {0x30, 0x16, 0x80, 0x14}, own[22] = {4, 20};
    if (d->basic_constraints)
        add_config(cert, NID_basic_constraints, d->basic_constraints);
    if (d->key_usage)
        add_config(cert, NID_key_usage, d->key_usage);
    key_id(own + 2, d->cn);
    if (d->basic_constraints)
        fake_add_raw(cert, "2.5.29.14", 0, own, sizeof own);
    if (d->key_id_of_cn) {
        key_id(id + 4, d->key_id_of_cn);
        fake_add_raw(cert, "2.5.29.35", 0, id, sizeof id);
    }
    for (int i = 0; d->twice && i < 2; i++)
        fake_add_raw(cert, d->twice, 0, null, sizeof null);
    if (d->critical)
        fake_add_raw(cert, d->critical, 1, null, sizeof null);
}

static X509 *make_cert(const struct fake_cert *d, void (*extend)(X509 *cert, const void *arg),
                       const void *arg)
{
    X509 *cert = X509_new();
    X509_NAME *subject = name_of(d->cn, d->organisation), *issuer = name_of(d->issuer_cn, d->organisation);
    MUST(X509_set_version(cert, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(cert), d->serial) &&
         ASN1_TIME_set(X509_getm_notBefore(cert), d->from) &&
         ASN1_TIME_set(X509_getm_notAfter(cert), d->to) && X509_set_subject_name(cert, subject) &&
         X509_set_issuer_name(cert, issuer) && X509_set_pubkey(cert, d->key));
    add_common(cert, d);
    if (extend)
        extend(cert, arg);
    EVP_MD_CTX *md = begin_signature(d->issuer_key, d->digest, d->pkcs1, d->salt);
    MUST(X509_sign_ctx(cert, md) > 0);
    EVP_MD_CTX_free(md);
    X509_NAME_free(subject);
    X509_NAME_free(issuer);
    return cert;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_draft(const struct fake_cert *a, const struct fake_cert *b)
{
    return same_text(a->cn, b->cn) && same_text(a->issuer_cn, b->issuer_cn) &&
           same_text(a->organisation, b->organisation) && a->key == b->key &&
           a->issuer_key == b->issuer_key && a->from == b->from && a->to == b->to && a->serial == b->serial &&
           same_text(a->basic_constraints, b->basic_constraints) && same_text(a->key_usage, b->key_usage) &&
           a->pkcs1 == b->pkcs1 && a->digest == b->digest && a->salt == b->salt &&
           same_text(a->twice, b->twice) && same_text(a->key_id_of_cn, b->key_id_of_cn) &&
           same_text(a->critical, b->critical);
}

/* Signatures have something random in them, and a root is trusted byte for byte: each is made once. */
static X509 *made_before(const struct fake_cert *d)
{
    static struct {
        struct fake_cert draft;
        X509 *cert;
    } made[512];
    static size_t count;
    for (size_t i = 0; i < count; i++)
        if (same_draft(&made[i].draft, d)) {
            X509_up_ref(made[i].cert);
            return made[i].cert;
        }
    MUST(count < sizeof made / sizeof *made);
    made[count].draft = *d;
    made[count].cert = make_cert(d, NULL, NULL);
    X509_up_ref(made[count].cert);
    return made[count++].cert;
}

X509 *fake_cert_make(const struct fake_cert *d, void (*extend)(X509 *cert, const void *arg), const void *arg)
{
    return extend ? make_cert(d, extend, arg) : made_before(d);
}

X509_CRL *fake_crl_make(const struct fake_crl *d, const EVP_MD *digest)
{
    X509_CRL *crl = X509_CRL_new();
    X509_NAME *issuer = name_of(d->issuer_cn, d->organisation);
    ASN1_TIME *from = ASN1_TIME_set(NULL, d->from), *to = ASN1_TIME_set(NULL, d->to);
    MUST(X509_CRL_set_version(crl, X509_CRL_VERSION_2) && X509_CRL_set_issuer_name(crl, issuer) &&
         X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, to));
    if (d->revoked_serial) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_new();
        MUST(ASN1_INTEGER_set(serial, d->revoked_serial) && X509_REVOKED_set_serialNumber(revoked, serial) &&
             X509_REVOKED_set_revocationDate(revoked, from) && X509_CRL_add0_revoked(crl, revoked));
        ASN1_INTEGER_free(serial);
    }
    if (d->scoped) {
        X509_EXTENSION *ext =
            X509V3_EXT_conf_nid(NULL, NULL, NID_issuing_distribution_point, "critical,onlyuser:TRUE");
        MUST(ext && X509_CRL_add_ext(crl, ext, -1));
        X509_EXTENSION_free(ext);
    }
    EVP_MD_CTX *md = begin_signature(d->key, digest, d->pkcs1, 48);
    MUST(X509_CRL_sign_ctx(crl, md) > 0);
    EVP_MD_CTX_free(md);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_NAME_free(issuer);
    return crl;
}

void fake_add_der(struct x509_certs *to, X509 *cert)
{
    uint8_t *der = NULL;
    struct cofre_err err = {""};
    int len = i2d_X509(cert, &der);
    MUST(len > 0);
    if (x509_certs_add(to, (struct view){der, (size_t)len}, &err) < 0)
        fprintf(stderr, "a certificate of the test is refused: %s\n", err.text);
    OPENSSL_free(der);
}
