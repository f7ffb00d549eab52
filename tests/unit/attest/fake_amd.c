#include "tests/unit/attest/fake_amd.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sev/ecdsa.h"

struct fake_keys fake_keys;

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
                                     .from = FAKE_NOW - FAKE_YEAR,
                                     .to = FAKE_NOW + FAKE_YEAR,
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
                               .organisation = "Fake Micro Devices",
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

static void add_integer(X509 *cert, const char *oid, int value)
{
    uint8_t der[16], *p = der;
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    MUST(ASN1_INTEGER_set(number, value));
    fake_add_raw(cert, oid, 0, der, i2d_ASN1_INTEGER(number, &p));
    ASN1_INTEGER_free(number);
}

static void add_text(X509 *cert, const char *oid, const char *text)
{
    uint8_t der[128] = {V_ASN1_IA5STRING, (uint8_t)strlen(text)};
    memcpy(der + 2, text, strlen(text));
    fake_add_raw(cert, oid, 0, der, 2 + (int)strlen(text));
}

#define ARC "1.3.6.1.4.1.3704.1."

static bool is_raw(const struct fake_leaf *leaf, const char *oid)
{
    return leaf->raw_oid && strcmp(leaf->raw_oid, oid) == 0;
}

static void add_leaf(X509 *cert, const void *arg)
{
    const struct fake_leaf *leaf = arg;
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
        fake_add_raw(cert, ARC "4", 0, leaf->hwid_tagged ? hwid : leaf->hwid,
                     leaf->hwid_len + (leaf->hwid_tagged ? 2 : 0));
    if (leaf->csp_id)
        add_text(cert, ARC "5", leaf->csp_id);
    if (leaf->raw_oid)
        fake_add_raw(cert, leaf->raw_oid, 0, leaf->raw_value, leaf->raw_len);
}

void fake_report_sign(struct fake *f)
{
    struct view message = {(const uint8_t *)&f->report, SNP_REPORT_SIGNED_BYTES};
    MUST(snp_ecdsa_sign(&f->report.signature, f->signing_key, message, NULL) == 0);
}

int fake_appraise(struct verdict *out, struct fake *f, struct cofre_err *err)
{
    CLEAN_CERTS certs = {0}, roots = {0};
    CLEAN_CRLS crls = {0};
    CLEAN_EVIDENCE evidence = {.tee = "snp"};
    CLEAN_POLICY policy;
    for (int i = 0; i < FAKE_CERTS; i++) {
        X509 *cert = fake_cert_make(&f->cert[i], i == FAKE_LEAF ? add_leaf : NULL, &f->leaf);
        if (!f->left_out[i])
            fake_add_der(&certs, cert);
        if (i == FAKE_ARK && f->trust_root)
            fake_add_der(&roots, cert);
        X509_free(cert);
    }
    if (f->crl.given)
        crls.crl[crls.count++] = fake_crl_make(&f->crl, EVP_sha384());
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
                           .issued = f->issued,
                           .references = f->references,
                           .service = f->service,
                           .roots = &roots,
                           .nonce = f->nonce,
                           .report_data = f->report_data,
                           .measurement = f->measurement,
                           .at = f->at};
    return appraise(out, &in, err);
}
