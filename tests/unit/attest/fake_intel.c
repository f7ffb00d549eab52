#include "tests/unit/attest/fake_intel.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "tdx/collateral.h"

struct fake_intel_keys fake_intel_keys;

void fake_intel_keys_make(void)
{
    struct fake_intel_keys *k = &fake_intel_keys;
    EVP_PKEY **p256[] = {&k->intel.root,  &k->intel.ca, &k->intel.tcb_signing, &k->intel.other, &k->pck,
                         &k->attestation, &k->other};
    for (size_t i = 0; i < sizeof p256 / sizeof *p256; i++)
        MUST(*p256[i] = EVP_EC_gen("P-256"));
    MUST(k->p384 = EVP_EC_gen("P-384"));
    MUST(k->rsa = EVP_RSA_gen(2048));
    MUST(k->pck_compressed = EVP_PKEY_dup(k->pck));
    MUST(EVP_PKEY_set_utf8_string_param(k->pck_compressed, "point-format", "compressed") == 1);
}

void fake_intel_keys_free(void)
{
    EVP_PKEY **keys = (EVP_PKEY **)&fake_intel_keys;
    for (size_t i = 0; i < sizeof fake_intel_keys / sizeof *keys; i++)
        EVP_PKEY_free(keys[i]);
}

/* --- the PCK certificate's extension --- */

struct fake_member *fake_intel_member(struct fake_intel *f, const char *path)
{
    for (size_t i = 0; i < FAKE_MEMBERS; i++)
        if (f->member[i].path && strcmp(f->member[i].path, path) == 0)
            return &f->member[i];
    MUST(!"a member of the SGX extension");
    return NULL;
}

void fake_intel_leave_out(struct fake_intel *f, const char *path)
{
    fake_intel_member(f, path)->times = 0;
}

static void set_octets(struct fake_member *m, const char *path, uint8_t fill, size_t len)
{
    *m = (struct fake_member){.path = path, .tag = V_ASN1_OCTET_STRING, .len = len, .times = 1};
    memset(m->value, fill, len);
}

void fake_intel_set_integer(struct fake_intel *f, const char *path, unsigned value)
{
    struct fake_member *m = fake_intel_member(f, path);
    uint8_t be[3] = {0, (uint8_t)(value >> 8), (uint8_t)value};
    size_t skip = value < 0x80 ? 2 : value < 0x8000 ? 1 : 0; /* one zero before a leading bit that is set */
    if (value >= 0x80 && value < 0x100)
        skip = 1;
    m->tag = V_ASN1_INTEGER;
    m->len = sizeof be - skip;
    memcpy(m->value, be + skip, m->len);
}

static void init_members(struct fake_intel *f)
{
    static const char *const components[] = {"2.1",  "2.2",  "2.3",  "2.4",  "2.5",  "2.6",
                                             "2.7",  "2.8",  "2.9",  "2.10", "2.11", "2.12",
                                             "2.13", "2.14", "2.15", "2.16", "2.17"};
    static const char *const flags[] = {"7.1", "7.2", "7.3"};
    struct fake_member *m = f->member;
    set_octets(m++, "1", 0x01, 16);
    for (size_t i = 0; i < 17; i++) {
        *m++ = (struct fake_member){.path = components[i], .times = 1};
        fake_intel_set_integer(f, components[i], i < 16 ? fake_seen.sgx[i] : fake_seen.pce_svn);
    }
    set_octets(m++, "2.18", 0x03, 16);
    set_octets(m, "3", 0, sizeof fake_pce_id);
    memcpy(m++->value, fake_pce_id, sizeof fake_pce_id);
    set_octets(m, "4", 0, sizeof fake_fmspc);
    memcpy(m++->value, fake_fmspc, sizeof fake_fmspc);
    *m++ = (struct fake_member){.path = "5", .tag = V_ASN1_ENUMERATED, .value = {1}, .len = 1, .times = 1};
    set_octets(m++, "6", 0x06, 16);
    for (size_t i = 0; i < 3; i++)
        *m++ = (struct fake_member){
            .path = flags[i], .tag = V_ASN1_BOOLEAN, .value = {i == 1 ? 0 : 0xff}, .len = 1, .times = 1};
    MUST(m == f->member + FAKE_MEMBERS - 1);
    *m = (struct fake_member){.path = "8", .tag = V_ASN1_INTEGER, .len = 1, .times = 0};
    f->extension_times = 1;
}

struct der {
    uint8_t bytes[2048];
    size_t len;
};

