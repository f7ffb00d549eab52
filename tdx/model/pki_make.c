#include <openssl/conf.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tdx/model/pki.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/key_dir.h"
#include "vmm/base/x509_make.h"

#define ROOT_YEARS 25
#define CA_YEARS   15
#define KEY_YEARS  7

/* ".invalid" never resolves (RFC 2606): nobody is to fetch the emulated platform's lists. */
#define ROOT_CRL_URL "URI:https://emulated.invalid/IntelSGXRootCA.der"
#define PCK_CRL_URL  "URI:https://emulated.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der"

/* Intel's extension of a PCK certificate, and what is in it. */
#define SGX_OID "1.2.840.113741.1.13.1"

static const struct x509_make_name intel_name[] = {{"CN", NULL},         {"O", X509_MAKE_ORGANISATION},
                                                   {"L", "Santa Clara"}, {"ST", "CA"},
                                                   {"C", "US"},          {NULL, NULL}};

bool tdx_pki_signer(EVP_MD_CTX *md, EVP_PKEY *key)
{
    return EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1;
}

static int failed(const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "OpenSSL could not make %s of the emulated TDX platform", what);
}

/*
 * DER of the SGX extension, written by OpenSSL's generator from its own notation: a sequence of pairs, an object
 * identifier and a value. A TCB component is an INTEGER.
 */
struct der_text {
    char text[8192];
    size_t len;
};

static void add(struct der_text *der, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct der_text *der, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(der->text + der->len, sizeof der->text - der->len, format, args);
    va_end(args);
    if (n > 0)
        der->len += (size_t)n;
}

static void add_pair(struct der_text *der, const char *name, const char *arc, const char *value)
{
    add(der, "[%s]\noid=OID:" SGX_OID ".%s\nvalue=%s\n", name, arc, value);
}

static void add_octets(struct der_text *der, const char *name, const char *arc, const uint8_t *data,
                       size_t len)
{
    char value[64] = "FORMAT:HEX,OCTETSTRING:";
    hex_encode(value + strlen(value), data, len);
    add_pair(der, name, arc, value);
}

static void add_tcb(struct der_text *der)
{
    char name[16], arc[16], value[32];
    add_pair(der, "tcb", "2", "SEQUENCE:components");
    for (int i = 0; i < TDX_SVNS + 1; i++) {
        snprintf(name, sizeof name, "svn%d", i);
        snprintf(arc, sizeof arc, "2.%d", i + 1);
        snprintf(value, sizeof value, "INTEGER:%d",
                 i < TDX_SVNS ? tdx_emulated_cpu_svn[i] : TDX_EMULATED_PCE_SVN);
        add_pair(der, name, arc, value);
    }
    add_octets(der, "cpusvn", "2.18", tdx_emulated_cpu_svn, TDX_SVNS);
    add(der, "[components]\n");
    for (int i = 0; i < TDX_SVNS + 1; i++)
        add(der, "c%d=SEQUENCE:svn%d\n", i, i);
    add(der, "c%d=SEQUENCE:cpusvn\n", TDX_SVNS + 1);
}

static void describe(struct der_text *der, const struct tdx_processor *processor)
{
    add(der, "[sgx]\na=SEQUENCE:ppid\nb=SEQUENCE:tcb\nc=SEQUENCE:pceid\nd=SEQUENCE:fmspc\n"
             "e=SEQUENCE:type\nf=SEQUENCE:instance\ng=SEQUENCE:configuration\n");
    add_octets(der, "ppid", "1", processor->ppid, sizeof processor->ppid);
    add_tcb(der);
    add_octets(der, "pceid", "3", tdx_emulated_pce_id, sizeof tdx_emulated_pce_id);
    add_octets(der, "fmspc", "4", tdx_emulated_fmspc, sizeof tdx_emulated_fmspc);
    add_pair(der, "type", "5", "ENUMERATED:1"); /* scalable */
    add_octets(der, "instance", "6", processor->platform_instance, sizeof processor->platform_instance);
    add_pair(der, "configuration", "7", "SEQUENCE:flags");
    add_pair(der, "dynamic", "7.1", "BOOLEAN:TRUE");
    add_pair(der, "cached", "7.2", "BOOLEAN:TRUE");
    add_pair(der, "smt", "7.3", "BOOLEAN:TRUE");
    add(der, "[flags]\na=SEQUENCE:dynamic\nb=SEQUENCE:cached\nc=SEQUENCE:smt\n");
}

static void free_conf(CONF **conf)
{
    NCONF_free(*conf);
}

static bool add_sgx_extension(X509 *x, const struct tdx_processor *processor)
{
    struct der_text text = {.len = 0};
    long line;
    unsigned char *der = NULL;
    describe(&text, processor);
    CLEAN(bio) BIO *bio = BIO_new_mem_buf(text.text, (int)text.len);
    __attribute__((cleanup(free_conf))) CONF *conf = NCONF_new(NULL);
    if (text.len >= sizeof text.text || !bio || !conf || NCONF_load_bio(conf, bio, &line) != 1)
        return false;
    ASN1_TYPE *value = ASN1_generate_nconf("SEQUENCE:sgx", conf);
    int len = value ? i2d_ASN1_TYPE(value, &der) : -1;
    bool ok = len > 0 && x509_make_raw_extension(x, SGX_OID, der, (size_t)len);
    OPENSSL_free(der);
    ASN1_TYPE_free(value);
    return ok;
}

