#include "attest/tdx.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "tdx/collateral.h"

/* PEM as Intel's service writes it may end in the zero of a C string. */
static struct view certificate_text(const struct tdx_quote *quote)
{
    struct view text = quote->certification;
    while (text.len && text.data[text.len - 1] == 0)
        text.len--;
    return text;
}

/* The quote's own; what of it the collateral has too is taken from there, with what was found of it. */
static int collect_quote_certs(struct tdx_case *c, struct cofre_err *err)
{
    static const struct x509_certs none;
    const struct tdx_collateral *have = c->collateral;
    const struct x509_certs *const known[] = {have ? &have->pck_crl_issuers : &none, NULL};
    struct view text = certificate_text(&c->quote);
    int rc = c->signer ? x509_certs_join(&c->certs, &c->signer->certs, err)
             : have && have->pck_chain.count && view_equal(text, bytes_view(&have->pck_chain_text))
                 ? x509_certs_join(&c->certs, &have->pck_chain, err)
                 : x509_certs_add_known(&c->certs, text, known, err);
    c->own_certs = c->certs.count;
    return rc < 0 ? cofre_within(err, rc, "certificates in the quote") : 0;
}

/* The quote's own, the verifier's, and for what a quote without a whole chain lacks, the collateral's. */
static int collect_certs(struct tdx_case *c, struct cofre_err *err)
{
    unsigned type = c->quote.certification_type;
    bool whole = type == TDX_CERTIFICATION_PCK_CHAIN;
    int rc = 0;
    if (whole || type == TDX_CERTIFICATION_PCK_LEAF)
        rc = collect_quote_certs(c, err);
    if (rc == 0 && c->in->certs)
        rc = x509_certs_join(&c->certs, c->in->certs, err);
    if (rc == 0 && c->collateral && !whole)
        rc = x509_certs_join(&c->certs, &c->collateral->pck_chain, err);
    return rc;
}

static bool signed_qe_report(X509 *cert, const struct tdx_quote *quote)
{
    struct view report = {(const uint8_t *)&quote->qe->report, sizeof quote->qe->report};
    EVP_PKEY *key = X509_get0_pubkey(cert);
    return key && ecdsa_verify(&ecdsa_p256, quote->qe->report_signature, key, report, NULL) == 0;
}

static bool is_ca_by_name(X509 *cert)
{
    enum tdx_role role = tdx_cert_role(cert);
    return role == TDX_ROLE_ROOT || role == TDX_ROLE_PLATFORM_CA || role == TDX_ROLE_PROCESSOR_CA;
}

/* Of several certificates that no CA's name is on, the one whose key signed the QE's report; else a PCK's by its name; else
 * the first. */
static X509 *choose_pck(const struct tdx_case *c)
{
    X509 *leaf[X509_CERTS_MAX], *named = NULL;
    size_t count = 0;
    for (size_t i = 0; i < c->certs.count; i++) {
        if (is_ca_by_name(c->certs.cert[i]))
            continue;
        leaf[count++] = c->certs.cert[i];
        if (!named && tdx_cert_role(c->certs.cert[i]) == TDX_ROLE_PCK)
            named = c->certs.cert[i];
    }
    for (size_t i = 0; count > 1 && i < count; i++)
        if (signed_qe_report(leaf[i], &c->quote))
            return leaf[i];
    return named || count == 0 ? named : leaf[0];
}

/* Whoever signed a quote that passed and came with these bytes; what was found of it then holds for the chain as it was. */
static void settle_signer(struct tdx_case *c)
{
    tdx_chain_build(&c->chain, choose_pck(c), &c->certs, c->in->roots);
    if (c->signer && memcmp(&c->chain, &c->signer->chain, sizeof c->chain) != 0)
        c->signer = NULL;
    if (c->signer && EVP_PKEY_up_ref(c->signer->attestation_key) == 1) {
        c->attestation_key = c->signer->attestation_key;
        c->pck = c->signer->pck;
        return;
    }
    (void)ecdsa_key_import(&c->attestation_key, &ecdsa_p256, c->quote.signature->attestation_key, NULL);
    c->pck_rc = c->chain.leaf ? tdx_collateral_pck(&c->pck, c->collateral, c->chain.leaf, &c->pck_why)
                              : cofre_fail(&c->pck_why, COFRE_LACKING,
                                           "there is no PCK certificate: the quote has none, and neither "
                                           "--collateral nor --cert brings one");
}

