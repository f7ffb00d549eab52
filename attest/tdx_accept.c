/* Checks against the policy and the verifier's arguments. */
#include <inttypes.h>
#include <string.h>

#include "attest/tdx.h"
#include "tdx/attributes.h"

static int check_attribute(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    const struct policy_named_bit *bit = &policy_tdx_attributes[arg];
    return judge_bit(c->policy->td_attributes[arg], le64(c->quote.body->td_attributes) & bit->mask, bit->name,
                     why);
}

static uint64_t known(const struct tdx_named_bits *names)
{
    uint64_t bits = 0;
    for (; names->name; names++)
        bits |= names->bits;
    return bits;
}

static bool has_unknown_bits(const struct tdx_case *c, struct cofre_err *why)
{
    const struct tdx_quote_body *body = c->quote.body;
    uint64_t attributes = le64(body->td_attributes) & ~(known(tdx_attribute_names) | TDX_ATTR_TUD);
    uint64_t xfam = le64(body->xfam) & ~known(tdx_xfam_names);
    if (attributes || xfam)
        (void)cofre_fail(why, COFRE_NEGATIVE, "the %s has bits that are not known here: %#" PRIx64,
                         attributes ? "TD attributes" : "XFAM", attributes ? attributes : xfam);
    return attributes || xfam;
}

static int check_unknown_bits(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    bool unknown = has_unknown_bits(c, why);
    switch (c->policy->unknown_bits) {
    case POLICY_ANY:
        return say(why, CHECK_SKIP, "the policy allows bits that are not known here");
    case POLICY_REQUIRED:
        return unknown ? say(why, 0, "bits that are not known here are set, as the policy requires")
                       : say(why, -COFRE_NEGATIVE, "the policy requires unknown bits, and none is set");
    default:
        return unknown ? -COFRE_NEGATIVE : say(why, 0, "TD attributes and XFAM have known bits only");
    }
}

static int check_xfam(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    uint64_t xfam = le64(c->quote.body->xfam);
    if ((xfam & TDX_XFAM_FIXED1) != TDX_XFAM_FIXED1)
        return cofre_fail(why, COFRE_NEGATIVE, "XFAM %#" PRIx64 " lacks bits that every TD has (x87, SSE)",
                          xfam);
    if (!c->policy->xfam.given)
        return say(why, CHECK_SKIP, "the policy does not compare it (it is %#" PRIx64 ")", xfam);
    if ((xfam & c->policy->xfam.mask) != c->policy->xfam.value)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "XFAM is %#" PRIx64 "; under the mask %#" PRIx64 " the policy wants %#" PRIx64,
                          xfam, c->policy->xfam.mask, c->policy->xfam.value);
    return say(why, 0, "XFAM is as the policy has it");
}

static int check_seam_attributes(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (!bytes_are_zero(c->quote.body->seam_attributes, sizeof c->quote.body->seam_attributes))
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the TDX module's attributes are %#" PRIx64 "; a module for "
                          "production has none",
                          le64(c->quote.body->seam_attributes));
    return say(why, 0, "the TDX module has no attributes, as one for production");
}

static int check_min_svn(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->min_tee_tcb_svn.count == 0)
        return say(why, CHECK_SKIP, "the policy sets no minimum");
    const uint8_t *minimum = c->policy->min_tee_tcb_svn.item[0].data, *svn = c->quote.body->tee_tcb_svn;
    for (int i = 0; i < 16; i++)
        if (svn[i] < minimum[i])
            return cofre_fail(why, COFRE_NEGATIVE, "TEE TCB SVN component %d is %u, below the policy's %u", i,
                              svn[i], minimum[i]);
    return say(why, 0, "every component is at least the policy's");
}

/* A service TD can replace what is in a TD (migration), so none is taken on trust. */
static int check_service_td(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    const struct tdx_quote_body *body = c->quote.body;
    const struct policy_list *accepted = &c->policy->mrservicetd;
    if (!tdx_quote_body_has(&c->quote, mrservicetd))
        return accepted->count ? cofre_fail(why, COFRE_NEGATIVE,
                                            "the policy lists service TDs, and this quote's form names none")
                               : say(why, CHECK_SKIP, "quotes of this form name no service TD");
    bool extended = tdx_quote_body_has(&c->quote, servtd_attributes);
    const uint8_t *const found[] = {body->mrservicetd, extended ? body->init_servtd_hash : body->mrservicetd,
                                    extended ? body->servtd_hash : body->mrservicetd};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        struct view value = {found[i], sizeof body->mrservicetd};
        if (accepted->count ? !policy_list_has(accepted, value) : !bytes_are_zero(value.data, value.len))
            return cofre_fail(why, COFRE_NEGATIVE, "a service TD is bound to this TD, and the policy %s",
                              accepted->count ? "lists others" : "names none that may be");
    }
    return accepted->count ? say(why, 0, "the service TD is among the policy's accepted ones")
                           : say(why, 0, "no service TD is bound to this TD");
}

static int check_mrtd(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = judge_expected(c->in->measurement, "--measurement", &c->policy->mrtd, VIEW(c->quote.body->mrtd),
                            "MRTD", why);
    return judge_by_reference(&c->reference, REFERENCE_MRTD, rc, why);
}