static void put_tlv(struct der *to, uint8_t tag, const void *value, size_t len)
{
    uint8_t *p = to->bytes + to->len;
    MUST(to->len + len + 4 <= sizeof to->bytes);
    *p++ = tag;
    if (len >= 128) {
        *p++ = 0x82;
        *p++ = (uint8_t)(len >> 8);
    }
    *p++ = (uint8_t)len;
    memcpy(p, value, len);
    to->len = (size_t)(p - to->bytes) + len;
}

/* SEQUENCE { OID, value } */
static void put_pair(struct der *to, const char *path, uint8_t tag, const void *value, size_t len)
{
    uint8_t oid[12] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
    struct der pair = {.len = 0};
    size_t n = 9;
    char *rest;
    oid[n++] = (uint8_t)strtoul(path, &rest, 10);
    if (*rest)
        oid[n++] = (uint8_t)strtoul(rest + 1, NULL, 10);
    put_tlv(&pair, V_ASN1_OBJECT, oid, n);
    put_tlv(&pair, tag, value, len);
    put_tlv(to, 0x30, pair.bytes, pair.len);
}

/* Members of "2" and "7" are in a sequence of their own. */
static void extend_pck(X509 *cert, const void *arg)
{
    const struct fake_intel *f = arg;
    struct der whole = {.len = 0}, top = {.len = 0}, group[2] = {{.len = 0}, {.len = 0}};
    for (size_t i = 0; i < FAKE_MEMBERS; i++) {
        const struct fake_member *m = &f->member[i];
        struct der *to = m->path[1] != '.' ? &top : &group[m->path[0] == '7'];
        for (int n = 0; n < m->times; n++)
            put_pair(to, m->path, m->tag, m->value, m->len);
    }
    for (int i = 0; i < 2; i++)
        if (group[i].len)
            put_pair(&top, i ? "7" : "2", 0x30, group[i].bytes, group[i].len);
    put_tlv(&whole, 0x30, top.bytes, top.len);
    for (int i = 0; i < f->extension_times; i++)
        fake_add_raw(cert, "1.2.840.113741.1.13.1", 0, whole.bytes, (int)whole.len);
    if (f->extension_empty)
        fake_add_raw(cert, "1.2.840.113741.1.13.1", 0, whole.bytes, 0);
}

/* --- the quote --- */

static void init_body(struct fake_intel *f)
{
    struct tdx_quote_body *b = &f->body;
    put_le16(f->head.version, (uint16_t)f->version);
    put_le16(f->head.key_type, TDX_QUOTE_KEY_P256);
    put_le32(f->head.tee_type, TDX_TEE_TYPE);
    memcpy(f->head.qe_vendor_id, tdx_quote_intel_qe, sizeof f->head.qe_vendor_id);
    memcpy(b->tee_tcb_svn, fake_seen.tdx, sizeof b->tee_tcb_svn);
    memcpy(b->tee_tcb_svn_2, b->tee_tcb_svn, sizeof b->tee_tcb_svn_2);
    memset(b->mrseam, 0x5e, sizeof b->mrseam);
    put_le64(b->td_attributes, TDX_ATTR_SEPT_VE_DISABLE);
    put_le64(b->xfam, 0xe7);
    memset(b->mrtd, 0x11, sizeof b->mrtd);
    memset(b->mrconfigid, 0x12, sizeof b->mrconfigid);
    memset(b->mrowner, 0x13, sizeof b->mrowner);
    memset(b->mrownerconfig, 0x14, sizeof b->mrownerconfig);
    for (int i = 0; i < 4; i++)
        memset(b->rtmr[i], 0x20 + i, sizeof b->rtmr[i]);
    memset(b->report_data, 0x22, 32); /* a nonce of 32 bytes, then zeros */
    memset(f->qe.cpu_svn, 0x03, sizeof f->qe.cpu_svn);
    put_le32(f->qe.miscselect, FAKE_QE_MISCSELECT);
    memcpy(f->qe.attributes, fake_qe_attributes, sizeof f->qe.attributes);
    memset(f->qe.mrenclave, 0x0e, sizeof f->qe.mrenclave);
    memcpy(f->qe.mrsigner, fake_qe_mrsigner, sizeof f->qe.mrsigner);
    put_le16(f->qe.isv_prod_id, FAKE_QE_PROD_ID);
    put_le16(f->qe.isv_svn, fake_seen.qe_isv_svn);
    for (size_t i = 0; i < sizeof f->auth_data; i++)
        f->auth_data[i] = (uint8_t)i;
}

