#include "vmm/base/x509.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "vmm/base/x509_issued.h"

void x509_certs_free(struct x509_certs *certs)
{
    for (size_t i = 0; i < certs->count; i++)
        X509_free(certs->cert[i]);
    certs->count = 0;
}

void x509_crls_free(struct x509_crls *crls)
{
    for (size_t i = 0; i < crls->count; i++)
        X509_CRL_free(crls->crl[i]);
    crls->count = 0;
}

/* What a bag takes: certificates or CRLs. take decodes one DER value at *p, advances *p, and adds it. */
struct kind {
    const char *noun, *pem_name;
    int (*take)(void *bag, const uint8_t **p, size_t len, struct cofre_err *err);
};

/* The way back shows what the decoder forgave: only one encoding of a value is DER. */
static bool is_canonical(uint8_t *again, int again_len, const uint8_t *der, const uint8_t *end)
{
    bool same = again_len > 0 && again_len == end - der && memcmp(again, der, (size_t)again_len) == 0;
    OPENSSL_free(again);
    return same;
}

/* Certificates on their way into a bag. */
struct incoming {
    struct x509_certs *certs;
    const struct x509_certs *const *known; /* ended by NULL */
    const struct x509_issued *issued;      /* may be NULL */
};

/* A certificate ends with its signature, which tells it apart before it is encoded to be compared. */
static bool has_encoding(const X509 *cert, const uint8_t *der, size_t len)
{
    const ASN1_BIT_STRING *signature;
    uint8_t *encoded = NULL;
    X509_get0_signature(&signature, NULL, cert);
    size_t tail = (size_t)ASN1_STRING_length(signature);
    if (tail > len || memcmp(der + len - tail, ASN1_STRING_get0_data(signature), tail) != 0)
        return false;
    int encoded_len = i2d_X509((X509 *)cert, &encoded);
    return is_canonical(encoded, encoded_len, der, der + len);
}

static X509 *find_known(const struct incoming *in, const uint8_t *der, size_t len)
{
    for (const struct x509_certs *const *known = in->known; *known; known++)
        for (size_t i = 0; i < (*known)->count; i++)
            if (has_encoding((*known)->cert[i], der, len))
                return (*known)->cert[i];
    for (size_t i = 0; in->issued && i < in->issued->count; i++)
        if (has_encoding(in->issued->pair[i].cert, der, len))
            return in->issued->pair[i].cert;
    return NULL;
}

static X509 *decode_cert(const struct incoming *in, const uint8_t **p, size_t len)
{
    X509 *known = find_known(in, *p, len);
    if (!known || X509_up_ref(known) != 1)
        return d2i_X509(NULL, p, (long)len);
    *p += len;
    return known;
}

static int take_cert(void *bag, const uint8_t **p, size_t len, struct cofre_err *err)
{
    const struct incoming *in = bag;
    struct x509_certs *certs = in->certs;
    const uint8_t *der = *p;
    uint8_t *again = NULL;
    X509 *cert = decode_cert(in, p, len);
    int again_len = cert ? i2d_X509(cert, &again) : 0;
    int rc = 0;
    if (!is_canonical(again, again_len, der, *p))
        rc = cofre_fail(err, COFRE_MALFORMED, "not a certificate in DER");
    else if (certs->count == X509_CERTS_MAX)
        rc = cofre_fail(err, COFRE_MALFORMED, "more than %d certificates", X509_CERTS_MAX);
    if (rc == 0)
        certs->cert[certs->count++] = cert;
    else
        X509_free(cert);
    return rc;
}

static int take_crl(void *bag, const uint8_t **p, size_t len, struct cofre_err *err)
{
    struct x509_crls *crls = bag;
    const uint8_t *der = *p;
    uint8_t *again = NULL;
    X509_CRL *crl = d2i_X509_CRL(NULL, p, (long)len);
    int again_len = crl ? i2d_X509_CRL(crl, &again) : 0;
    int rc = 0;
    if (!is_canonical(again, again_len, der, *p))
        rc = cofre_fail(err, COFRE_MALFORMED, "not a certificate revocation list in DER");
    else if (crls->count == X509_CRLS_MAX)
        rc = cofre_fail(err, COFRE_MALFORMED, "more than %d revocation lists", X509_CRLS_MAX);
    if (rc == 0)
        crls->crl[crls->count++] = crl;
    else
        X509_CRL_free(crl);
    return rc;
}

static const struct kind certificates = {"certificate", PEM_STRING_X509, take_cert};
static const struct kind revocation_lists = {"revocation list", PEM_STRING_X509_CRL, take_crl};

static int take_all_der(const struct kind *kind, void *bag, struct view file, struct cofre_err *err)
{
    const uint8_t *p = file.data, *end = file.data + file.len;
    int rc = p < end ? 0 : cofre_fail(err, COFRE_MALFORMED, "no %s in it", kind->noun);
    while (rc == 0 && p < end) {
        size_t at = (size_t)(p - file.data);
        rc = kind->take(bag, &p, (size_t)(end - p), err);
        if (rc < 0)
            cofre_within(err, rc, "at byte %zu", at);
    }
    return rc;
}

static bool is_blank(const char *text, long len)
{
    for (long i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || text[i] == 0)
            return false;
    return true;
}

