#include "attest/snp.h"

#include <openssl/x509.h>

#include <stdio.h>

#include "sev/cert_table.h"
#include "vmm/base/x509_issued.h"

/* Where nobody brought a CA's certificate AMD's own are taken; where somebody did, the chain is judged as brought. */
static int collect_certs(struct snp_case *c, struct cofre_err *err)
{
    int rc = c->in->certs ? x509_certs_join(&c->certs, c->in->certs, err) : 0;
    struct view table = bytes_view(&c->in->evidence->certificates);
    if (rc == 0 && table.len) {
        struct snp_cert_table parsed;
        rc = snp_cert_table_parse(&parsed, table, err);
        if (rc == 0)
            rc = snp_certs_add_table(&c->certs, &parsed, c->in->issued, err);
        if (rc < 0)
            return cofre_within(err, rc, "certificates that came with the evidence");
    }
    bool has_leaf = false, has_ca = false;
    for (size_t i = 0; i < c->certs.count; i++) {
        bool is_leaf = snp_role_is_leaf(snp_cert_role(c->certs.cert[i], NULL));
        has_leaf |= is_leaf;
        has_ca |= !is_leaf;
    }
    return rc == 0 && has_leaf && !has_ca ? snp_certs_add_amd(&c->certs, err) : rc;
}

/* Of several leaves the one whose key made the signature; else the first of the kind that the report names. */
static X509 *choose_leaf(const struct snp_case *c)
{
    X509 *leaf[X509_CERTS_MAX], *fits = NULL;
    size_t count = 0;
    for (size_t i = 0; i < c->certs.count; i++) {
        enum snp_cert_role role = snp_cert_role(c->certs.cert[i], NULL);
        if (!snp_role_is_leaf(role))
            continue;
        leaf[count++] = c->certs.cert[i];
        bool vlek = SNP_REPORT_SIGNING_KEY(c->report.flags) == SNP_SIGNING_KEY_VLEK;
        if (!fits && vlek == (role == SNP_ROLE_VLEK))
            fits = c->certs.cert[i];
    }
    for (size_t i = 0; count > 1 && i < count; i++)
        if (X509_get0_pubkey(leaf[i]) &&
            snp_report_check_signature(&c->report, X509_get0_pubkey(leaf[i]), NULL) == 0)
            return leaf[i];
    return fits || count == 0 ? fits : leaf[0];
}

#define OF(FIELD)                                                                                            \
    {                                                                                                        \
        (const uint8_t *)&c->report.FIELD, sizeof c->report.FIELD                                            \
    }
static void settle_reference(struct snp_case *c)
{
    const bool vlek = SNP_REPORT_SIGNING_KEY(c->report.flags) == SNP_SIGNING_KEY_VLEK;
    const struct reference_facts facts = {
        .tee = REFERENCE_SNP,
        .product = c->product,
        .key = vlek ? REFERENCE_VLEK : REFERENCE_VCEK,
        .field = {[REFERENCE_MEASUREMENT] = OF(measurement),
                  [REFERENCE_HOST_DATA] = OF(host_data),
                  [REFERENCE_ID_KEY] = OF(id_key_digest),
                  [REFERENCE_AUTHOR_KEY] = OF(author_key_digest),
                  [REFERENCE_FAMILY_ID] = OF(family_id),
                  [REFERENCE_IMAGE_ID] = OF(image_id),
                  [REFERENCE_GUEST_POLICY] = OF(policy),
                  [REFERENCE_PLATFORM_INFO] = OF(platform_info),
                  [REFERENCE_GUEST_SVN] = OF(guest_svn),
                  [REFERENCE_VMPL] = OF(vmpl),
                  [REFERENCE_CURRENT_TCB] = OF(current_tcb),
                  [REFERENCE_REPORTED_TCB] = OF(reported_tcb),
                  [REFERENCE_COMMITTED_TCB] = OF(committed_tcb),
                  [REFERENCE_LAUNCH_TCB] = OF(launch_tcb)},
    };
    judge_references(&c->reference, &c->policy->reference, c->in->references, &facts, c->in->at);
}
#undef OF

