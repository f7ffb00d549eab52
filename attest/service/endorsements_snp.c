#include <string.h>

#include "attest/service/endorsements_parts.h"
#include "sev/report.h"

/* What its own table of certificates says of who signed a report. */
struct signer {
    bool has_leaf, vlek;
    enum snp_product product;
};

static enum snp_product product_of(struct view der)
{
    CLEAN_CERTS certs = {.count = 0};
    struct snp_leaf leaf;
    return x509_certs_add(&certs, der, NULL) == 0 && snp_leaf_parse(&leaf, certs.cert[0], NULL) == 0
               ? leaf.product
               : SNP_PRODUCT_UNKNOWN;
}

static void find_signer(struct signer *out, const struct evidence *evidence, const struct snp_report *report)
{
    struct snp_cert_table table;
    *out = (struct signer){.vlek = SNP_REPORT_SIGNING_KEY(report->flags) == SNP_SIGNING_KEY_VLEK,
                           .product = snp_report_product(report)};
    if (evidence->certificates.len == 0 ||
        snp_cert_table_parse(&table, bytes_view(&evidence->certificates), NULL) < 0)
        return;
    for (size_t i = 0; i < table.count; i++) {
        enum snp_cert_kind kind = table.entry[i].kind;
        if (kind != SNP_CERT_VCEK && kind != SNP_CERT_VLEK)
            continue;
        out->has_leaf = true;
        if (out->product == SNP_PRODUCT_UNKNOWN)
            out->product = product_of(table.entry[i].data);
    }
}

static int take_vcek(struct occasion *o, const struct snp_report *report, enum snp_product product,
                     struct cofre_err *err)
{
    struct collateral_id id = {.kind = KDS_VCEK, .product = product};
    struct cofre_err why = {""};
    memcpy(id.hwid, report->chip_id, sizeof id.hwid);
    if (bytes_are_zero(id.hwid, sizeof id.hwid) || !snp_tcb_decode(&id.tcb, report->reported_tcb, product))
        return 0;
    int rc = shelf_vcek(o->e->shelf, o->db, &id, o->in->at, &o->certs, &o->again, &why);
    if (o->certs)
        o->in->certs = &o->certs->certs;
    *err = why;
    return occasion_take_no(o, rc, &why);
}

static int take_list(struct occasion *o, const struct signer *signer, struct cofre_err *err)
{
    const struct collateral_id id = {.kind = KDS_CRL, .product = signer->product, .vlek = signer->vlek};
    int rc = shelf_crl(o->e->shelf, o->db, &id, o->in->at, &o->list, &o->again, err);
    if (rc < 0 || !o->list)
        return rc == -COFRE_NEGATIVE ? -COFRE_LACKING : rc;
    rc = x509_crls_join(&o->crls, &o->list->crls, err);
    o->in->crls = &o->crls;
    return rc;
}

int occasion_equip_snp(struct occasion *o, struct cofre_err *err)
{
    struct snp_report report;
    struct signer signer;
    if (snp_report_parse(&report, bytes_view(&o->in->evidence->report), NULL) < 0)
        return 0;
    find_signer(&signer, o->in->evidence, &report);
    if (signer.product == SNP_PRODUCT_UNKNOWN)
        return 0;
    int rc = signer.has_leaf || signer.vlek ? 0 : take_vcek(o, &report, signer.product, err);
    return rc == 0 && (signer.has_leaf || o->certs) ? take_list(o, &signer, err) : rc;
}
