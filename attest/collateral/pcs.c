/*
 * Intel's provisioning certification service, or a PCCS between: addresses, and what the answers must be. Each is read as the
 * member of a collateral file that it would be, by the reader of those (tdx/collateral.h).
 */
#include <ctype.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "attest/collateral/kinds.h"
#include "attest/collateral/tdx_file.h"
#include "vmm/base/cleanup.h"

static const char *update_of(const struct collateral_id *id)
{
    return id->early ? "early" : "standard";
}

void pcs_url(char out[COLLATERAL_URL_MAX], const struct collateral_sources *s, const struct collateral_id *id)
{
    const char *base = s->pccs ? s->pccs : s->pcs;
    char fmspc[2 * sizeof id->fmspc + 1];
    hex_encode(fmspc, id->fmspc, sizeof id->fmspc);
    switch (id->kind) {
    case PCS_TCB_INFO:
        (void)snprintf(out, COLLATERAL_URL_MAX, "%s/tdx/certification/v4/tcb?fmspc=%s&update=%s", base, fmspc,
                       update_of(id));
        break;
    case PCS_QE_IDENTITY:
        (void)snprintf(out, COLLATERAL_URL_MAX, "%s/tdx/certification/v4/qe/identity?update=%s", base,
                       update_of(id));
        break;
    case PCS_PCK_CRL:
        (void)snprintf(out, COLLATERAL_URL_MAX, "%s/sgx/certification/v4/pckcrl?ca=%s&encoding=der", base,
                       id->platform_ca ? "platform" : "processor");
        break;
    default: /* Intel publishes this one elsewhere than the rest; a PCCS has it too */
        if (s->pccs)
            (void)snprintf(out, COLLATERAL_URL_MAX, "%s/sgx/certification/v4/rootcacrl", base);
        else
            (void)snprintf(out, COLLATERAL_URL_MAX, "%s", s->pcs_root_crl);
    }
}

const char *pcs_chain_header(enum collateral_kind kind)
{
    static const char *const headers[COLLATERAL_KINDS] = {
        [PCS_TCB_INFO] = "TCB-Info-Issuer-Chain",
        [PCS_QE_IDENTITY] = "SGX-Enclave-Identity-Issuer-Chain",
        [PCS_PCK_CRL] = "SGX-PCK-CRL-Issuer-Chain",
    };
    return headers[kind];
}

static bool is_hex(const struct bytes *body)
{
    for (size_t i = 0; i < body->len; i++)
        if (!isxdigit(body->data[i]))
            return false;
    return body->len > 0;
}

static int from_hex(struct bytes *body, struct cofre_err *err)
{
    CLEAN_FREE char *text = strndup((const char *)body->data, body->len);
    struct bytes der = {0};
    int rc = text ? hex_decode_some(&der, COLLATERAL_BODY_MAX, text, err)
                  : cofre_fail(err, COFRE_FAILED, "out of memory");
    if (rc < 0)
        return rc;
    bytes_free(body);
    *body = der;
    return 0;
}

int pcs_unwrap_crl(struct bytes *body, struct cofre_err *err)
{
    CLEAN_CRLS crls = {0};
    uint8_t *der = NULL;
    int rc = is_hex(body) ? from_hex(body, err) : 0;
    if (rc == 0)
        rc = x509_crls_add(&crls, bytes_view(body), err);
    if (rc == 0 && crls.count != 1)
        rc = cofre_fail(err, COFRE_MALFORMED, "%zu revocation lists, where one is due", crls.count);
    if (rc < 0)
        return rc;
    int len = i2d_X509_CRL(crls.crl[0], &der);
    bytes_free(body);
    rc = len > 0 ? bytes_copy(body, (struct view){der, (size_t)len}, err)
                 : cofre_fail(err, COFRE_FAILED, "out of memory");
    OPENSSL_free(der);
    return rc;
}

static int read_alone(struct tdx_collateral *out, const struct collateral_case *c, struct cofre_err *err)
{
    const struct tdx_part part = {c->id->kind, c->item};
    return tdx_file_read(out, &part, 1, err);
}

