/* Evidence and policies, described. */
#include "attest/evidence.h"
#include "attest/policy.h"
#include "attest/snp.h"
#include "vmm/base/json.h"
#include "vmm/cli/inspect.h"

static const char *const forms[] = {
    [EVIDENCE_RAW] = "raw report", [EVIDENCE_HEX] = "hexadecimal text", [EVIDENCE_JSON] = "evidence file"};

/* The product that the VCEK or VLEK names, where the report does not. */
static void find_leaf(struct snp_leaf *out, bool *found, struct view table)
{
    struct snp_cert_table parsed;
    CLEAN_CERTS certs = {0};
    *found = false;
    if (table.len == 0 || snp_cert_table_parse(&parsed, table, NULL) < 0 ||
        snp_certs_add_table(&certs, &parsed, NULL) < 0)
        return;
    for (size_t i = 0; i < certs.count && !*found; i++)
        *found = snp_leaf_parse(out, certs.cert[i], NULL) == 0;
}

static int describe_evidence(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_EVIDENCE evidence = {0};
    struct snp_report report;
    struct snp_leaf leaf;
    bool has_leaf;
    int rc = evidence_parse(&evidence, file, err);
    if (rc == 0)
        rc = snp_report_parse(&report, bytes_view(&evidence.report), err);
    if (rc < 0)
        return rc;
    find_leaf(&leaf, &has_leaf, bytes_view(&evidence.certificates));
    enum snp_product product = has_leaf ? leaf.product : snp_report_product(&report);
    char nonce[2 * EVIDENCE_NONCE_MAX + 1], r[2 * 72 + 1], s[2 * 72 + 1];
    hex_encode(nonce, evidence.nonce.data, evidence.nonce.len);
    hex_encode(r, report.signature.r, sizeof report.signature.r);
    hex_encode(s, report.signature.s, sizeof report.signature.s);
    json_t *table = NULL;
    if (evidence.certificates.len &&
        (rc = inspect_describe_table(&table, bytes_view(&evidence.certificates), err)) < 0)
        return rc;
    *out =
        json_pack("{s:s, s:s, s:I, s:s, s:o, s:i, s:s, s:s, s:s*, s:o*}", "form", forms[evidence.form], "tee",
                  "AMD SEV-SNP", "version", (json_int_t)report.version, "product", snp_product_name(product),
                  "claims", snp_claims(&report, product, has_leaf ? &leaf : NULL), "signature_algorithm",
                  (int)report.signature_algo, "signature_r", r, "signature_s", s, "nonce",
                  evidence.nonce.len ? nonce : NULL, "certificates", table);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the description");
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

const struct artefact_kind inspect_evidence = {"attestation report", evidence_recognises, describe_evidence};
const struct artefact_kind inspect_policy = {"policy", policy_recognises, describe_policy};
