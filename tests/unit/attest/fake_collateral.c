#include "tests/unit/attest/fake_collateral.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <string.h>

#include "vmm/base/timestamp.h"

#define ORGANISATION "Fake Intelligence"

#define FAKE_SGX                                                                                             \
    {                                                                                                        \
        3, 3, 2, 2, 4, 1, 0, 5                                                                               \
    }
const struct tdx_tcb_seen fake_seen = {.sgx = FAKE_SGX, .pce_svn = 13, .tdx = {6, 1, 3}, .qe_isv_svn = 4};
const uint8_t fake_fmspc[6] = {0x90, 0xc0, 0x6f}, fake_pce_id[2] = {0, 1};
const uint8_t fake_qe_mrsigner[32] = {0xdc, 0x9e, 0x2a};
const uint8_t fake_qe_attributes[16] = {0x11, 0, 0, 0, 0, 0, 0, 0, 0xe7};

static void draft(struct fake_cert *out, const char *cn, EVP_PKEY *key, const struct fake_keys_intel *keys,
                  long serial, bool ca)
{
    *out = (struct fake_cert){.cn = cn,
                              .issuer_cn = "Intel SGX Root CA",
                              .organisation = ORGANISATION,
                              .key = key,
                              .issuer_key = keys->root,
                              .from = FAKE_NOW - FAKE_YEAR,
                              .to = FAKE_NOW + FAKE_YEAR,
                              .serial = serial,
                              .basic_constraints = ca ? "critical,CA:TRUE,pathlen:1" : "critical,CA:FALSE",
                              .key_usage = ca ? "critical,keyCertSign,cRLSign"
                                              : "critical,digitalSignature,nonRepudiation",
                              .digest = EVP_sha256()};
}

void fake_intel_root(struct fake_cert *out, const struct fake_keys_intel *keys)
{
    draft(out, "Intel SGX Root CA", keys->root, keys, 1001, true);
}

void fake_intel_ca(struct fake_cert *out, const struct fake_keys_intel *keys)
{
    draft(out, "Intel SGX PCK Platform CA", keys->ca, keys, 1002, true);
    out->basic_constraints = "critical,CA:TRUE,pathlen:0";
}

void fake_intel_tcb_signing(struct fake_cert *out, const struct fake_keys_intel *keys)
{
    draft(out, "Intel SGX TCB Signing", keys->tcb_signing, keys, 1003, false);
}

static void init_document(struct fake_document *d, const struct fake_keys_intel *keys)
{
    *d = (struct fake_document){.issued = FAKE_NOW - 86400,
                                .next_update = FAKE_NOW + 29 * 86400,
                                .evaluation_number = 17,
                                .key = keys->tcb_signing};
    fake_intel_tcb_signing(&d->signer, keys);
    fake_intel_root(&d->root, keys);
}

static void init_crl(struct fake_crl *crl, const char *issuer, EVP_PKEY *key)
{
    *crl = (struct fake_crl){.given = true,
                             .issuer_cn = issuer,
                             .organisation = ORGANISATION,
                             .key = key,
                             .from = FAKE_NOW - 86400,
                             .to = FAKE_NOW + 29 * 86400};
}

void fake_collateral_init(struct fake_collateral *c, const struct fake_keys_intel *keys)
{
    *c = (struct fake_collateral){
        .level = {{FAKE_SGX, {5, 0, 3}, 13, "UpToDate", "2023-08-09T00:00:00Z", ""},
                  {{2, 2, 2, 2, 3, 1, 0, 5},
                   {5, 0, 2},
                   11,
                   "OutOfDate",
                   "2023-02-15T00:00:00Z",
                   "\"INTEL-SA-00837\",\"INTEL-SA-01036\""}},
        .module =
            {{{0}, {6}, 0, "UpToDate", "2023-08-10T00:00:00Z", ""},
             {{0}, {4}, 0, "OutOfDate", "2023-03-15T00:00:00Z", "\"INTEL-SA-01036\",\"INTEL-SA-01099\""}},
        .enclave = {{{0}, {4}, 0, "UpToDate", "2023-08-11T00:00:00Z", ""},
                    {{0}, {2}, 0, "OutOfDate", "2023-04-15T00:00:00Z", "\"INTEL-SA-00001\""}},
        .module_version = 1,
        .qe_miscselect = FAKE_QE_MISCSELECT,
        .qe_miscselect_mask = 0xffffffff,
        .qe_attributes = {0x11},
        .qe_attributes_mask = {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        .qe_prod_id = FAKE_QE_PROD_ID,
    };
    init_document(&c->tcb, keys);
    init_document(&c->qe, keys);
    fake_intel_ca(&c->ca, keys);
    init_crl(&c->pck_crl, c->ca.cn, keys->ca);
    init_crl(&c->root_crl, c->tcb.root.cn, keys->root);
    memcpy(c->fmspc, fake_fmspc, sizeof c->fmspc);
    memcpy(c->pce_id, fake_pce_id, sizeof c->pce_id);
    memcpy(c->qe_mrsigner, fake_qe_mrsigner, sizeof c->qe_mrsigner);
}

/* Text that is written piece by piece. */
struct text {
    char *at;
    size_t len;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
    char *more = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&more, format, args);
    va_end(args);
    MUST(len >= 0 && (t->at = realloc(t->at, t->len + (size_t)len + 1)));
    memcpy(t->at + t->len, more, (size_t)len + 1);
    t->len += (size_t)len;
    free(more);
}

