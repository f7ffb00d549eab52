/* Evidence and policies, described. */
#include <string.h>

#include "attest/evidence.h"
#include "attest/policy.h"
#include "attest/snp.h"
#include "attest/tdx.h"
#include "vmm/base/json.h"
#include "vmm/cli/inspect.h"

static const char *const forms[] = {
    [EVIDENCE_RAW] = "raw bytes", [EVIDENCE_HEX] = "hexadecimal text", [EVIDENCE_JSON] = "evidence file"};

/* The product that the VCEK or VLEK names, where the report does not. */
static void find_leaf(struct snp_leaf *out, bool *found, struct view table)
{
    struct snp_cert_table parsed;
    CLEAN_CERTS certs = {0};
    *found = false;
    if (table.len == 0 || snp_cert_table_parse(&parsed, table, NULL) < 0 ||
        snp_certs_add_table(&certs, &parsed, NULL, NULL) < 0)
        return;
    for (size_t i = 0; i < certs.count && !*found; i++)
        *found = snp_leaf_parse(out, certs.cert[i], NULL) == 0;
}

static int describe_snp(json_t *out, const struct evidence *evidence, struct cofre_err *err)
{
    struct snp_report report;
    struct snp_leaf leaf;
    bool has_leaf;
    json_t *table = NULL;
    int rc = snp_report_parse(&report, bytes_view(&evidence->report), err);
    if (rc == 0 && evidence->certificates.len)
        rc = inspect_describe_table(&table, bytes_view(&evidence->certificates), err);
    if (rc < 0)
        return rc;
    find_leaf(&leaf, &has_leaf, bytes_view(&evidence->certificates));
    enum snp_product product = has_leaf ? leaf.product : snp_report_product(&report);
    json_object_set_new(out, "version", json_integer(report.version));
    json_object_set_new(out, "product", json_string(snp_product_name(product)));
    json_object_set_new(out, "claims", snp_claims(&report, product, has_leaf ? &leaf : NULL));
    json_object_set_new(out, "signature_algorithm", json_integer(report.signature_algo));
    inspect_put_hex(out, "signature_r", report.signature.r, sizeof report.signature.r);
    inspect_put_hex(out, "signature_s", report.signature.s, sizeof report.signature.s);
    if (table)
        json_object_set_new(out, "certificates", table);
    return 0;
}

/* What came to certify the quoting enclave: PEM, which a zero may end, or what only a service can make use of. */
static int describe_certification(json_t *out, const struct tdx_quote *quote, struct tdx_pck *pck,
                                  bool *has_pck, struct cofre_err *err)
{
    CLEAN_CERTS certs = {0};
    struct view pem = quote->certification;
    *has_pck = false;
    json_object_set_new(out, "certification_type", json_integer(quote->certification_type));
    if (quote->certification_type != TDX_CERTIFICATION_PCK_CHAIN &&
        quote->certification_type != TDX_CERTIFICATION_PCK_LEAF)
        return 0;
    while (pem.len && pem.data[pem.len - 1] == '\0')
        pem.len--;
    int rc = x509_certs_add(&certs, pem, err);
    for (size_t i = 0; i < certs.count && !*has_pck; i++)
        *has_pck =
            tdx_cert_role(certs.cert[i]) == TDX_ROLE_PCK && tdx_pck_parse(pck, certs.cert[i], NULL) == 0;
    if (rc == 0)
        json_object_set_new(out, "certificates", inspect_certs_list(&certs));
    return rc;
}

static int describe_tdx(json_t *out, const struct evidence *evidence, struct cofre_err *err)
{
    struct tdx_quote quote;
    struct tdx_pck pck;
    bool has_pck = false;
    CLEAN_JSON *log = NULL, *more = json_object();
    int rc = tdx_quote_parse(&quote, bytes_view(&evidence->report), err);
    if (rc == 0)
        rc = describe_certification(more, &quote, &pck, &has_pck, err);
    if (rc == 0 && evidence->event_log.len)
        rc = inspect_event_log.describe(&log, bytes_view(&evidence->event_log), err);
    if (rc < 0)
        return rc;
    json_object_set_new(out, "version", json_integer(quote.version));
    json_object_set_new(out, "claims", tdx_claims(&quote, has_pck ? &pck : NULL));
    inspect_put_hex(out, "quoting_enclave_vendor", quote.head->qe_vendor_id, sizeof quote.head->qe_vendor_id);
    inspect_put_hex(out, "attestation_key", quote.signature->attestation_key, TDX_P256_SIZE);
    inspect_put_hex(out, "signature", quote.signature->signature, TDX_P256_SIZE);
    if (quote.trailing.len)
        json_object_set_new(out, "trailing_bytes", json_integer((json_int_t)quote.trailing.len));
    if (log)
        json_object_set(out, "event_log", log);
    return json_object_update(out, more) == 0 ? 0 : cofre_fail(err, COFRE_FAILED, "no memory");
}

static int describe_evidence(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {0};
    int rc = evidence_parse(&evidence, file, err);
    if (rc < 0)
        return rc;
    bool tdx = strcmp(evidence.tee, "tdx") == 0;
    *out = json_pack("{s:s, s:s}", "form", forms[evidence.form], "tee", tdx ? "Intel TDX" : "AMD SEV-SNP");
    if (!*out)
        return cofre_fail(err, COFRE_FAILED, "no memory for the description");
    if (evidence.nonce.len)
        inspect_put_hex(*out, "nonce", evidence.nonce.data, evidence.nonce.len);
    return tdx ? describe_tdx(*out, &evidence, err) : describe_snp(*out, &evidence, err);
}

/* A policy that is accepted, as it stands in the file. */
static int describe_policy(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_POLICY policy;
    int rc = policy_parse(&policy, file, err);
    if (rc == 0)
        rc = json_read(out, file, COFRE_MALFORMED, err);
    return rc < 0 ? -COFRE_MALFORMED : 0;
}

const struct artefact_kind inspect_evidence = {"attestation evidence", evidence_recognises,
                                               describe_evidence};
const struct artefact_kind inspect_policy = {"policy", policy_recognises, describe_policy};