static int check_reference(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    *why = c->reference.why;
    return c->reference.rc;
}

static int check_report_data(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    return judge_expected(c->in->report_data, "--report-data", &c->policy->report_data,
                          VIEW(c->quote.body->report_data), "the report data", why);
}

static int check_nonce(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    return judge_nonce(c->in->nonce, VIEW(c->quote.body->report_data), why);
}

static int check_rtmr(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    const struct policy_list *list = &c->policy->rtmr[arg];
    int rc =
        arg > 0 && arg < 3 && list->count == 0
            ? say(why, CHECK_SKIP, "the policy does not compare it: MRTD alone does not say what was booted")
            : judge_list(list, VIEW(c->quote.body->rtmr[arg]), why);
    return judge_by_reference(&c->reference, REFERENCE_RTMR0 + (unsigned)arg, rc, why);
}

/* Fields that a list of the policy is compared with, and nothing else. */
enum listed { MRSEAM, MRSIGNERSEAM, MRCONFIGID, MROWNER, MROWNERCONFIG };
static int check_listed(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    const struct tdx_quote_body *body = c->quote.body;
    const struct {
        const struct policy_list *list;
        struct view value;
    } fields[] = {
        [MRSEAM] = {&c->policy->mrseam, VIEW(body->mrseam)},
        [MRSIGNERSEAM] = {&c->policy->mrsignerseam, VIEW(body->mrsignerseam)},
        [MRCONFIGID] = {&c->policy->mrconfigid, VIEW(body->mrconfigid)},
        [MROWNER] = {&c->policy->mrowner, VIEW(body->mrowner)},
        [MROWNERCONFIG] = {&c->policy->mrownerconfig, VIEW(body->mrownerconfig)},
    };
    return judge_list(fields[arg].list, fields[arg].value, why);
}

static int undecoded_pck(struct cofre_err *why)
{
    return cofre_fail(why, COFRE_LACKING, "the PCK certificate is missing or could not be decoded");
}

static int check_platform_instance(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->platform_instance.count && c->pck_rc < 0)
        return undecoded_pck(why);
    if (c->policy->platform_instance.count && !c->pck.has_platform_instance)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the policy lists platforms, and the PCK certificate names no platform instance");
    return judge_list(&c->policy->platform_instance, VIEW(c->pck.platform_instance), why);
}

static int check_platform(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    const struct tdx_pck_flag flags[] = {c->pck.dynamic_platform, c->pck.cached_keys, c->pck.smt};
    const struct policy_named_bit *bit = &policy_tdx_platform[arg];
    enum policy_bit wanted = c->policy->platform[arg];
    if (wanted != POLICY_ANY && c->pck_rc < 0)
        return undecoded_pck(why);
    if (!flags[arg].given)
        return wanted == POLICY_ANY
                   ? say(why, CHECK_SKIP, "the policy allows either (the PCK certificate does not say)")
                   : cofre_fail(why, COFRE_NEGATIVE,
                                "the policy asks for %s, and the PCK certificate does not say", bit->name);
    return judge_bit(wanted, flags[arg].set, bit->name, why);
}

const struct tdx_check tdx_policy_checks[] = {
    {"tdx.td_attributes.debug", check_attribute, 0}, /* in the order of policy_tdx_attributes */
    {"tdx.td_attributes.migratable", check_attribute, 1},
    {"tdx.td_attributes.sept_ve_disable", check_attribute, 2},
    {"tdx.td_attributes.pks", check_attribute, 3},
    {"tdx.td_attributes.kl", check_attribute, 4},
    {"tdx.td_attributes.perfmon", check_attribute, 5},
    {"tdx.unknown_bits", check_unknown_bits, 0},
    {"tdx.xfam", check_xfam, 0},
    {"tdx.mrseam", check_listed, MRSEAM},
    {"tdx.mrsignerseam", check_listed, MRSIGNERSEAM},
    {"tdx.seam_attributes", check_seam_attributes, 0},
    {"tdx.min_tee_tcb_svn", check_min_svn, 0},
    {"tdx.mrservicetd", check_service_td, 0},
    {"tdx.mrtd", check_mrtd, 0},
    {"tdx.reference", check_reference, 0},
    {"tdx.rtmr0", check_rtmr, 0},
    {"tdx.rtmr1", check_rtmr, 1},
    {"tdx.rtmr2", check_rtmr, 2},
    {"tdx.rtmr3", check_rtmr, 3},
    {"tdx.mrconfigid", check_listed, MRCONFIGID},
    {"tdx.mrowner", check_listed, MROWNER},
    {"tdx.mrownerconfig", check_listed, MROWNERCONFIG},
    {"tdx.report_data", check_report_data, 0},
    {"tdx.nonce", check_nonce, 0},
    {"tdx.platform_instance", check_platform_instance, 0},
    {"tdx.platform.dynamic_platform", check_platform, 0}, /* in the order of policy_tdx_platform */
    {"tdx.platform.cached_keys", check_platform, 1},
    {"tdx.platform.smt", check_platform, 2},
    {NULL, NULL, 0},
};