static int check_root(const struct collateral_case *c, X509 *root, struct cofre_err *err)
{
    if (!tdx_root_is_intel(root) && !(c->roots && x509_certs_have(c->roots, root)))
        return cofre_fail(err, COFRE_NEGATIVE, "the root that its signer is under is not Intel's");
    return x509_check_time(root, c->now, err);
}

static int check_signed(const struct collateral_case *c, const struct tdx_signed *s, struct cofre_err *err)
{
    const struct tdx_finding *const found[] = {&s->chain_found, &s->signature_found};
    for (size_t i = 0; i < 2; i++)
        if (found[i]->rc < 0)
            return cofre_fail(err, COFRE_NEGATIVE, "%s", found[i]->why.text);
    int rc = check_root(c, s->root, err);
    if (rc == 0)
        rc = x509_check_time(s->signer, c->now, err);
    return rc < 0 ? rc : collateral_check_window(c, err);
}

int pcs_check_tcb_info(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_COLLATERAL read = {0};
    char is[13];
    int rc = read_alone(&read, c, err);
    if (rc < 0)
        return rc;
    c->item->issued = read.tcb.issue_date;
    c->item->until = read.tcb.next_update;
    hex_encode(is, read.tcb.fmspc, sizeof read.tcb.fmspc);
    if (memcmp(read.tcb.fmspc, c->id->fmspc, sizeof c->id->fmspc) != 0)
        return cofre_fail(err, COFRE_NEGATIVE, "it is of another FMSPC: %s", is);
    return check_signed(c, &read.tcb_signed, err);
}

int pcs_check_qe_identity(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_COLLATERAL read = {0};
    int rc = read_alone(&read, c, err);
    if (rc < 0)
        return rc;
    c->item->issued = read.qe.issue_date;
    c->item->until = read.qe.next_update;
    return check_signed(c, &read.qe_signed, err);
}

int pcs_check_pck_crl(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_COLLATERAL read = {0};
    const enum tdx_role due = c->id->platform_ca ? TDX_ROLE_PLATFORM_CA : TDX_ROLE_PROCESSOR_CA;
    int rc = read_alone(&read, c, err);
    if (rc < 0)
        return rc;
    X509 *ca = read.pck_crl.signer;
    const struct x509_certs *bags[2] = {&read.pck_crl_issuers, NULL};
    if (!ca)
        return cofre_fail(err, COFRE_NEGATIVE, "no certificate of its issuer chain signed it");
    if (tdx_cert_role(ca) != due)
        return cofre_fail(err, COFRE_NEGATIVE, "it is signed by: %s", tdx_role_name(tdx_cert_role(ca)));
    X509 *root = x509_find_issuer(&tdx_scheme, ca, bags, true);
    if (!root)
        return cofre_fail(err, COFRE_NEGATIVE, "its issuer chain has no root");
    if ((rc = check_root(c, root, err)) < 0 || (rc = x509_check_ca(&tdx_scheme, root, 1, err)) < 0 ||
        (rc = x509_check_issued(&tdx_scheme, root, root, err)) < 0 ||
        (rc = x509_check_ca(&tdx_scheme, ca, 0, err)) < 0 ||
        (rc = x509_check_issued(&tdx_scheme, ca, root, err)) < 0 ||
        (rc = x509_check_time(ca, c->now, err)) < 0)
        return rc;
    return collateral_crl_dates(c, read.pck_crl.crl, err);
}

/* It comes without a chain, and is kept with the one of the PCK platform CA's list. */
int pcs_check_root_crl(struct collateral_case *c, struct cofre_err *err)
{
    CLEAN_COLLATERAL read = {0};
    int rc = 0;
    if (c->item->chain.len == 0)
        rc = c->base ? bytes_copy(&c->item->chain, bytes_view(&c->base->chain), err)
                     : cofre_fail(err, COFRE_LACKING,
                                  "the list of the PCK platform CA is not there to check it with");
    if (rc == 0)
        rc = read_alone(&read, c, err);
    if (rc < 0)
        return rc;
    X509 *root = read.root_ca_crl.signer;
    if (!root || tdx_cert_role(root) != TDX_ROLE_ROOT)
        return cofre_fail(err, COFRE_NEGATIVE, "it is not signed by the root");
    rc = check_root(c, root, err);
    return rc < 0 ? rc : collateral_crl_dates(c, read.root_ca_crl.crl, err);
}
