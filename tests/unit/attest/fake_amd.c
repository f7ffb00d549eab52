#include "tests/unit/attest/fake_amd.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/ecdsa.h"

#define YEAR (365 * 86400)

struct fake_keys fake_keys;

/* A test that cannot make its data is no test. */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

void fake_keys_make(void)
{
    struct fake_keys *k = &fake_keys;
    MUST(k->ark = EVP_RSA_gen(4096));
    MUST(k->ask = EVP_RSA_gen(4096));
    MUST(k->other = EVP_RSA_gen(4096));
    MUST(k->leaf = EVP_EC_gen("P-384"));
    MUST(k->other_leaf = EVP_EC_gen("P-384"));
    MUST(k->p256 = EVP_EC_gen("P-256"));
    MUST(k->leaf_compressed = EVP_PKEY_dup(k->leaf));
    MUST(EVP_PKEY_set_utf8_string_param(k->leaf_compressed, "point-format", "compressed") == 1);
}

void fake_keys_free(void)
{
    EVP_PKEY **keys = (EVP_PKEY **)&fake_keys;
    for (size_t i = 0; i < sizeof fake_keys / sizeof *keys; i++)
        EVP_PKEY_free(keys[i]);
}

static const struct {
    const char *ark, *ask, *asvk, *product_name;
    uint8_t family, model;
} lines[SNP_PRODUCT_COUNT] = {
    [SNP_PRODUCT_MILAN] = {"ARK-Milan", "SEV-Milan", "SEV-VLEK-Milan", "Milan-B0", 0x19, 0x01},
    [SNP_PRODUCT_GENOA] = {"ARK-Genoa", "SEV-Genoa", "SEV-VLEK-Genoa", "Genoa-B1", 0x19, 0x11},
    [SNP_PRODUCT_TURIN] = {"ARK-Turin", "SEV-Turin", "SEV-VLEK-Turin", "Turin-C1", 0x1a, 0x02},
};

static void init_certs(struct fake *f, enum snp_product product)
{
    const struct fake_cert common = {.organisation = "Fake Micro Devices",
                                     .from = FAKE_NOW - YEAR,
                                     .to = FAKE_NOW + YEAR,
                                     .digest = EVP_sha384(),
                                     .salt = 48};
    for (int i = 0; i < FAKE_CERTS; i++) {
        f->cert[i] = common;
        f->cert[i].serial = 65536 + i;
        f->cert[i].issuer_cn = i == FAKE_LEAF ? lines[product].ask : lines[product].ark;
        f->cert[i].issuer_key = i == FAKE_LEAF ? fake_keys.ask : fake_keys.ark;
    }
    f->cert[FAKE_ARK].cn = lines[product].ark;
    f->cert[FAKE_ARK].key = fake_keys.ark;
    f->cert[FAKE_ARK].basic_constraints = "critical,CA:TRUE";
    f->cert[FAKE_ARK].key_usage = "critical,keyCertSign,cRLSign";
    f->cert[FAKE_ASK].cn = lines[product].ask;
    f->cert[FAKE_ASK].key = fake_keys.ask;
    f->cert[FAKE_ASK].basic_constraints = "critical,CA:TRUE,pathlen:0";
    f->cert[FAKE_ASK].key_usage = "critical,keyCertSign";
    f->cert[FAKE_LEAF].cn = "SEV-VCEK";
    f->cert[FAKE_LEAF].key = fake_keys.leaf;
}

void fake_set_tcb(struct fake *f, const struct snp_tcb *tcb)
{
    enum snp_product product = fake_product(f);
    uint64_t raw = snp_tcb_encode(tcb, product);
    f->report.current_tcb = f->report.reported_tcb = f->report.committed_tcb = f->report.launch_tcb = raw;
    f->leaf.svn[0] = tcb->svn[SNP_TCB_BOOT_LOADER];
    f->leaf.svn[1] = tcb->svn[SNP_TCB_TEE];
    f->leaf.svn[2] = tcb->svn[SNP_TCB_SNP];
    f->leaf.svn[7] = tcb->svn[SNP_TCB_MICROCODE];
    f->leaf.svn[8] = product == SNP_PRODUCT_TURIN ? tcb->svn[SNP_TCB_FMC] : -1;
}

enum snp_product fake_product(const struct fake *f)
{
    return snp_product_named(f->leaf.product_name, strcspn(f->leaf.product_name, "-"));
}

