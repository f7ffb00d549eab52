#include <limits.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sev/model/chain.h"
#include "vmm/base/file.h"

#define CLEANUP(name, type, release)                                                                         \
    static void cleanup_##name(type **p)                                                                     \
    {                                                                                                        \
        release(*p);                                                                                         \
    }
CLEANUP(pkey, EVP_PKEY, EVP_PKEY_free)
CLEANUP(x509, X509, X509_free)
CLEANUP(crl, X509_CRL, X509_CRL_free)
CLEANUP(md, EVP_MD_CTX, EVP_MD_CTX_free)
CLEANUP(bio, BIO, BIO_free_all)
CLEANUP(ext, X509_EXTENSION, X509_EXTENSION_free)
CLEANUP(obj, ASN1_OBJECT, ASN1_OBJECT_free)
CLEANUP(octets, ASN1_OCTET_STRING, ASN1_OCTET_STRING_free)
CLEANUP(string, ASN1_STRING, ASN1_STRING_free)
CLEANUP(name, X509_NAME, X509_NAME_free)
#define CLEAN(kind) __attribute__((cleanup(cleanup_##kind)))

#define YEAR      (365 * 24 * 3600L)
#define CA_YEARS  25
#define KEY_YEARS 7
#define PSS_SALT  48

static int failed(const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "OpenSSL could not make %s of the emulated chain", what);
}

/* AMD's names, but for the organisation: nobody is to take this for AMD's. */
static X509_NAME *name_of(const char *common)
{
    static const struct {
        const char *field, *value;
    } parts[] = {
        {"OU", "Engineering"}, {"C", "US"}, {"L", "Santa Clara"}, {"ST", "CA"}, {"O", "EMULATED by Cofre"}};
    X509_NAME *name = X509_NAME_new();
    bool ok = name;
    for (size_t i = 0; ok && i < sizeof parts / sizeof *parts; i++)
        ok = X509_NAME_add_entry_by_txt(name, parts[i].field, MBSTRING_ASC, (const uint8_t *)parts[i].value,
                                        -1, -1, 0);
    if (ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)common, -1, -1, 0))
        return name;
    X509_NAME_free(name);
    return NULL;
}

/* One certificate to be made. issuer NULL: self-signed. */
struct draft {
    const char *file; /* "ark": ark.pem and ark.key */
    const char *common;
    long serial;
    long years;
    EVP_PKEY *key;
    X509 *issuer;
    EVP_PKEY *issuer_key;
};

static X509 *begin(const struct draft *d)
{
    CLEAN(x509) X509 *x = X509_new();
    CLEAN(name) X509_NAME *subject = name_of(d->common);
    if (!x || !subject || !X509_set_version(x, X509_VERSION_3) ||
        !ASN1_INTEGER_set(X509_get_serialNumber(x), d->serial) ||
        !X509_gmtime_adj(X509_getm_notBefore(x), -3600) ||
        !X509_gmtime_adj(X509_getm_notAfter(x), d->years * YEAR) || !X509_set_subject_name(x, subject) ||
        !X509_set_issuer_name(x, d->issuer ? X509_get_subject_name(d->issuer) : subject) ||
        !X509_set_pubkey(x, d->key))
        return NULL;
    X509 *made = x;
    x = NULL;
    return made;
}

static bool begin_pss(EVP_MD_CTX *md, EVP_PKEY *key)
{
    EVP_PKEY_CTX *pctx;
    return md && EVP_DigestSignInit(md, &pctx, EVP_sha384(), NULL, key) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, PSS_SALT) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, EVP_sha384()) == 1;
}

static bool sign(X509 *x, EVP_PKEY *key)
{
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    return begin_pss(md, key) && X509_sign_ctx(x, md) > 0;
}

static bool add_config(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
    CLEAN(ext) X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    return ext && X509_add_ext(x, ext, -1);
}

static bool add_ca_extensions(X509 *x, X509 *issuer)
{
    bool root = !issuer;
    return add_config(x, issuer, NID_subject_key_identifier, "hash") &&
           (root || add_config(x, issuer, NID_authority_key_identifier, "keyid:always")) &&
           add_config(x, issuer, NID_basic_constraints,
                      root ? "critical,CA:TRUE" : "critical,CA:TRUE,pathlen:0") &&
           add_config(x, issuer, NID_key_usage,
                      root ? "critical,keyCertSign,cRLSign" : "critical,keyCertSign");
}

