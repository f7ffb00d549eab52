/* AMD's key distribution service: addresses, and what its answers must be. */
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "attest/collateral/kinds.h"

#define TURIN_HWID 8 /* bytes of a chip's id in Turin's addresses, which have 64 elsewhere */

/* In the order of the interface specification; Turin has the first, which others have not. */
static const struct {
    const char *name;
    enum snp_tcb_component component;
} parameters[] = {
    {"fmcSPL", SNP_TCB_FMC}, {"blSPL", SNP_TCB_BOOT_LOADER},  {"teeSPL", SNP_TCB_TEE},
    {"snpSPL", SNP_TCB_SNP}, {"ucodeSPL", SNP_TCB_MICROCODE},
};

static void vcek_url(char out[COLLATERAL_URL_MAX], const char *base, const struct collateral_id *id)
{
    char hwid[2 * sizeof id->hwid + 1];
    hex_encode(hwid, id->hwid, id->product == SNP_PRODUCT_TURIN ? TURIN_HWID : sizeof id->hwid);
    int used =
        snprintf(out, COLLATERAL_URL_MAX, "%s/vcek/v1/%s/%s", base, snp_product_name(id->product), hwid);
    char before = '?';
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        if (snp_tcb_byte(id->product, parameters[i].component) < 0 || used >= COLLATERAL_URL_MAX)
            continue;
        used += snprintf(out + used, COLLATERAL_URL_MAX - (size_t)used, "%c%s=%u", before, parameters[i].name,
                         id->tcb.svn[parameters[i].component]);
        before = '&';
    }
}

void kds_url(char out[COLLATERAL_URL_MAX], const char *base, const struct collateral_id *id)
{
    if (id->kind == KDS_VCEK)
        vcek_url(out, base, id);
    else
        (void)snprintf(out, COLLATERAL_URL_MAX, "%s/%s/v1/%s/%s", base, id->vlek ? "vlek" : "vcek",
                       snp_product_name(id->product), id->kind == KDS_CRL ? "crl" : "cert_chain");
}

static X509 *of_role(const struct x509_certs *certs, enum snp_cert_role role, enum snp_product product)
{
    for (size_t i = 0; i < certs->count; i++) {
        enum snp_product of;
        if (snp_cert_role(certs->cert[i], &of) == role && of == product)
            return certs->cert[i];
    }
    return NULL;
}

struct issuers {
    struct x509_certs certs;
    X509 *ark, *ask;
};

static void issuers_free(struct issuers *issuers)
{
    x509_certs_free(&issuers->certs);
}
#define CLEAN_ISSUERS __attribute__((cleanup(issuers_free))) struct issuers

static int read_issuers(struct issuers *out, struct view pem, enum snp_product product, struct cofre_err *err)
{
    int rc = x509_certs_add(&out->certs, pem, err);
    if (rc < 0)
        return rc;
    out->ark = of_role(&out->certs, SNP_ROLE_ARK, product);
    out->ask = of_role(&out->certs, SNP_ROLE_ASK, product);
    if (!out->ark || !out->ask)
        return cofre_fail(err, COFRE_NEGATIVE, "it has no %s of %s", out->ark ? "ASK" : "ARK",
                          snp_product_name(product));
    return 0;
}

/* The base was checked when it was kept. */
static int read_base(struct issuers *out, const struct collateral_case *c, struct cofre_err *err)
{
    if (!c->base)
        return cofre_fail(err, COFRE_LACKING, "AMD's chain for %s is not there to check it with",
                          snp_product_name(c->id->product));
    return read_issuers(out, bytes_view(&c->base->body), c->id->product, err);
}

int kds_check_chain(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_ISSUERS chain = {.ark = NULL};
    char name[128];
    int rc = read_issuers(&chain, bytes_view(&c->item->body), c->id->product, err);
    if (rc < 0)
        return rc;
    x509_name(name, chain.ark);
    if (!snp_root_is_amd(chain.ark, c->id->product) && !(c->roots && x509_certs_have(c->roots, chain.ark)))
        return cofre_fail(err, COFRE_NEGATIVE, "the key of its root %s is not AMD's", name);
    if ((rc = x509_check_ca(&snp_scheme, chain.ark, 1, err)) < 0 ||
        (rc = x509_check_issued(&snp_scheme, chain.ark, chain.ark, err)) < 0 ||
        (rc = x509_check_ca(&snp_scheme, chain.ask, 0, err)) < 0 ||
        (rc = x509_check_issued(&snp_scheme, chain.ask, chain.ark, err)) < 0 ||
        (rc = x509_check_time(chain.ark, c->now, err)) < 0 ||
        (rc = x509_check_time(chain.ask, c->now, err)) < 0)
        return rc;
    c->item->issued = 0;
    c->item->until = COLLATERAL_FOR_EVER;
    return 0;
}

int kds_check_crl(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_ISSUERS chain = {.ark = NULL};
    CLEAN_CRLS crls = {0};
    int rc = x509_crls_add(&crls, bytes_view(&c->item->body), err);
    if (rc == 0)
        rc = read_base(&chain, c, err);
    if (rc < 0)
        return rc;
    if (crls.count != 1 || !x509_crl_is_by(&snp_scheme, crls.crl[0], chain.ark))
        return cofre_fail(err, COFRE_NEGATIVE, "it is not signed by the ARK of %s",
                          snp_product_name(c->id->product));
    return collateral_crl_dates(c, crls.crl[0], err);
}

static int check_leaf(const struct collateral_case *c, X509 *cert, struct cofre_err *err)
{
    struct snp_leaf leaf;
    char hwid[2 * 8 + 1];
    if (snp_cert_role(cert, NULL) != SNP_ROLE_VCEK)
        return cofre_fail(err, COFRE_NEGATIVE, "it is no VCEK but: %s",
                          snp_cert_role_name(snp_cert_role(cert, NULL)));
    int rc = snp_leaf_parse(&leaf, cert, err);
    if (rc < 0)
        return rc;
    if (leaf.product != c->id->product)
        return cofre_fail(err, COFRE_NEGATIVE, "it is for a %s", leaf.product_name);
    if (memcmp(leaf.hwid, c->id->hwid, sizeof leaf.hwid) != 0) {
        hex_encode(hwid, leaf.hwid, 8);
        return cofre_fail(err, COFRE_NEGATIVE, "it is another chip's: %s...", hwid);
    }
    if (memcmp(&leaf.tcb, &c->id->tcb, sizeof leaf.tcb) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "it is for another TCB: %016llx",
                          (unsigned long long)snp_tcb_encode(&leaf.tcb, leaf.product));
    return 0;
}

int kds_check_vcek(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_ISSUERS chain = {.ark = NULL};
    CLEAN_CERTS certs = {.count = 0};
    int rc = x509_certs_add(&certs, bytes_view(&c->item->body), err);
    if (rc == 0 && certs.count != 1)
        rc = cofre_fail(err, COFRE_MALFORMED, "%zu certificates, where one is due", certs.count);
    if (rc == 0)
        rc = read_base(&chain, c, err);
    if (rc == 0)
        rc = check_leaf(c, certs.cert[0], err);
    if (rc < 0 || (rc = x509_check_end_entity(certs.cert[0], &ecdsa_p384, err)) < 0 ||
        (rc = x509_check_issued(&snp_scheme, certs.cert[0], chain.ask, err)) < 0 ||
        (rc = x509_check_time(certs.cert[0], c->now, err)) < 0)
        return rc;
    c->item->issued = 0;
    c->item->until = COLLATERAL_FOR_EVER;
    return 0;
}