static void add_hex(struct text *t, const char *name, const void *data, size_t len)
{
    char digits[2 * 48 + 1];
    hex_encode(digits, data, len);
    add(t, ",\"%s\":\"%s\"", name, digits);
}

static void add_components(struct text *t, const char *name, const uint8_t svn[16])
{
    add(t, "\"%s\":[", name);
    for (int i = 0; i < 16; i++)
        add(t, "%s{\"svn\":%u}", i ? "," : "", svn[i]);
    add(t, "]");
}

static void add_judgement(struct text *t, const struct fake_level *level)
{
    add(t, ",\"tcbDate\":\"%s\",\"tcbStatus\":\"%s\"", level->date, level->status);
    if (*level->advisories)
        add(t, ",\"advisoryIDs\":[%s]", level->advisories);
    add(t, "}");
}

static void add_isv_levels(struct text *t, const struct fake_level level[2])
{
    add(t, ",\"tcbLevels\":[");
    for (int i = 0; i < 2; i++) {
        add(t, "%s{\"tcb\":{\"isvsvn\":%u}", i ? "," : "", level[i].tdx[0]);
        add_judgement(t, &level[i]);
    }
    add(t, "]");
}

static void add_heading(struct text *t, const char *id, int version, const struct fake_document *d)
{
    char issued[TIME_TEXT_SIZE], next[TIME_TEXT_SIZE];
    time_format(issued, d->issued);
    time_format(next, d->next_update);
    add(t,
        "{\"id\":\"%s\",\"version\":%d,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
        "\"tcbEvaluationDataNumber\":%u",
        id, version, issued, next, d->evaluation_number);
}

static void add_module(struct text *t, const struct fake_collateral *c)
{
    static const uint8_t none[8], all[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    add(t, "\"type\":\"TDX module\"");
    add_hex(t, "mrsigner", c->module_mrsigner, sizeof c->module_mrsigner);
    add_hex(t, "attributes", none, sizeof none);
    add_hex(t, "attributesMask", all, sizeof all);
}

static struct text tcb_info(const struct fake_collateral *c)
{
    struct text t = {0};
    add_heading(&t, "TDX", 3, &c->tcb);
    add_hex(&t, "fmspc", c->fmspc, sizeof c->fmspc);
    add_hex(&t, "pceId", c->pce_id, sizeof c->pce_id);
    add(&t, ",\"tcbType\":0,\"tdxModule\":{");
    add_module(&t, c);
    add(&t, "},\"tdxModuleIdentities\":[{\"id\":\"TDX_%02x\",", c->module_version);
    add_module(&t, c);
    add_isv_levels(&t, c->module);
    add(&t, "}],\"tcbLevels\":[");
    for (int i = 1; i >= 0; i--) { /* the worst first: the order is the reader's work */
        add(&t, "%s{\"tcb\":{", i ? "" : ",");
        add_components(&t, "sgxtcbcomponents", c->level[i].sgx);
        add(&t, ",\"pcesvn\":%u,", c->level[i].pce_svn);
        add_components(&t, "tdxtcbcomponents", c->level[i].tdx);
        add(&t, "}");
        add_judgement(&t, &c->level[i]);
    }
    add(&t, "]}");
    return t;
}

static struct text qe_identity(const struct fake_collateral *c)
{
    struct text t = {0};
    uint8_t miscselect[4], mask[4];
    put_le32(miscselect, c->qe_miscselect);
    put_le32(mask, c->qe_miscselect_mask);
    add_heading(&t, "TD_QE", 2, &c->qe);
    add_hex(&t, "miscselect", miscselect, sizeof miscselect);
    add_hex(&t, "miscselectMask", mask, sizeof mask);
    add_hex(&t, "attributes", c->qe_attributes, sizeof c->qe_attributes);
    add_hex(&t, "attributesMask", c->qe_attributes_mask, sizeof c->qe_attributes_mask);
    add_hex(&t, "mrsigner", c->qe_mrsigner, sizeof c->qe_mrsigner);
    add(&t, ",\"isvprodid\":%u", c->qe_prod_id);
    add_isv_levels(&t, c->enclave);
    add(&t, "}");
    return t;
}

static void change(struct text *t, const char *was, const char *is)
{
    char *at = strstr(t->at, was);
    struct text changed = {0};
    MUST(at);
    add(&changed, "%.*s%s%s", (int)(at - t->at), t->at, is, at + strlen(was));
    free(t->at);
    *t = changed;
}

static void set_pem(json_t *file, const char *member, const struct fake_cert *const certs[2])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    for (int i = 0; i < 2; i++) {
        X509 *cert = fake_cert_make(certs[i], NULL, NULL);
        MUST(PEM_write_bio_X509(bio, cert) == 1);
        X509_free(cert);
    }
    long len = BIO_get_mem_data(bio, &text);
    MUST(json_object_set_new(file, member, json_stringn(text, (size_t)len)) == 0);
    BIO_free(bio);
}