static void bind_key(struct fake_intel *f, const uint8_t key[TDX_P256_SIZE])
{
    uint8_t both[TDX_P256_SIZE + sizeof f->auth_data];
    memcpy(both, key, TDX_P256_SIZE);
    memcpy(both + TDX_P256_SIZE, f->auth_data, sizeof f->auth_data);
    memset(f->qe.report_data, 0, sizeof f->qe.report_data);
    MUST(EVP_Digest(both, sizeof both, f->qe.report_data, NULL, EVP_sha256(), NULL) == 1);
    if (f->binding_flip)
        f->qe.report_data[f->binding_flip - 1] ^= 1;
}

/* The PEM of those that are not left out, PCK first. */
static void chain_text(struct bytes *out, const struct fake_intel *f, const int *which, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    for (size_t i = 0; i < count; i++) {
        if (f->left_out[which[i]])
            continue;
        X509 *cert = fake_cert_make(&f->cert[which[i]], which[i] == FAKE_PCK ? extend_pck : NULL, f);
        MUST(PEM_write_bio_X509(bio, cert) == 1);
        X509_free(cert);
    }
    long len = BIO_get_mem_data(bio, &text);
    MUST(bytes_copy(out, (struct view){(const uint8_t *)text, (size_t)len}, NULL) == 0);
    BIO_free(bio);
}

static const int pck_chain[] = {FAKE_PCK, FAKE_CA, FAKE_ROOT};

struct writer {
    uint8_t bytes[32768];
    size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
    MUST(w->len + len <= sizeof w->bytes);
    if (len)
        memcpy(w->bytes + w->len, data, len);
    w->len += len;
}

static void put_number(struct writer *w, size_t value, size_t width)
{
    uint8_t raw[4];
    put_le32(raw, (uint32_t)value);
    put(w, raw, width);
}

static struct view view_of(const void *data, size_t len)
{
    return (struct view){data, len};
}

void fake_intel_quote(struct bytes *out, struct fake_intel *f)
{
    struct writer w = {.len = 0};
    struct tdx_quote_signature sig;
    struct tdx_qe_certification qe;
    CLEAN_BYTES chain = {0};
    size_t body = tdx_quote_body_size(f->body_type);
    if (f->certification_type == TDX_CERTIFICATION_PCK_CHAIN)
        chain_text(&chain, f, pck_chain, 3);
    else if (f->certification_type == TDX_CERTIFICATION_PCK_LEAF)
        chain_text(&chain, f, pck_chain, 1);
    put(&w, &f->head, sizeof f->head);
    if (f->version == 5) {
        put_number(&w, f->body_type, 2);
        put_number(&w, body, 4);
    }
    put(&w, &f->body, body);
    MUST(ecdsa_sign(sig.signature, &ecdsa_p256, f->attestation_signer, view_of(w.bytes, w.len), NULL) == 0);
    MUST(ecdsa_key_export(sig.attestation_key, &ecdsa_p256, f->attestation_key, NULL) == 0);
    if (f->raw_attestation_key)
        memcpy(sig.attestation_key, f->raw_attestation_key, sizeof sig.attestation_key);
    bind_key(f, sig.attestation_key);
    qe.report = f->qe;
    MUST(ecdsa_sign(qe.report_signature, &ecdsa_p256, f->qe_signer, view_of(&f->qe, sizeof f->qe), NULL) ==
         0);
    size_t within = sizeof qe + 2 + sizeof f->auth_data + 6 + chain.len;
    put_number(&w, sizeof sig + 6 + within, 4);
    put(&w, &sig, sizeof sig);
    put_number(&w, TDX_CERTIFICATION_QE_REPORT, 2);
    put_number(&w, within, 4);
    put(&w, &qe, sizeof qe);
    put_number(&w, sizeof f->auth_data, 2);
    put(&w, f->auth_data, sizeof f->auth_data);
    put_number(&w, f->certification_type, 2);
    put_number(&w, chain.len, 4);
    put(&w, chain.data, chain.len);
    if (f->tamper)
        f->tamper(w.bytes, w.len);
    if (f->trailing)
        put(&w, f->trailing, strlen(f->trailing));
    w.len += f->padding;
    MUST(bytes_copy(out, view_of(w.bytes, w.len), NULL) == 0);
}

/* --- all of it --- */