static void settle_reference(struct tdx_case *c)
{
    const struct tdx_quote_body *body = c->quote.body;
    struct reference_facts facts = {
        .tee = REFERENCE_TDX,
        .field = {[REFERENCE_MRTD] = VIEW(body->mrtd),
                  [REFERENCE_TD_ATTRIBUTES] = VIEW(body->td_attributes),
                  [REFERENCE_TEE_TCB_SVN] = VIEW(body->tee_tcb_svn)},
    };
    for (unsigned i = 0; i < TDX_RTMRS; i++)
        facts.field[REFERENCE_RTMR0 + i] = VIEW(body->rtmr[i]);
    judge_references(&c->reference, &c->policy->reference, c->in->references, &facts, c->in->at);
}

const char *tdx_case_lacking(const struct tdx_case *c)
{
    const char *lacking = c->in->lacking;
    return lacking && *lacking ? lacking : "give Intel's collateral with --collateral";
}

static int find_collateral(struct tdx_case *c, struct cofre_err *err)
{
    const struct appraisal_finder *finder = &c->in->finder;
    if (c->collateral || !finder->find || c->pck_rc < 0)
        return 0;
    return finder->find(finder->context, &c->pck, &c->chain, &c->collateral, err);
}

static int settle(struct tdx_case *c, struct cofre_err *err)
{
    if (c->in->signers)
        c->signer = tdx_signers_find(c->in->signers, tdx_signer_bytes(&c->quote));
    int rc = collect_certs(c, err);
    if (rc < 0)
        return rc;
    settle_signer(c);
    rc = find_collateral(c, err);
    if (rc < 0)
        return rc;
    tdx_tcb_settle(c);
    tdx_event_log_settle(c);
    settle_reference(c);
    return 0;
}

static int make_checks(struct verdict *out, const struct tdx_case *c, const struct tdx_check *checks,
                       struct cofre_err *err)
{
    for (; checks->id; checks++) {
        struct cofre_err why = {""};
        int rc = checks->check(c, checks->arg, &why);
        rc = verdict_add(out, checks->id, rc, &why, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void describe(struct verdict *out, const struct tdx_case *c)
{
    X509 *const chain[] = {c->chain.leaf, c->chain.intermediate, c->chain.root};
    X509 *root = c->chain.root;
    out->tee = "tdx";
    out->title = "Intel TDX quote";
    out->version = c->quote.version;
    (void)strcpy(out->product, "unknown");
    if (c->pck_rc == 0)
        hex_encode(out->product, c->pck.fmspc, sizeof c->pck.fmspc);
    out->root = root && tdx_root_is_intel(root)                               ? "Intel"
                : root && c->in->roots && x509_certs_have(c->in->roots, root) ? "--trust-root"
                                                                              : "none";
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
        out->emulated |= chain[i] && x509_is_emulated(chain[i]);
    out->claims = tdx_claims(&c->quote, c->pck_rc == 0 ? &c->pck : NULL);
    out->advisories = json_array();
}

static int appraise_case(struct verdict *out, struct tdx_case *c, struct cofre_err *err)
{
    static const struct tdx_check *const tables[] = {tdx_genuine_checks, tdx_collateral_checks,
                                                     tdx_tcb_checks, tdx_event_log_checks, tdx_policy_checks};
    int rc = tdx_quote_parse(&c->quote, bytes_view(&c->in->evidence->report), err);
    if (rc == 0)
        rc = settle(c, err);
    if (rc < 0)
        return rc;
    describe(out, c);
    if (!out->claims || !out->advisories || tdx_tcb_describe(out, c) < 0)
        return cofre_fail(err, COFRE_FAILED, "no memory for the verdict");
    rc = reference_describe(out, &c->reference, err);
    for (size_t i = 0; rc == 0 && i < sizeof tables / sizeof *tables; i++)
        rc = make_checks(out, c, tables[i], err);
    return rc;
}

/* Only of quotes that pass, whose checks found all that is remembered: strangers cannot push out those that are known. */
static void remember_signer(const struct tdx_case *c, const struct verdict *verdict)
{
    if (!c->in->signers || c->signer || verdict_outcome(verdict) != CHECK_PASSED)
        return;
    struct tdx_signer met = {.bytes = tdx_signer_bytes(&c->quote),
                             .certs = c->certs,
                             .chain = c->chain,
                             .pck = c->pck,
                             .attestation_key = c->attestation_key};
    met.certs.count = c->own_certs;
    tdx_signers_add(c->in->signers, &met);
}

int tdx_appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err)
{
    struct tdx_case c = {.in = in, .policy = &in->policy->tdx, .collateral = in->collateral};
    int rc = appraise_case(out, &c, err);
    if (rc == 0)
        remember_signer(&c, out);
    EVP_PKEY_free(c.attestation_key);
    x509_certs_free(&c.certs);
    tdx_event_log_free(&c.events);
    if (rc < 0)
        verdict_free(out);
    return rc;
}
