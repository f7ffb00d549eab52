/* Is the collateral Intel's, of now, and about this platform? Signatures were judged when it was parsed (tdx/collateral.h). */
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "attest/tdx.h"
#include "tdx/collateral.h"
#include "vmm/base/timestamp.h"

#define DAY 86400

enum document { TCB_INFO, QE_IDENTITY };

/* One document with the dates within it. */
struct dated {
    const char *name, *member;
    const struct tdx_signed *is;
    int64_t issue_date, next_update;
    uint32_t evaluation_number;
};

static int no_collateral(const struct tdx_case *c, const char *member, struct cofre_err *why)
{
    return cofre_fail(why, COFRE_LACKING, "\"%s\" is missing: %s", member, tdx_case_lacking(c));
}

static int get(struct dated *out, const struct tdx_case *c, int which, struct cofre_err *why)
{
    const struct tdx_collateral *all = c->collateral;
    *out = (struct dated){.name = which == TCB_INFO ? "TCB info" : "QE identity",
                          .member = which == TCB_INFO ? "tcb_info" : "qe_identity"};
    if (!all || (which == TCB_INFO ? all->tcb_signed : all->qe_signed).text.len == 0)
        return no_collateral(c, out->member, why);
    out->is = which == TCB_INFO ? &all->tcb_signed : &all->qe_signed;
    out->issue_date = which == TCB_INFO ? all->tcb.issue_date : all->qe.issue_date;
    out->next_update = which == TCB_INFO ? all->tcb.next_update : all->qe.next_update;
    out->evaluation_number = which == TCB_INFO ? all->tcb.evaluation_number : all->qe.evaluation_number;
    return 0;
}

static int found(const struct tdx_finding *finding, struct cofre_err *why)
{
    return finding->rc == 0 ? 0 : cofre_fail(why, (enum cofre_error) - finding->rc, "%s", finding->why.text);
}

static bool have_one_key(X509 *a, X509 *b)
{
    EVP_PKEY *x = X509_get0_pubkey(a), *y = X509_get0_pubkey(b);
    return a == b || (x && y && EVP_PKEY_eq(x, y) == 1);
}

/* Nothing of the emulated platform's may vouch for Intel's, nor the other way round: one root for all. */
static int check_root(const struct tdx_case *c, X509 *root, struct cofre_err *why)
{
    bool given = c->in->roots && x509_certs_have(c->in->roots, root);
    if (!given && !tdx_root_is_intel(root))
        return cofre_fail(why, COFRE_NEGATIVE, "the root that its signer is under is not Intel's%s",
                          x509_is_emulated(root)
                              ? ": it is the emulated platform's, which --trust-root accepts for tests"
                              : "; anybody could have signed it");
    if (c->chain.root && !have_one_key(root, c->chain.root))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "its signer is under another root than the quote's certificates");
    return 0;
}

static bool is_list_of(const struct tdx_crl *list, X509 *issuer)
{
    return list->crl && X509_NAME_cmp(X509_CRL_get_issuer(list->crl), X509_get_subject_name(issuer)) == 0;
}

/* A list that revokes counts wherever it comes from; one that is current and does not is enough. */
int tdx_case_check_revocation(const struct tdx_case *c, X509 *cert, X509 *issuer, struct cofre_err *why)
{
    static const struct tdx_collateral none;
    const struct tdx_collateral *all = c->collateral ? c->collateral : &none;
    bool by_root = tdx_cert_role(issuer) == TDX_ROLE_ROOT || is_list_of(&all->root_ca_crl, issuer);
    const char *member = by_root ? "root_ca_crl" : "pck_crl";
    const struct tdx_crl *list = by_root ? &all->root_ca_crl : &all->pck_crl;
    int rc =
        list->crl ? tdx_crl_check(list, member, issuer, cert, c->in->at, why) : no_collateral(c, member, why);
    if (rc == -COFRE_NEGATIVE || !c->in->crls || c->in->crls->count == 0)
        return rc;
    struct cofre_err other = {""};
    int by_option = x509_check_revocation(&tdx_scheme, cert, issuer, c->in->crls, NULL, c->in->at, &other);
    if (by_option == -COFRE_NEGATIVE || (by_option < 0 && !list->crl))
        return cofre_fail(why, (enum cofre_error) - by_option, "%s", other.text);
    return rc == 0 || by_option == 0 ? 0 : rc;
}