static bool add_ca_extensions(X509 *x, X509 *issuer)
{
    return x509_make_extension(x, issuer, NID_subject_key_identifier, "hash") &&
           x509_make_extension(x, issuer, NID_authority_key_identifier, "keyid:always") &&
           x509_make_extension(x, issuer, NID_crl_distribution_points, ROOT_CRL_URL) &&
           x509_make_extension(x, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           x509_make_extension(x, issuer, NID_basic_constraints,
                               issuer ? "critical,CA:TRUE,pathlen:0" : "critical,CA:TRUE,pathlen:1");
}

static bool add_leaf_extensions(X509 *x, X509 *issuer, const char *crl_url)
{
    return x509_make_extension(x, issuer, NID_subject_key_identifier, "hash") &&
           x509_make_extension(x, issuer, NID_authority_key_identifier, "keyid:always") &&
           x509_make_extension(x, issuer, NID_crl_distribution_points, crl_url) &&
           x509_make_extension(x, issuer, NID_key_usage, "critical,digitalSignature,nonRepudiation") &&
           x509_make_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE");
}

static int save(const char *dir, const char *name, X509 *x, EVP_PKEY *key, struct cofre_err *err)
{
    char file[32];
    snprintf(file, sizeof file, "%s.pem", name);
    int rc = key_dir_write_cert(dir, file, x, err);
    snprintf(file, sizeof file, "%s.key", name);
    return rc < 0 ? rc : key_dir_write_key(dir, file, key, err);
}

/* *out is the caller's, also where an error follows. */
static int make_ca(X509 **out, const char *dir, const char *name, const struct x509_draft *d,
                   struct cofre_err *err)
{
    *out = x509_make_begin(d);
    if (!*out || !add_ca_extensions(*out, d->issuer) || !x509_make_sign(*out, d->issuer_key, tdx_pki_signer))
        return failed(d->common, err);
    return save(dir, name, *out, d->key, err);
}

/* processor: a PCK certificate's; NULL for the one that signs collateral. */
static int make_leaf(const char *dir, const char *name, const struct x509_draft *d,
                     const struct tdx_processor *processor, struct cofre_err *err)
{
    CLEAN(x509) X509 *x = x509_make_begin(d);
    if (!x || !add_leaf_extensions(x, d->issuer, processor ? PCK_CRL_URL : ROOT_CRL_URL) ||
        (processor && !add_sgx_extension(x, processor)) || !x509_make_sign(x, d->issuer_key, tdx_pki_signer))
        return failed(d->common, err);
    return save(dir, name, x, d->key, err);
}

static int make_processor(const char *dir, X509 *ca, EVP_PKEY *ca_key, struct cofre_err *err)
{
    struct tdx_processor processor;
    CLEAN(pkey) EVP_PKEY *pck_key = EVP_EC_gen("P-256");
    CLEAN(pkey) EVP_PKEY *attestation_key = EVP_EC_gen("P-256");
    if (!pck_key || !attestation_key || RAND_priv_bytes((uint8_t *)&processor, sizeof processor) != 1)
        return failed("keys", err);
    const struct x509_draft pck = {
        "Intel SGX PCK Certificate", intel_name, 4, KEY_YEARS, pck_key, ca, ca_key};
    int rc = make_leaf(dir, "tdx-pck", &pck, &processor, err);
    if (rc == 0)
        rc = key_dir_write_key(dir, "tdx-attestation.key", attestation_key, err);
    if (rc == 0) /* last: it says that the rest is there */
        rc = key_dir_write_hex(dir, "tdx-processor", (const uint8_t *)&processor, sizeof processor, err);
    OPENSSL_cleanse(&processor, sizeof processor);
    return rc;
}

int tdx_pki_make(const char *dir, void *unused, struct cofre_err *err)
{
    (void)unused;
    CLEAN(pkey) EVP_PKEY *root_key = EVP_EC_gen("P-256");
    CLEAN(pkey) EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    CLEAN(pkey) EVP_PKEY *tcb_key = EVP_EC_gen("P-256");
    CLEAN(x509) X509 *root = NULL;
    CLEAN(x509) X509 *ca = NULL;
    if (!root_key || !ca_key || !tcb_key)
        return failed("keys", err);
    const struct x509_draft root_draft = {
        "Intel SGX Root CA", intel_name, 1, ROOT_YEARS, root_key, NULL, root_key};
    int rc = make_ca(&root, dir, "tdx-root", &root_draft, err);
    const struct x509_draft
        ca_draft = {"Intel SGX PCK Platform CA", intel_name, 2, CA_YEARS, ca_key, root, root_key},
        tcb_draft = {"Intel SGX TCB Signing", intel_name, 3, KEY_YEARS, tcb_key, root, root_key};
    if (rc == 0)
        rc = make_ca(&ca, dir, "tdx-platform-ca", &ca_draft, err);
    if (rc == 0)
        rc = make_leaf(dir, "tdx-tcb-signing", &tcb_draft, NULL, err);
    return rc < 0 ? rc : make_processor(dir, ca, ca_key, err);
}