void fake_init(struct fake *f, enum snp_product product, uint32_t version)
{
    *f = (struct fake){.signing_key = fake_keys.leaf, .trust_root = true, .at = FAKE_NOW};
    init_certs(f, product);
    f->leaf = (struct fake_leaf){.structure = product == SNP_PRODUCT_TURIN,
                                 .product_name = lines[product].product_name,
                                 .hwid_len = product == SNP_PRODUCT_TURIN ? 8 : 64};
    f->crl = (struct fake_crl){.issuer_cn = lines[product].ark,
                               .key = fake_keys.ark,
                               .from = FAKE_NOW - 86400,
                               .to = FAKE_NOW + 86400};
    struct snp_report *r = &f->report;
    r->version = version;
    r->policy = SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT | 0x0133;
    r->platform_info = SNP_PLATFORM_SMT_EN | SNP_PLATFORM_ECC_EN;
    r->signature_algo = SNP_ALGO_ECDSA_P384_SHA384;
    r->guest_svn = 7;
    memset(r->measurement, 0x11, sizeof r->measurement);
    memset(r->report_data, 0x22, 32); /* a nonce of 32 bytes, then zeros */
    memset(r->host_data, 0x33, sizeof r->host_data);
    memset(r->id_key_digest, 0x44, sizeof r->id_key_digest);
    memset(r->report_id, 0x55, sizeof r->report_id);
    memset(r->report_id_ma, 0xff, sizeof r->report_id_ma);
    memset(r->family_id, 0x66, sizeof r->family_id);
    memset(r->image_id, 0x77, sizeof r->image_id);
    if (version >= SNP_REPORT_HAS_CPUID) {
        r->cpuid_fam_id = lines[product].family;
        r->cpuid_mod_id = lines[product].model;
        r->cpuid_step = 1;
    }
    if (version >= SNP_REPORT_HAS_VECTORS)
        r->launch_mit_vector = r->current_mit_vector = 0x3;
    r->current_major = r->committed_major = 1;
    r->current_minor = r->committed_minor = 55;
    r->current_build = r->committed_build = 21;
    for (int i = 0; i < f->leaf.hwid_len; i++)
        f->leaf.hwid[i] = r->chip_id[i] = (uint8_t)(i + 1);
    fake_set_tcb(f, &(struct snp_tcb){{product == SNP_PRODUCT_TURIN ? 1 : 0, 4, 2, 24, 0xd5}});
}

void fake_use_vlek(struct fake *f)
{
    enum snp_product product = fake_product(f);
    f->report.flags |= SNP_SIGNING_KEY_VLEK << 2;
    f->cert[FAKE_ASK].cn = f->cert[FAKE_LEAF].issuer_cn = lines[product].asvk;
    f->cert[FAKE_LEAF].cn = "SEV-VLEK";
    f->leaf.hwid_len = 0;
    f->leaf.csp_id = "fake-csp";
    f->leaf.product_name = snp_product_name(product);
}

static X509_NAME *name_of(const char *cn, const char *organisation)
{
    X509_NAME *name = X509_NAME_new();
    MUST(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)organisation, -1, -1, 0));
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0));
    return name;
}

static void add_raw(X509 *cert, const char *oid, int critical, const uint8_t *value, int len)
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

static void add_integer(X509 *cert, const char *oid, int value)
{
    uint8_t der[16], *p = der;
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    MUST(ASN1_INTEGER_set(number, value));
    add_raw(cert, oid, 0, der, i2d_ASN1_INTEGER(number, &p));
    ASN1_INTEGER_free(number);
}

static void add_text(X509 *cert, const char *oid, const char *text)
{
    uint8_t der[128] = {V_ASN1_IA5STRING, (uint8_t)strlen(text)};
    memcpy(der + 2, text, strlen(text));
    add_raw(cert, oid, 0, der, 2 + (int)strlen(text));
}

#define ARC "1.3.6.1.4.1.3704.1."

static bool is_raw(const struct fake_leaf *leaf, const char *oid)
{
    return leaf->raw_oid && strcmp(leaf->raw_oid, oid) == 0;
}