static int check_signer(const struct tdx_case *c, int which, struct cofre_err *why)
{
    struct dated d;
    int rc = get(&d, c, which, why);
    if (rc < 0 || (rc = found(&d.is->chain_found, why)) < 0 || (rc = check_root(c, d.is->root, why)) < 0 ||
        (rc = x509_check_time(d.is->signer, c->in->at, why)) < 0 ||
        (rc = x509_check_time(d.is->root, c->in->at, why)) < 0)
        return rc;
    rc = tdx_case_check_revocation(c, d.is->signer, d.is->root, why);
    return rc < 0 ? rc
                  : say(why, 0,
                        "Intel's certificate for signing collateral, under the trusted root and not revoked");
}

static int check_signature(const struct tdx_case *c, int which, struct cofre_err *why)
{
    struct dated d;
    int rc = get(&d, c, which, why);
    if (rc == 0)
        rc = found(&d.is->signature_found, why);
    return rc < 0 ? rc : say(why, 0, "made by its signer's key over the %s, byte for byte", d.name);
}

/* A document that its issuer still calls good can be older than a policy likes: advisories came since. */
static bool is_too_old(const struct tdx_case *c, int64_t issue_date)
{
    int64_t days = c->policy->max_collateral_age_days;
    return days && c->in->at > issue_date + days * DAY;
}

static int check_window(const struct tdx_case *c, int which, struct cofre_err *why)
{
    struct dated d;
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    int rc = get(&d, c, which, why);
    if (rc < 0)
        return rc;
    time_format(from, d.issue_date);
    time_format(to, d.next_update);
    if (d.issue_date > c->in->at)
        return cofre_fail(why, COFRE_LACKING, "the %s was issued at %s, after the time of verification",
                          d.name, from);
    if (is_too_old(c, d.issue_date))
        return cofre_fail(why, COFRE_LACKING,
                          "the %s was issued at %s, more than the policy's %" PRIu32
                          " days ago; fetch a new one",
                          d.name, from, c->policy->max_collateral_age_days);
    if (c->in->at > d.next_update + (int64_t)c->policy->grace_days * DAY)
        return cofre_fail(why, COFRE_LACKING, "the %s had run out on %s; fetch a new one", d.name, to);
    return say(why, 0, "issued at %s, %s %s", from,
               c->in->at > d.next_update ? "within the policy's days of grace after" : "good until", to);
}

static int check_evaluation_number(const struct tdx_case *c, int which, struct cofre_err *why)
{
    struct dated d;
    uint32_t due = c->policy->min_evaluation_data_number;
    if (due == 0)
        return say(why, CHECK_SKIP, "the policy names no lowest evaluation data number");
    int rc = get(&d, c, which, why);
    if (rc < 0)
        return rc;
    if (d.evaluation_number < due)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the %s has number %" PRIu32 "; the policy's lowest is %" PRIu32, d.name,
                          d.evaluation_number, due);
    return say(why, 0, "number %" PRIu32 " is not below the policy's %" PRIu32, d.evaluation_number, due);
}

enum platform_id { FMSPC, PCE_ID };

static int check_platform(const struct tdx_case *c, int which, struct cofre_err *why)
{
    struct dated d;
    char due[13], is[13];
    int rc = get(&d, c, TCB_INFO, why);
    if (rc < 0)
        return rc;
    if (c->pck_rc < 0)
        return cofre_fail(why, COFRE_LACKING, "the PCK certificate is missing or could not be decoded");
    const uint8_t *of_pck = which == FMSPC ? c->pck.fmspc : c->pck.pce_id;
    const uint8_t *of_info = which == FMSPC ? c->collateral->tcb.fmspc : c->collateral->tcb.pce_id;
    size_t len = which == FMSPC ? sizeof c->pck.fmspc : sizeof c->pck.pce_id;
    hex_encode(due, of_pck, len);
    hex_encode(is, of_info, len);
    if (memcmp(of_pck, of_info, len) != 0)
        return cofre_fail(why, COFRE_NEGATIVE, "the TCB info is of another kind of platform: %s, and not %s",
                          is, due);
    return say(why, 0, "the TCB info is of this kind of platform: %s", is);
}