/* One PEM block; anything but the kind looked for is refused, so that no part of a file is silently left out. */
static int take_pem_block(const struct kind *kind, void *bag, BIO *bio, struct cofre_err *err)
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    int rc;
    if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
        rc = cofre_fail(err, COFRE_MALFORMED, "a PEM block in it is damaged or cut");
    else if (strcmp(name, kind->pem_name) != 0 || *header)
        rc = cofre_fail(err, COFRE_MALFORMED, "a PEM block \"%.40s\" in it is no %s", name, kind->noun);
    else {
        const uint8_t *p = der;
        rc = kind->take(bag, &p, (size_t)len, err);
        if (rc == 0 && p != der + len)
            rc = cofre_fail(err, COFRE_MALFORMED, "bytes after the end of a %s", kind->noun);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    return rc;
}

static int take_all_pem(const struct kind *kind, void *bag, struct view file, struct cofre_err *err)
{
    BIO *bio = BIO_new_mem_buf(file.data, (int)file.len);
    if (!bio)
        return cofre_fail(err, COFRE_FAILED, "no memory for a file of %zu bytes", file.len);
    int rc;
    char *rest;
    long len;
    do {
        rc = take_pem_block(kind, bag, bio, err);
        len = BIO_get_mem_data(bio, &rest);
    } while (rc == 0 && !is_blank(rest, len));
    BIO_free(bio);
    return rc;
}

static int take_all(const struct kind *kind, void *bag, struct view file, struct cofre_err *err)
{
    if (file.len > (1u << 20))
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes are too many for a %s file", file.len, kind->noun);
    bool pem = file.data && memmem(file.data, file.len, "-----BEGIN", 10);
    int rc = pem ? take_all_pem(kind, bag, file, err) : take_all_der(kind, bag, file, err);
    ERR_clear_error();
    return rc;
}

static int add_certs(struct incoming *in, struct view file, struct cofre_err *err)
{
    struct x509_certs *certs = in->certs;
    size_t before = certs->count;
    int rc = take_all(&certificates, in, file, err);
    while (rc < 0 && certs->count > before)
        X509_free(certs->cert[--certs->count]);
    return rc;
}

int x509_certs_add_known(struct x509_certs *certs, struct view file, const struct x509_certs *const *known,
                         struct cofre_err *err)
{
    return add_certs(&(struct incoming){certs, known, NULL}, file, err);
}

int x509_certs_add_issued(struct x509_certs *certs, struct view file, const struct x509_issued *issued,
                          struct cofre_err *err)
{
    return add_certs(&(struct incoming){certs, (const struct x509_certs *const[]){NULL}, issued}, file, err);
}

int x509_certs_add(struct x509_certs *certs, struct view file, struct cofre_err *err)
{
    return x509_certs_add_issued(certs, file, NULL, err);
}

int x509_crls_add(struct x509_crls *crls, struct view file, struct cofre_err *err)
{
    size_t before = crls->count;
    int rc = take_all(&revocation_lists, crls, file, err);
    while (rc < 0 && crls->count > before)
        X509_CRL_free(crls->crl[--crls->count]);
    return rc;
}

int x509_certs_join(struct x509_certs *certs, const struct x509_certs *others, struct cofre_err *err)
{
    if (others->count > X509_CERTS_MAX - certs->count)
        return cofre_fail(err, COFRE_MALFORMED, "more than %d certificates", X509_CERTS_MAX);
    for (size_t i = 0; i < others->count; i++) {
        X509_up_ref(others->cert[i]);
        certs->cert[certs->count++] = others->cert[i];
    }
    return 0;
}

int x509_crls_join(struct x509_crls *crls, const struct x509_crls *others, struct cofre_err *err)
{
    if (others->count > X509_CRLS_MAX - crls->count)
        return cofre_fail(err, COFRE_MALFORMED, "more than %d revocation lists", X509_CRLS_MAX);
    for (size_t i = 0; i < others->count; i++) {
        X509_CRL_up_ref(others->crl[i]);
        crls->crl[crls->count++] = others->crl[i];
    }
    return 0;
}

bool x509_certs_have(const struct x509_certs *certs, X509 *cert)
{
    for (size_t i = 0; i < certs->count; i++)
        if (X509_cmp(certs->cert[i], cert) == 0)
            return true;
    return false;
}

size_t x509_common_name(char out[128], X509 *cert)
{
    const X509_NAME *name = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    out[0] = 0;
    if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
        return 0;
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    int len = ASN1_STRING_length(value);
    if (len <= 0 || len > 127 || memchr(ASN1_STRING_get0_data(value), 0, (size_t)len))
        return 0;
    memcpy(out, ASN1_STRING_get0_data(value), (size_t)len);
    out[len] = 0;
    return (size_t)len;
}

void x509_name(char out[128], X509 *cert)
{
    if (x509_common_name(out, cert) == 0)
        X509_NAME_oneline(X509_get_subject_name(cert), out, 128);
    for (char *p = out; *p; p++) /* names are the attester's words: nothing of them reaches a terminal raw */
        if (*p < ' ' || *p > '~')
            *p = '?';
}

static bool name_has_word(const X509_NAME *name, const char *word)
{
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
        if (memmem(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), word, strlen(word)))
            return true;
    }
    return false;
}

bool x509_is_emulated(X509 *cert)
{
    return name_has_word(X509_get_subject_name(cert), "EMULATED") ||
           name_has_word(X509_get_issuer_name(cert), "EMULATED");
}

bool x509_key_digest(uint8_t out[48], X509 *cert)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool hashed = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha384(), NULL) == 1;
    OPENSSL_free(der);
    return hashed;
}
