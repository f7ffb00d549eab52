/*
 * What Intel's provisioning certification service would say of the emulated platform: TCB info V3 and QE identity V2
 * (API v4), signed by the emulated TCB signing key, and both revocation lists. All are current at the time asked for.
 */
#include <jansson.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/model/enclave.h"
#include "vmm/base/clean_openssl.h"
#include "vmm/base/ecdsa.h"
#include "vmm/base/timestamp.h"
#include "vmm/base/x509_make.h"

#define WINDOW_BEFORE     3600              /* issued an hour ago: clocks differ */
#define WINDOW            (30 * 24 * 3600L) /* as Intel's */
#define EVALUATION_NUMBER 20

#define CURRENT  "2025-08-13T00:00:00Z" /* dates of TCB levels */
#define OLD      "2024-03-13T00:00:00Z"
#define ADVISORY "EMULATED-SA-00001"

static void free_json(json_t **json)
{
    json_decref(*json);
}
#define CLEAN_JSON __attribute__((cleanup(free_json))) json_t

/* Upper-case hexadecimal, as Intel writes it. */
static json_t *hex(const uint8_t *data, size_t len)
{
    char text[2 * 64 + 1];
    hex_encode(text, data, len);
    for (char *c = text; *c; c++)
        if (*c >= 'a')
            *c = (char)(*c - 'a' + 'A');
    return json_string(text);
}

/* A TCB level of the platform. The processor is at the first. */
static const struct {
    uint8_t sgx[TDX_SVNS], tdx[TDX_SVNS];
    int pce_svn;
    const char *date, *status, *advisory;
} levels[] = {
    {{3, 3, 2, 2, 4, 1, 0, 5}, {5, 0, 2}, TDX_EMULATED_PCE_SVN, CURRENT, "UpToDate", NULL},
    {{2, 2, 2, 2, 3, 1, 0, 5}, {3, 0, 2}, 5, OLD, "OutOfDate", ADVISORY},
};

/* A level of what has one number: the module, the enclave. */
struct isv_level {
    int svn;
    const char *date, *status, *advisory;
};
static const struct isv_level module_levels[] = {{5, CURRENT, "UpToDate", NULL},
                                                 {2, OLD, "OutOfDate", ADVISORY}};
static const struct isv_level qe_levels[] = {{TDX_EMULATED_QE_SVN, CURRENT, "UpToDate", NULL},
                                             {2, OLD, "OutOfDate", ADVISORY}};

/* tcb is the list's. */
static json_t *level_of(json_t *tcb, const char *date, const char *status, const char *advisory)
{
    return advisory ? json_pack("{s:o, s:s, s:s, s:[s]}", "tcb", tcb, "tcbDate", date, "tcbStatus", status,
                                "advisoryIDs", advisory)
                    : json_pack("{s:o, s:s, s:s}", "tcb", tcb, "tcbDate", date, "tcbStatus", status);
}

static json_t *components(const uint8_t svn[TDX_SVNS])
{
    json_t *list = json_array();
    for (int i = 0; i < TDX_SVNS; i++)
        (void)json_array_append_new(list, json_pack("{s:i}", "svn", svn[i]));
    return list;
}

static json_t *platform_levels(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        json_t *tcb = json_pack("{s:o, s:i, s:o}", "sgxtcbcomponents", components(levels[i].sgx), "pcesvn",
                                levels[i].pce_svn, "tdxtcbcomponents", components(levels[i].tdx));
        (void)json_array_append_new(list,
                                    level_of(tcb, levels[i].date, levels[i].status, levels[i].advisory));
    }
    return list;
}

static json_t *isv_list(const struct isv_level *level, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, level_of(json_pack("{s:i}", "isvsvn", level[i].svn), level[i].date,
                                                   level[i].status, level[i].advisory));
    return list;
}

/* Of the module's two names in TCB info: without and with its levels. Intel's modules have a signer of zeros. */
static json_t *module_identity(bool with_levels)
{
    static const uint8_t signer[48], attributes[8];
    static const uint8_t mask[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    json_t *identity = with_levels ? json_pack("{s:s}", "id", "TDX_01") : json_object();
    (void)json_object_set_new(identity, "mrsigner", hex(signer, sizeof signer));
    (void)json_object_set_new(identity, "attributes", hex(attributes, sizeof attributes));
    (void)json_object_set_new(identity, "attributesMask", hex(mask, sizeof mask));
    if (with_levels)
        (void)json_object_set_new(identity, "tcbLevels",
                                  isv_list(module_levels, sizeof module_levels / sizeof *module_levels));
    return identity;
}

static json_t *begin(const char *id, int version, int64_t now)
{
    char issued[TIME_TEXT_SIZE], next[TIME_TEXT_SIZE];
    time_format(issued, now - WINDOW_BEFORE);
    time_format(next, now + WINDOW);
    return json_pack("{s:s, s:i, s:s, s:s}", "id", id, "version", version, "issueDate", issued, "nextUpdate",
                     next);
}

static json_t *tcb_info(int64_t now)
{
    json_t *info = begin("TDX", 3, now);
    CLEAN_JSON *rest = json_pack(
        "{s:o, s:o, s:i, s:i, s:o, s:[o], s:o}", "fmspc", hex(tdx_emulated_fmspc, sizeof tdx_emulated_fmspc),
        "pceId", hex(tdx_emulated_pce_id, sizeof tdx_emulated_pce_id), "tcbType", 0,
        "tcbEvaluationDataNumber", EVALUATION_NUMBER, "tdxModule", module_identity(false),
        "tdxModuleIdentities", module_identity(true), "tcbLevels", platform_levels());
    return json_object_update(info, rest) == 0 ? info : (json_decref(info), NULL);
}

/* Masked like Intel's TD QE: every flag but the provisioning key's, no extended feature. */
static json_t *qe_identity(int64_t now)
{
    static const uint8_t miscselect[4], miscselect_mask[4] = {0xff, 0xff, 0xff, 0xff};
    static const uint8_t attributes[16] = {0x11};
    static const uint8_t attributes_mask[16] = {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t signer[32];
    json_t *identity = begin("TD_QE", 2, now);
    tdx_emulated_qe_signer(signer);
    CLEAN_JSON *rest = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:o}", "tcbEvaluationDataNumber",
                                 EVALUATION_NUMBER, "miscselect", hex(miscselect, sizeof miscselect),
                                 "miscselectMask", hex(miscselect_mask, sizeof miscselect_mask), "attributes",
                                 hex(attributes, sizeof attributes), "attributesMask",
                                 hex(attributes_mask, sizeof attributes_mask), "mrsigner",
                                 hex(signer, sizeof signer), "isvprodid", TDX_EMULATED_QE_PROD_ID,
                                 "tcbLevels", isv_list(qe_levels, sizeof qe_levels / sizeof *qe_levels));
    return json_object_update(identity, rest) == 0 ? identity : (json_decref(identity), NULL);
}