static void init_certs(struct fake_intel *f)
{
    fake_intel_root(&f->cert[FAKE_ROOT], &fake_intel_keys.intel);
    fake_intel_ca(&f->cert[FAKE_CA], &fake_intel_keys.intel);
    fake_intel_tcb_signing(&f->cert[FAKE_PCK], &fake_intel_keys.intel); /* alike but for names and keys */
    f->cert[FAKE_PCK].cn = "Intel SGX PCK Certificate";
    f->cert[FAKE_PCK].issuer_cn = f->cert[FAKE_CA].cn;
    f->cert[FAKE_PCK].key = fake_intel_keys.pck;
    f->cert[FAKE_PCK].issuer_key = fake_intel_keys.intel.ca;
    f->cert[FAKE_PCK].serial = 1004;
}

void fake_intel_init(struct fake_intel *f, unsigned version, enum tdx_quote_body_type body)
{
    *f = (struct fake_intel){.version = version,
                             .body_type = body,
                             .attestation_key = fake_intel_keys.attestation,
                             .attestation_signer = fake_intel_keys.attestation,
                             .qe_signer = fake_intel_keys.pck,
                             .certification_type = TDX_CERTIFICATION_PCK_CHAIN,
                             .trust_root = true,
                             .at = FAKE_NOW};
    init_certs(f);
    init_members(f);
    init_body(f);
    fake_collateral_init(&f->collateral, &fake_intel_keys.intel);
}

static int judge(struct verdict *out, struct fake_intel *f, struct appraisal *in, struct cofre_err *err)
{
    CLEAN_POLICY policy;
    const char *text = f->policy ? f->policy : "{}";
    int rc = policy_parse(&policy, view_of(text, strlen(text)), err);
    if (rc < 0)
        return rc;
    in->policy = &policy;
    in->nonce = f->nonce;
    in->report_data = f->report_data;
    in->measurement = f->measurement;
    in->at = f->at;
    in->references = f->references;
    return appraise(out, in, err);
}

/* With the chain of a quote that has none. */
static void make_collateral(struct bytes *out, const struct fake_intel *f)
{
    CLEAN_BYTES plain = {0}, chain = {0};
    fake_collateral_make(&plain, &f->collateral);
    chain_text(&chain, f, pck_chain, 3);
    json_t *file = json_loadb((const char *)plain.data, plain.len, 0, NULL);
    if (f->certification_type != TDX_CERTIFICATION_PCK_CHAIN)
        json_object_set_new(file, "pck_certificate_chain", json_stringn((const char *)chain.data, chain.len));
    if (f->crls_by_option) {
        json_object_del(file, "pck_crl");
        json_object_del(file, "root_ca_crl");
    }
    char *text = json_dumps(file, 0);
    json_decref(file);
    MUST(text && bytes_copy(out, view_of(text, strlen(text)), NULL) == 0);
    free(text);
    if (f->tamper_collateral)
        f->tamper_collateral(out);
}

int fake_intel_appraise(struct verdict *out, struct fake_intel *f, struct cofre_err *err)
{
    CLEAN_CERTS roots = {0};
    CLEAN_CRLS crls = {0};
    CLEAN_EVIDENCE evidence = {.tee = "tdx"};
    CLEAN_BYTES text = {0};
    CLEAN_COLLATERAL collateral = {0};
    X509 *root = fake_cert_make(&f->cert[FAKE_ROOT], NULL, NULL);
    if (f->trust_root)
        fake_add_der(&roots, root);
    X509_free(root);
    if (f->also_trusted) {
        root = fake_cert_make(f->also_trusted, NULL, NULL);
        fake_add_der(&roots, root);
        X509_free(root);
    }
    if (f->also_crl)
        crls.crl[crls.count++] = fake_crl_make(f->also_crl, EVP_sha256());
    if (f->crls_by_option) {
        crls.crl[crls.count++] = fake_crl_make(&f->collateral.pck_crl, EVP_sha256());
        crls.crl[crls.count++] = fake_crl_make(&f->collateral.root_crl, EVP_sha256());
    }
    fake_intel_quote(&evidence.report, f);
    if (f->event_log.len)
        MUST(bytes_copy(&evidence.event_log, f->event_log, NULL) == 0);
    make_collateral(&text, f);
    int rc = f->no_collateral ? 0 : tdx_collateral_parse(&collateral, bytes_view(&text), err);
    if (rc < 0)
        return rc;
    return judge(out, f,
                 &(struct appraisal){.evidence = &evidence,
                                     .crls = &crls,
                                     .roots = &roots,
                                     .collateral = f->no_collateral ? NULL : &collateral},
                 err);
}