static void settle(struct snp_case *c)
{
    snp_chain_build(&c->chain, choose_leaf(c), &c->certs, c->in->roots);
    c->leaf_rc = c->chain.leaf
                     ? snp_leaf_parse(&c->leaf, c->chain.leaf, &c->leaf_why)
                     : cofre_fail(&c->leaf_why, COFRE_LACKING, "there is no VCEK or VLEK to decode");
    c->product = c->leaf_rc == 0 ? c->leaf.product : snp_report_product(&c->report);
    const struct {
        struct snp_tcb *to;
        uint64_t raw;
    } tcbs[] = {{&c->current, c->report.current_tcb},
                {&c->reported, c->report.reported_tcb},
                {&c->committed, c->report.committed_tcb},
                {&c->launch, c->report.launch_tcb}};
    c->tcb_decoded = true;
    for (size_t i = 0; i < sizeof tcbs / sizeof *tcbs; i++)
        if (!snp_tcb_decode(tcbs[i].to, tcbs[i].raw, c->product))
            c->tcb_decoded = false;
    settle_reference(c);
}

static int make_checks(struct verdict *out, const struct snp_case *c, const struct snp_check *checks,
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

static void describe(struct verdict *out, const struct snp_case *c)
{
    const struct snp_chain *chain = &c->chain;
    enum snp_product line = SNP_PRODUCT_UNKNOWN;
    if (chain->root)
        snp_cert_role(chain->root, &line);
    out->tee = "snp";
    out->title = c->in->service ? "AMD SEV-SNP report on an SVSM's services" : "AMD SEV-SNP report";
    out->version = c->report.version;
    (void)snprintf(out->product, sizeof out->product, "%s", snp_product_name(c->product));
    out->root = chain->root && snp_root_is_amd(chain->root, line)                           ? "AMD"
                : chain->root && c->in->roots && x509_certs_have(c->in->roots, chain->root) ? "--trust-root"
                                                                                            : "none";
    out->emulated = (chain->leaf && x509_is_emulated(chain->leaf)) ||
                    (chain->intermediate && x509_is_emulated(chain->intermediate)) ||
                    (chain->root && x509_is_emulated(chain->root));
    out->claims = snp_claims(&c->report, c->product, c->leaf_rc == 0 ? &c->leaf : NULL);
    if (out->claims && c->in->service)
        json_object_set_new(out->claims, "service", snp_service_claims(c->in->service));
    out->advisories = json_array();
}

static int appraise_case(struct verdict *out, struct snp_case *c, struct cofre_err *err)
{
    int rc = snp_report_parse(&c->report, bytes_view(&c->in->evidence->report), err);
    if (rc == 0)
        rc = collect_certs(c, err);
    if (rc < 0)
        return rc;
    settle(c);
    describe(out, c);
    if (!out->claims || !out->advisories)
        return cofre_fail(err, COFRE_FAILED, "no memory for the verdict");
    rc = reference_describe(out, &c->reference, err);
    if (rc == 0)
        rc = make_checks(out, c, snp_genuine_checks, err);
    return rc < 0 ? rc : make_checks(out, c, snp_policy_checks, err);
}

/* Only of reports that pass, whose checks found it. */
static void remember_chain(const struct snp_case *c, const struct verdict *verdict)
{
    const struct snp_chain *chain = &c->chain;
    if (!c->in->issued || verdict_outcome(verdict) != CHECK_PASSED)
        return;
    x509_issued_add(c->in->issued, &snp_scheme, chain->root, chain->root);
    x509_issued_add(c->in->issued, &snp_scheme, chain->intermediate, chain->root);
    x509_issued_add(c->in->issued, &snp_scheme, chain->leaf, chain->intermediate);
}

int snp_appraise(struct verdict *out, const struct appraisal *in, struct cofre_err *err)
{
    struct snp_case c = {.in = in, .policy = &in->policy->snp};
    int rc = appraise_case(out, &c, err);
    if (rc == 0)
        remember_chain(&c, out);
    x509_certs_free(&c.certs);
    if (rc < 0)
        verdict_free(out);
    return rc;
}