/* AMD's extensions hang under 1.3.6.1.4.1.3704.1; the value is DER, or for the chip id its bare bytes. */
static bool add_raw(X509 *x, const char *arc, const uint8_t *value, int len)
{
    char oid[64];
    snprintf(oid, sizeof oid, "1.3.6.1.4.1.3704.1.%s", arc);
    CLEAN(obj) ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    CLEAN(octets) ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    if (!object || !octets || !ASN1_OCTET_STRING_set(octets, value, len))
        return false;
    CLEAN(ext) X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets);
    return ext && X509_add_ext(x, ext, -1);
}

static bool add_integer(X509 *x, const char *arc, long value)
{
    CLEAN(string) ASN1_INTEGER *integer = ASN1_INTEGER_new();
    uint8_t der[16], *p = der;
    if (!integer || !ASN1_INTEGER_set(integer, value) || i2d_ASN1_INTEGER(integer, NULL) > (int)sizeof der)
        return false;
    int len = i2d_ASN1_INTEGER(integer, &p);
    return add_raw(x, arc, der, len);
}

static bool add_text(X509 *x, const char *arc, const char *value)
{
    CLEAN(string) ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    uint8_t der[64], *p = der;
    if (!text || !ASN1_STRING_set(text, value, -1) || i2d_ASN1_IA5STRING(text, NULL) > (int)sizeof der)
        return false;
    int len = i2d_ASN1_IA5STRING(text, &p);
    return add_raw(x, arc, der, len);
}

static bool add_tcb(X509 *x, const struct psp_product *chip)
{
    static const char *const arcs[SNP_TCB_COMPONENTS] = {"3.9", "3.1", "3.2", "3.3", "3.8"};
    static const char *const reserved[] = {"3.4", "3.5", "3.6", "3.7"};
    bool ok = true;
    for (int i = 0; ok && i < SNP_TCB_COMPONENTS; i++)
        ok = snp_tcb_byte(chip->product, i) < 0 || add_integer(x, arcs[i], chip->tcb.svn[i]);
    for (size_t i = 0; ok && i < sizeof reserved / sizeof *reserved; i++)
        ok = add_integer(x, reserved[i], 0);
    return ok;
}

static bool add_leaf_extensions(X509 *x, const struct psp_product *chip, const uint8_t *chip_id, bool vlek)
{
    bool turin = chip->product == SNP_PRODUCT_TURIN;
    return add_integer(x, "1", turin) &&
           add_text(x, "2", vlek ? snp_product_name(chip->product) : chip->name) && add_tcb(x, chip) &&
           (vlek ? add_text(x, "5", PSP_CSP_ID) : add_raw(x, "4", chip_id, (int)chip->hwid_len));
}

static int write_bio(const char *dir, const char *file, const char *suffix, BIO *bio, struct cofre_err *err)
{
    char path[PATH_MAX], *data;
    long len = BIO_get_mem_data(bio, &data);
    if (snprintf(path, sizeof path, "%s/%s%s", dir, file, suffix) >= (int)sizeof path)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long", dir);
    return file_write(path, (struct view){(uint8_t *)data, (size_t)len}, 0600, err);
}

static int write_cert(const char *dir, const struct draft *d, X509 *x, struct cofre_err *err)
{
    CLEAN(bio) BIO *pem = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
    if (!pem || !key || PEM_write_bio_X509(pem, x) != 1 ||
        PEM_write_bio_PrivateKey(key, d->key, NULL, NULL, 0, NULL, NULL) != 1)
        return failed(d->common, err);
    int rc = write_bio(dir, d->file, ".pem", pem, err);
    return rc < 0 ? rc : write_bio(dir, d->file, ".key", key, err);
}

/* The certificate of an authority; *out is the caller's, also where an error follows. */
static int make_ca(X509 **out, const char *dir, const struct draft *d, struct cofre_err *err)
{
    *out = begin(d);
    if (!*out || !add_ca_extensions(*out, d->issuer) || !sign(*out, d->issuer_key))
        return failed(d->common, err);
    return write_cert(dir, d, *out, err);
}

static int make_leaf(const char *dir, const struct draft *d, const struct psp_product *chip,
                     const uint8_t *chip_id, bool vlek, struct cofre_err *err)
{
    CLEAN(x509) X509 *x = begin(d);
    if (!x || !add_leaf_extensions(x, chip, chip_id, vlek) || !sign(x, d->issuer_key))
        return failed(d->common, err);
    return write_cert(dir, d, x, err);
}