static int no_memory(struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "emulated collateral: no memory");
}

/* Sets NAME to the document's text and NAME_signature to its signature, r and s in hexadecimal. */
static int add_signed(json_t *out, const char *name, json_t *document, EVP_PKEY *key, struct cofre_err *err)
{
    char member[32], digits[2 * 64 + 1];
    uint8_t signature[64];
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    if (!text)
        return no_memory(err);
    int rc = ecdsa_sign(signature, &ecdsa_p256, key, (struct view){(uint8_t *)text, strlen(text)}, err);
    snprintf(member, sizeof member, "%s_signature", name);
    hex_encode(digits, signature, sizeof signature);
    if (rc == 0 && (json_object_set_new(out, name, json_string(text)) < 0 ||
                    json_object_set_new(out, member, json_string(digits)) < 0))
        rc = no_memory(err);
    free(text);
    return rc;
}

static int add_chain(json_t *out, const char *name, X509 *signer, X509 *root, struct cofre_err *err)
{
    X509 *const certificates[] = {signer, root};
    CLEAN_BYTES pem = {0};
    int rc = tdx_pem_chain(&pem, certificates, 2, err);
    if (rc == 0 && json_object_set_new(out, name, json_stringn((char *)pem.data, pem.len)) < 0)
        rc = no_memory(err);
    return rc;
}

static int add_crl(json_t *out, const char *name, X509 *issuer, EVP_PKEY *key, int64_t now,
                   struct cofre_err *err)
{
    CLEAN(crl)
    X509_CRL *crl = x509_make_crl(issuer, key, now - WINDOW_BEFORE, now + WINDOW, true, tdx_pki_signer);
    CLEAN_BYTES digits = {0};
    uint8_t *der = NULL;
    int len = crl ? i2d_X509_CRL(crl, &der) : -1;
    if (len <= 0)
        return cofre_fail(err, COFRE_FAILED, "emulated collateral: OpenSSL could not make %s", name);
    int rc = bytes_alloc(&digits, 2 * (size_t)len + 1, err);
    if (rc == 0) {
        hex_encode((char *)digits.data, der, (size_t)len);
        if (json_object_set_new(out, name, json_string((char *)digits.data)) < 0)
            rc = no_memory(err);
    }
    OPENSSL_free(der);
    return rc;
}

static int fill(json_t *out, const struct tdx_pki *pki, int64_t now, struct cofre_err *err)
{
    CLEAN_JSON *tcb = tcb_info(now);
    CLEAN_JSON *qe = qe_identity(now);
    int rc = add_chain(out, "pck_crl_issuer_chain", pki->platform_ca, pki->root, err);
    if (rc == 0)
        rc = add_crl(out, "root_ca_crl", pki->root, pki->root_key, now, err);
    if (rc == 0)
        rc = add_crl(out, "pck_crl", pki->platform_ca, pki->platform_ca_key, now, err);
    if (rc == 0)
        rc = add_chain(out, "tcb_info_issuer_chain", pki->tcb_signing, pki->root, err);
    if (rc == 0)
        rc = add_signed(out, "tcb_info", tcb, pki->tcb_signing_key, err);
    if (rc == 0)
        rc = add_chain(out, "qe_identity_issuer_chain", pki->tcb_signing, pki->root, err);
    return rc < 0 ? rc : add_signed(out, "qe_identity", qe, pki->tcb_signing_key, err);
}

int tdx_platform_collateral(const struct tdx_platform *platform, int64_t now, struct bytes *out,
                            struct cofre_err *err)
{
    CLEAN_JSON *file = json_object();
    if (!file)
        return no_memory(err);
    int rc = fill(file, &platform->pki, now, err);
    char *text = rc == 0 ? json_dumps(file, JSON_INDENT(2)) : NULL;
    if (rc == 0 && !text)
        rc = no_memory(err);
    if (rc == 0) {
        size_t len = strlen(text);
        text[len] = '\n'; /* in the place of the zero that ends it */
        rc = bytes_copy(out, (struct view){(uint8_t *)text, len + 1}, err);
    }
    free(text);
    return rc;
}