static void add_leaf(X509 *cert, const struct fake_leaf *leaf)
{
    if (leaf->structure >= 0)
        add_integer(cert, ARC "1", leaf->structure);
    if (leaf->product_name)
        add_text(cert, ARC "2", leaf->product_name);
    for (int i = 0; i < 9; i++) {
        char oid[40];
        (void)snprintf(oid, sizeof oid, ARC "3.%d", i + 1);
        if (leaf->svn[i] >= 0 && !is_raw(leaf, oid))
            add_integer(cert, oid, leaf->svn[i]);
    }
    uint8_t hwid[66] = {V_ASN1_OCTET_STRING, (uint8_t)leaf->hwid_len};
    memcpy(hwid + 2, leaf->hwid, sizeof leaf->hwid);
    if (leaf->hwid_len)
        add_raw(cert, ARC "4", 0, leaf->hwid_tagged ? hwid : leaf->hwid,
                leaf->hwid_len + (leaf->hwid_tagged ? 2 : 0));
    if (leaf->csp_id)
        add_text(cert, ARC "5", leaf->csp_id);
    if (leaf->raw_oid)
        add_raw(cert, leaf->raw_oid, 0, leaf->raw_value, leaf->raw_len);
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
        add_raw(cert, "2.5.29.14", 0, own, sizeof own);
    if (d->key_id_of_cn) {
        key_id(id + 4, d->key_id_of_cn);
        add_raw(cert, "2.5.29.35", 0, id, sizeof id);
    }
    for (int i = 0; d->twice && i < 2; i++)
        add_raw(cert, d->twice, 0, null, sizeof null);
    if (d->critical)
        add_raw(cert, d->critical, 1, null, sizeof null);
}

X509 *fake_cert_make(const struct fake_cert *d, const struct fake_leaf *leaf)
{
    X509 *cert = X509_new();
    X509_NAME *subject = name_of(d->cn, d->organisation), *issuer = name_of(d->issuer_cn, d->organisation);
    MUST(X509_set_version(cert, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(cert), d->serial) &&
         ASN1_TIME_set(X509_getm_notBefore(cert), d->from) &&
         ASN1_TIME_set(X509_getm_notAfter(cert), d->to) && X509_set_subject_name(cert, subject) &&
         X509_set_issuer_name(cert, issuer) && X509_set_pubkey(cert, d->key));
    add_common(cert, d);
    if (leaf)
        add_leaf(cert, leaf);
    EVP_MD_CTX *md = begin_signature(d->issuer_key, d->digest, d->pkcs1, d->salt);
    MUST(X509_sign_ctx(cert, md) > 0);
    EVP_MD_CTX_free(md);
    X509_NAME_free(subject);
    X509_NAME_free(issuer);
    return cert;
}

static X509_CRL *make_crl(const struct fake_crl *d)
{
    X509_CRL *crl = X509_CRL_new();
    X509_NAME *issuer = name_of(d->issuer_cn, "Fake Micro Devices");
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
    EVP_MD_CTX *md = begin_signature(d->key, EVP_sha384(), d->pkcs1, 48);
    MUST(X509_CRL_sign_ctx(crl, md) > 0);
    EVP_MD_CTX_free(md);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_NAME_free(issuer);
    return crl;
}

void fake_report_sign(struct fake *f)
{
    struct view message = {(const uint8_t *)&f->report, SNP_REPORT_SIGNED_BYTES};
    MUST(snp_ecdsa_sign(&f->report.signature, f->signing_key, message, NULL) == 0);
}

/* Through DER, as they come from files. */
static void add_der(struct x509_certs *to, X509 *cert)
{
    uint8_t *der = NULL;
    struct cofre_err err = {""};
    int len = i2d_X509(cert, &der);
    MUST(len > 0);
    if (x509_certs_add(to, (struct view){der, (size_t)len}, &err) < 0)
        fprintf(stderr, "a certificate of the test is refused: %s\n", err.text);
    OPENSSL_free(der);
}

int fake_appraise(struct verdict *out, struct fake *f, struct cofre_err *err)
{
    CLEAN_CERTS certs = {0}, roots = {0};
    CLEAN_CRLS crls = {0};
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_POLICY policy;
    for (int i = 0; i < FAKE_CERTS; i++) {
        X509 *cert = fake_cert_make(&f->cert[i], i == FAKE_LEAF ? &f->leaf : NULL);
        if (!f->left_out[i])
            add_der(&certs, cert);
        if (i == FAKE_ARK && f->trust_root)
            add_der(&roots, cert);
        X509_free(cert);
    }
    if (f->crl.given)
        crls.crl[crls.count++] = make_crl(&f->crl);
    fake_report_sign(f);
    if (f->tamper)
        f->tamper(f);
    MUST(bytes_copy(&evidence.report, (struct view){(const uint8_t *)&f->report, sizeof f->report}, NULL) ==
         0);
    const char *text = f->policy ? f->policy : "{}";
    int rc = policy_parse(&policy, (struct view){(const uint8_t *)text, strlen(text)}, err);
    if (rc < 0)
        return rc;
    struct appraisal in = {.evidence = &evidence,
                           .policy = &policy,
                           .certs = &certs,
                           .crls = &crls,
                           .roots = &roots,
                           .nonce = f->nonce,
                           .report_data = f->report_data,
                           .measurement = f->measurement,
                           .at = f->at};
    return appraise(out, &in, err);
}