/* Nothing is revoked; the list is current for as long as the leaf certificates are. */
static int make_crl(const char *dir, X509 *ark, EVP_PKEY *key, struct cofre_err *err)
{
    CLEAN(crl) X509_CRL *crl = X509_CRL_new();
    CLEAN(string)
    ASN1_TIME *from = X509_gmtime_adj(NULL, -3600), *to = X509_gmtime_adj(NULL, KEY_YEARS * YEAR);
    CLEAN(string) ASN1_INTEGER *number = ASN1_INTEGER_new();
    CLEAN(md) EVP_MD_CTX *md = EVP_MD_CTX_new();
    CLEAN(bio) BIO *pem = BIO_new(BIO_s_mem());
    if (!crl || !from || !to || !number || !pem || !X509_CRL_set_version(crl, X509_CRL_VERSION_2) ||
        !X509_CRL_set_issuer_name(crl, X509_get_subject_name(ark)) || !X509_CRL_set1_lastUpdate(crl, from) ||
        !X509_CRL_set1_nextUpdate(crl, to) || !ASN1_INTEGER_set(number, 1) ||
        !X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) || !begin_pss(md, key) ||
        X509_CRL_sign_ctx(crl, md) <= 0 || PEM_write_bio_X509_CRL(pem, crl) != 1)
        return failed("the CRL", err);
    return write_bio(dir, "crl", ".pem", pem, err);
}

/* Written last: it says that the rest is there. */
static int write_chip_id(const char *dir, const uint8_t chip_id[64], struct cofre_err *err)
{
    char text[130];
    CLEAN(bio) BIO *bio = BIO_new(BIO_s_mem());
    hex_encode(text, chip_id, 64);
    if (!bio || BIO_printf(bio, "%s\n", text) <= 0)
        return failed("the chip id", err);
    return write_bio(dir, "chip_id", "", bio, err);
}

static int make_leaves(const char *dir, const struct psp_product *chip, X509 *ask, EVP_PKEY *ask_key,
                       X509 *asvk, EVP_PKEY *asvk_key, struct cofre_err *err)
{
    uint8_t chip_id[64] = {0};
    CLEAN(pkey) EVP_PKEY *vcek_key = EVP_EC_gen("P-384"), *vlek_key = EVP_EC_gen("P-384");
    if (!vcek_key || !vlek_key || RAND_bytes(chip_id, (int)chip->hwid_len) != 1)
        return failed("keys", err);
    int rc = make_leaf(dir, &(struct draft){"vcek", "SEV-VCEK", 0, KEY_YEARS, vcek_key, ask, ask_key}, chip,
                       chip_id, false, err);
    if (rc == 0)
        rc = make_leaf(dir, &(struct draft){"vlek", "SEV-VLEK", 0, KEY_YEARS, vlek_key, asvk, asvk_key}, chip,
                       chip_id, true, err);
    return rc < 0 ? rc : write_chip_id(dir, chip_id, err);
}

int psp_chain_make(const char *dir, const struct psp_product *chip, struct cofre_err *err)
{
    char ark_name[32], ask_name[32], asvk_name[32];
    snprintf(ark_name, sizeof ark_name, "ARK-%s", snp_product_name(chip->product));
    snprintf(ask_name, sizeof ask_name, "SEV-%s", snp_product_name(chip->product));
    snprintf(asvk_name, sizeof asvk_name, "SEV-VLEK-%s", snp_product_name(chip->product));
    CLEAN(pkey)
    EVP_PKEY *ark_key = EVP_RSA_gen(4096), *ask_key = EVP_RSA_gen(4096), *asvk_key = EVP_RSA_gen(4096);
    CLEAN(x509) X509 *ark = NULL, *ask = NULL, *asvk = NULL;
    if (!ark_key || !ask_key || !asvk_key)
        return failed("keys", err);
    int rc =
        make_ca(&ark, dir, &(struct draft){"ark", ark_name, 65536, CA_YEARS, ark_key, NULL, ark_key}, err);
    if (rc == 0)
        rc =
            make_ca(&ask, dir, &(struct draft){"ask", ask_name, 65537, CA_YEARS, ask_key, ark, ark_key}, err);
    if (rc == 0)
        rc = make_ca(&asvk, dir, &(struct draft){"asvk", asvk_name, 65538, CA_YEARS, asvk_key, ark, ark_key},
                     err);
    if (rc == 0)
        rc = make_crl(dir, ark, ark_key, err);
    return rc < 0 ? rc : make_leaves(dir, chip, ask, ask_key, asvk, asvk_key, err);
}
