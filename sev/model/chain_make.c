#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sev/model/chain.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/key_dir.h"
#include "vmm/base/x509_make.h"

#define CA_YEARS  25
#define KEY_YEARS 7
#define YEAR      (365 * 24 * 3600L)
#define PSS_SALT  48

static int failed(const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "OpenSSL could not make %s of the emulated chain", what);
}

/* AMD's names, but for the organisation: nobody is to take this for AMD's. */
static const struct x509_make_name amd_name[] = {
    {"OU", "Engineering"},         {"C", "US"},  {"L", "Santa Clara"}, {"ST", "CA"},
    {"O", X509_MAKE_ORGANISATION}, {"CN", NULL}, {NULL, NULL}};

static bool begin_pss(EVP_MD_CTX *md, EVP_PKEY *key)
{
    EVP_PKEY_CTX *pctx;
    return EVP_DigestSignInit(md, &pctx, EVP_sha384(), NULL, key) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, PSS_SALT) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, EVP_sha384()) == 1;
}

static bool add_ca_extensions(X509 *x, X509 *issuer)
{
    bool root = !issuer;
    return x509_make_extension(x, issuer, NID_subject_key_identifier, "hash") &&
           (root || x509_make_extension(x, issuer, NID_authority_key_identifier, "keyid:always")) &&
           x509_make_extension(x, issuer, NID_basic_constraints,
                               root ? "critical,CA:TRUE" : "critical,CA:TRUE,pathlen:0") &&
           x509_make_extension(x, issuer, NID_key_usage,
                               root ? "critical,keyCertSign,cRLSign" : "critical,keyCertSign");
}

/* AMD's extensions hang under 1.3.6.1.4.1.3704.1; the value is DER, or for the chip id its bare bytes. */
static bool add_raw(X509 *x, const char *arc, const uint8_t *value, int len)
{
    char oid[64];
    snprintf(oid, sizeof oid, "1.3.6.1.4.1.3704.1.%s", arc);
    return x509_make_raw_extension(x, oid, value, (size_t)len);
}

static bool add_integer(X509 *x, const char *arc, long value)
{
    CLEAN(asn1) ASN1_INTEGER *integer = ASN1_INTEGER_new();
    uint8_t der[16], *p = der;
    if (!integer || !ASN1_INTEGER_set(integer, value) || i2d_ASN1_INTEGER(integer, NULL) > (int)sizeof der)
        return false;
    int len = i2d_ASN1_INTEGER(integer, &p);
    return add_raw(x, arc, der, len);
}

static bool add_text(X509 *x, const char *arc, const char *value)
{
    CLEAN(asn1) ASN1_IA5STRING *text = ASN1_IA5STRING_new();
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

/* name: "ark" for ark.pem and ark.key. */
static int write_cert(const char *dir, const char *name, const struct x509_draft *d, X509 *x,
                      struct cofre_err *err)
{
    char file[32];
    snprintf(file, sizeof file, "%s.pem", name);
    int rc = key_dir_write_cert(dir, file, x, err);
    snprintf(file, sizeof file, "%s.key", name);
    return rc < 0 ? rc : key_dir_write_key(dir, file, d->key, err);
}

/* The certificate of an authority; *out is the caller's, also where an error follows. */
static int make_ca(X509 **out, const char *dir, const char *name, const struct x509_draft *d,
                   struct cofre_err *err)
{
    *out = x509_make_begin(d);
    if (!*out || !add_ca_extensions(*out, d->issuer) || !x509_make_sign(*out, d->issuer_key, begin_pss))
        return failed(d->common, err);
    return write_cert(dir, name, d, *out, err);
}

static int make_leaf(const char *dir, const char *name, const struct x509_draft *d,
                     const struct psp_product *chip, const uint8_t *chip_id, bool vlek, struct cofre_err *err)
{
    CLEAN(x509) X509 *x = x509_make_begin(d);
    if (!x || !add_leaf_extensions(x, chip, chip_id, vlek) || !x509_make_sign(x, d->issuer_key, begin_pss))
        return failed(d->common, err);
    return write_cert(dir, name, d, x, err);
}

/* Nothing is revoked; the list is current for as long as the leaf certificates are. */
static int make_crl(const char *dir, X509 *ark, EVP_PKEY *key, struct cofre_err *err)
{
    int64_t now = time(NULL);
    CLEAN(crl) X509_CRL *crl = x509_make_crl(ark, key, now - 3600, now + KEY_YEARS * YEAR, false, begin_pss);
    return crl ? key_dir_write_crl(dir, "crl.pem", crl, err) : failed("the CRL", err);
}

static int make_leaves(const char *dir, const struct psp_product *chip, X509 *ask, EVP_PKEY *ask_key,
                       X509 *asvk, EVP_PKEY *asvk_key, struct cofre_err *err)
{
    uint8_t chip_id[64] = {0};
    CLEAN(pkey) EVP_PKEY *vcek_key = EVP_EC_gen("P-384"), *vlek_key = EVP_EC_gen("P-384");
    if (!vcek_key || !vlek_key || RAND_bytes(chip_id, (int)chip->hwid_len) != 1)
        return failed("keys", err);
    const struct x509_draft vcek = {"SEV-VCEK", amd_name, 0, KEY_YEARS, vcek_key, ask, ask_key},
                            vlek = {"SEV-VLEK", amd_name, 0, KEY_YEARS, vlek_key, asvk, asvk_key};
    int rc = make_leaf(dir, "vcek", &vcek, chip, chip_id, false, err);
    if (rc == 0)
        rc = make_leaf(dir, "vlek", &vlek, chip, chip_id, true, err);
    /* last: it says that the rest is there */
    return rc < 0 ? rc : key_dir_write_hex(dir, "chip_id", chip_id, sizeof chip_id, err);
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
    const struct x509_draft ark_draft = {ark_name, amd_name, 65536, CA_YEARS, ark_key, NULL, ark_key};
    int rc = make_ca(&ark, dir, "ark", &ark_draft, err);
    const struct x509_draft ask_draft = {ask_name, amd_name, 65537, CA_YEARS, ask_key, ark, ark_key},
                            asvk_draft = {asvk_name, amd_name, 65538, CA_YEARS, asvk_key, ark, ark_key};
    if (rc == 0)
        rc = make_ca(&ask, dir, "ask", &ask_draft, err);
    if (rc == 0)
        rc = make_ca(&asvk, dir, "asvk", &asvk_draft, err);
    if (rc == 0)
        rc = make_crl(dir, ark, ark_key, err);
    return rc < 0 ? rc : make_leaves(dir, chip, ask, ask_key, asvk, asvk_key, err);
}