/* The quoting enclave against Intel's identity of it. */
static int qe_mrsigner(const struct tdx_qe_report *report, const struct tdx_qe_identity *due,
                       struct cofre_err *why)
{
    return memcmp(report->mrsigner, due->mrsigner, sizeof due->mrsigner) == 0
               ? say(why, 0, "the quoting enclave's signer is the one that Intel names")
               : cofre_fail(why, COFRE_NEGATIVE,
                            "the quoting enclave is not signed by the one that Intel names");
}

static int qe_product(const struct tdx_qe_report *report, const struct tdx_qe_identity *due,
                      struct cofre_err *why)
{
    unsigned is = le16(report->isv_prod_id);
    return is == due->isv_prod_id
               ? say(why, 0, "product id %u", is)
               : cofre_fail(why, COFRE_NEGATIVE,
                            "the enclave's product id is %u; the TD quoting enclave's is %u", is,
                            due->isv_prod_id);
}

static int qe_miscselect(const struct tdx_qe_report *report, const struct tdx_qe_identity *due,
                         struct cofre_err *why)
{
    uint32_t is = le32(report->miscselect);
    return (is & due->miscselect_mask) == due->miscselect
               ? say(why, 0, "MISCSELECT is %#" PRIx32, is)
               : cofre_fail(why, COFRE_NEGATIVE,
                            "the quoting enclave's MISCSELECT is %#" PRIx32 ", which Intel does not allow",
                            is);
}

static int qe_attributes(const struct tdx_qe_report *report, const struct tdx_qe_identity *due,
                         struct cofre_err *why)
{
    for (size_t i = 0; i < sizeof due->attributes; i++)
        if ((report->attributes[i] & due->attributes_mask[i]) != due->attributes[i])
            return cofre_fail(
                why, COFRE_NEGATIVE,
                "byte %zu of the quoting enclave's attributes is %#x, which Intel does not allow", i,
                report->attributes[i]);
    return say(why, 0, "the quoting enclave's attributes are those that Intel names");
}

static int (*const qe_checks[])(const struct tdx_qe_report *, const struct tdx_qe_identity *,
                                struct cofre_err *) = {qe_mrsigner, qe_product, qe_miscselect, qe_attributes};

static int check_qe(const struct tdx_case *c, int which, struct cofre_err *why)
{
    struct dated d;
    int rc = get(&d, c, QE_IDENTITY, why);
    return rc < 0 ? rc : qe_checks[which](&c->quote.qe->report, &c->collateral->qe, why);
}

const struct tdx_check tdx_collateral_checks[] = {
    {"tdx.tcb_info_signer", check_signer, TCB_INFO},
    {"tdx.tcb_info_signature", check_signature, TCB_INFO},
    {"tdx.tcb_info_window", check_window, TCB_INFO},
    {"tdx.tcb_info_evaluation_number", check_evaluation_number, TCB_INFO},
    {"tdx.fmspc", check_platform, FMSPC},
    {"tdx.pce_id", check_platform, PCE_ID},
    {"tdx.qe_identity_signer", check_signer, QE_IDENTITY},
    {"tdx.qe_identity_signature", check_signature, QE_IDENTITY},
    {"tdx.qe_identity_window", check_window, QE_IDENTITY},
    {"tdx.qe_identity_evaluation_number", check_evaluation_number, QE_IDENTITY},
    {"tdx.qe_mrsigner", check_qe, 0},
    {"tdx.qe_product", check_qe, 1},
    {"tdx.qe_miscselect", check_qe, 2},
    {"tdx.qe_attributes", check_qe, 3},
    {NULL, NULL, 0},
};