static void set_hex(json_t *file, const char *member, const uint8_t *data, size_t len)
{
    char *digits = malloc(2 * len + 1);
    hex_encode(digits, data, len);
    MUST(json_object_set_new(file, member, json_string(digits)) == 0);
    free(digits);
}

static void set_crl(json_t *file, const char *member, const struct fake_crl *crl)
{
    if (!crl->given)
        return;
    uint8_t *der = NULL;
    X509_CRL *made = fake_crl_make(crl, EVP_sha256());
    int len = i2d_X509_CRL(made, &der);
    MUST(len > 0);
    set_hex(file, member, der, (size_t)len);
    OPENSSL_free(der);
    X509_CRL_free(made);
}

/* The names of a document's members, and the one within the service's answer. */
struct names {
    const char *text, *signature, *issuers, *in_answer;
};

static void set_document(json_t *file, const struct names *names, const struct fake_document *d,
                         struct text text)
{
    uint8_t signature[64];
    char digits[129];
    if (d->was)
        change(&text, d->was, d->is);
    MUST(ecdsa_sign(signature, &ecdsa_p256, d->key, (struct view){(const uint8_t *)text.at, text.len},
                    NULL) == 0);
    if (d->was_then)
        change(&text, d->was_then, d->is_then);
    hex_encode(digits, signature, sizeof signature);
    if (d->as_answer)
        json_object_set_new(
            file, names->text,
            json_sprintf("{\"%s\":%s,\"signature\":\"%s\"}", names->in_answer, text.at, digits));
    else {
        json_object_set_new(file, names->text, json_string(text.at));
        json_object_set_new(file, names->signature, json_string(digits));
    }
    set_pem(file, names->issuers, (const struct fake_cert *[]){&d->signer, &d->root});
    free(text.at);
}

void fake_collateral_make(struct bytes *out, const struct fake_collateral *c)
{
    static const struct names tcb = {"tcb_info", "tcb_info_signature", "tcb_info_issuer_chain", "tcbInfo"},
                              qe = {"qe_identity", "qe_identity_signature", "qe_identity_issuer_chain",
                                    "enclaveIdentity"};
    json_t *file = json_object();
    set_document(file, &tcb, &c->tcb, tcb_info(c));
    set_document(file, &qe, &c->qe, qe_identity(c));
    set_pem(file, "pck_crl_issuer_chain", (const struct fake_cert *[]){&c->ca, &c->tcb.root});
    set_crl(file, "pck_crl", &c->pck_crl);
    set_crl(file, "root_ca_crl", &c->root_crl);
    for (size_t i = 0; i < sizeof c->left_out / sizeof *c->left_out && c->left_out[i]; i++)
        MUST(json_object_del(file, c->left_out[i]) == 0);
    char *text = json_dumps(file, 0);
    MUST(text && bytes_copy(out, (struct view){(const uint8_t *)text, strlen(text)}, NULL) == 0);
    free(text);
    json_decref(file);
}
