/* What the platform's TCB comes to by Intel's collateral, and whether the policy accepts it. */
#include <stdio.h>
#include <string.h>

#include "attest/claims.h"
#include "attest/tdx.h"
#include "tdx/collateral.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"

#define DAY 86400

static bool has_documents(const struct tdx_case *c)
{
    return c->collateral && c->collateral->tcb_signed.text.len && c->collateral->qe_signed.text.len;
}

void tdx_tcb_settle(struct tdx_case *c)
{
    const struct tdx_quote_body *body = c->quote.body;
    struct tdx_tcb_seen seen = {.pce_svn = c->pck.pce_svn,
                                .has_tdx_2 = tdx_quote_body_has(&c->quote, tee_tcb_svn_2),
                                .qe_isv_svn = le16(c->quote.qe->report.isv_svn)};
    memcpy(seen.sgx, c->pck.sgx, sizeof seen.sgx);
    memcpy(seen.tdx, body->tee_tcb_svn, sizeof seen.tdx);
    if (seen.has_tdx_2)
        memcpy(seen.tdx_2, body->tee_tcb_svn_2, sizeof seen.tdx_2);
    if (!has_documents(c))
        c->tcb_rc = cofre_fail(&c->tcb_why, COFRE_LACKING, "\"tcb_info\" or \"qe_identity\" is missing: %s",
                               tdx_case_lacking(c));
    else if (c->pck_rc < 0)
        c->tcb_rc =
            cofre_fail(&c->tcb_why, COFRE_LACKING, "the PCK certificate is missing or could not be decoded");
    else
        c->tcb_rc = tdx_tcb_find(&c->tcb, &c->collateral->tcb, &c->collateral->qe, &seen, &c->tcb_why);
}

static int unsettled(const struct tdx_case *c, struct cofre_err *why)
{
    return cofre_fail(why, COFRE_LACKING, "the platform's TCB level is not known: %s", c->tcb_why.text);
}

/* NULL with a sentence where there is no identity for the quote's module. */
static const struct tdx_module_identity *module_identity(const struct tdx_case *c, int *rc,
                                                         struct cofre_err *why)
{
    const uint8_t *svn = c->quote.body->tee_tcb_svn;
    if (!c->collateral || c->collateral->tcb_signed.text.len == 0) {
        *rc = cofre_fail(why, COFRE_LACKING, "\"tcb_info\" is missing: %s", tdx_case_lacking(c));
        return NULL;
    }
    const struct tdx_module_identity *identity = tdx_tcb_info_module(&c->collateral->tcb, svn);
    if (!identity)
        *rc = cofre_fail(why, COFRE_NEGATIVE, "Intel's TCB info has no TDX module of version %u", svn[1]);
    return identity;
}

static int check_module_signer(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = 0;
    const struct tdx_module_identity *due = module_identity(c, &rc, why);
    if (!due)
        return rc;
    if (memcmp(c->quote.body->mrsignerseam, due->mrsigner, sizeof due->mrsigner) != 0)
        return cofre_fail(why, COFRE_NEGATIVE,
                          "the TDX module is not signed by the one that Intel names (MRSIGNERSEAM)");
    return say(why, 0, "the TDX module's signer is the one that Intel names");
}

static int check_module_attributes(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    int rc = 0;
    const struct tdx_module_identity *due = module_identity(c, &rc, why);
    for (size_t i = 0; due && i < sizeof due->attributes; i++)
        if ((c->quote.body->seam_attributes[i] & due->attributes_mask[i]) != due->attributes[i])
            return cofre_fail(why, COFRE_NEGATIVE,
                              "byte %zu of SEAMATTRIBUTES is %#x, which Intel does not allow", i,
                              c->quote.body->seam_attributes[i]);
    return due ? say(why, 0, "the TDX module's attributes are those that Intel names") : rc;
}

static int check_level(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->tcb_rc < 0)
        return cofre_fail(why, (enum cofre_error) - c->tcb_rc, "%s", c->tcb_why.text);
    return say(why, 0, "Intel knows the platform (%s), its TDX module (%s) and its quoting enclave (%s)",
               tdx_tcb_status_name(c->tcb.platform->status),
               c->tcb.module ? tdx_tcb_status_name(c->tcb.module->status) : "judged with the platform",
               tdx_tcb_status_name(c->tcb.qe->status));
}

/* What the platform's level says beside its age. */
static enum tdx_tcb_status but_for_age(enum tdx_tcb_status platform)
{
    return platform == TDX_TCB_OUT_OF_DATE                        ? TDX_TCB_UP_TO_DATE
           : platform == TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED ? TDX_TCB_CONFIGURATION_NEEDED
                                                                  : platform;
}

/* Grace excuses age alone: what else is wanting, the policy must accept. */
static bool is_within_grace(const struct tdx_case *c)
{
    enum tdx_tcb_status status = c->tcb.status;
    return (status == TDX_TCB_OUT_OF_DATE || status == TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED) &&
           c->policy->tcb_status[but_for_age(c->tcb.platform->status)] && c->policy->grace_days &&
           c->in->at <= c->tcb.date + (int64_t)c->policy->grace_days * DAY;
}

static int check_status(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->tcb_rc < 0)
        return unsettled(c, why);
    const char *name = tdx_tcb_status_name(c->tcb.status);
    if (c->tcb.status != TDX_TCB_REVOKED && c->policy->tcb_status[c->tcb.status])
        return say(why, 0, "%s, which the policy accepts", name);
    if (is_within_grace(c))
        return say(why, 0, "%s, within the policy's %u days of grace", name, c->policy->grace_days);
    return cofre_fail(why, COFRE_NEGATIVE, "the TCB is %s, which the policy does not accept", name);
}

static int check_date(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    char date[TIME_TEXT_SIZE], due[TIME_TEXT_SIZE];
    if (c->policy->min_tcb_date == 0)
        return say(why, CHECK_SKIP, "the policy names no earliest TCB date");
    if (c->tcb_rc < 0)
        return unsettled(c, why);
    time_format(date, c->tcb.date);
    time_format(due, c->policy->min_tcb_date);
    if (c->tcb.date < c->policy->min_tcb_date)
        return cofre_fail(why, COFRE_NEGATIVE, "the TCB is of %s; the policy's earliest date is %s", date,
                          due);
    return say(why, 0, "the TCB is of %s, not before the policy's %s", date, due);
}

/* Those of the levels that decide, each once. */
static json_t *advisories_of(const struct tdx_tcb_found *tcb)
{
    const json_t *lists[] = {tcb->platform->advisories, tcb->module ? tcb->module->advisories : NULL,
                             tcb->qe->advisories};
    json_t *all = json_array(), *item, *other;
    size_t i, k;
    for (size_t l = 0; all && l < sizeof lists / sizeof *lists; l++)
        json_array_foreach(lists[l], i, item)
        {
            bool known = false;
            json_array_foreach(all, k, other)
            {
                known |= json_equal(other, item);
            }
            if (!known && json_array_append(all, item) < 0) {
                json_decref(all);
                return NULL;
            }
        }
    return all;
}

static int check_advisories(const struct tdx_case *c, int arg, struct cofre_err *why)
{
    (void)arg;
    if (c->policy->reject_advisories.count == 0)
        return say(why, CHECK_SKIP, "the policy names no advisory to reject");
    if (c->tcb_rc < 0)
        return unsettled(c, why);
    CLEAN_JSON *all = advisories_of(&c->tcb);
    json_t *item;
    size_t i;
    if (!all)
        return cofre_fail(why, COFRE_FAILED, "no memory for the advisories");
    json_array_foreach(all, i, item)
    {
        struct view name = {(const uint8_t *)json_string_value(item), json_string_length(item)};
        if (policy_list_has(&c->policy->reject_advisories, name))
            return cofre_fail(why, COFRE_NEGATIVE, "%s applies to this platform, and the policy rejects it",
                              json_string_value(item));
    }
    return say(why, 0, "none of the advisories that the policy rejects applies to this platform");
}

const struct tdx_check tdx_tcb_checks[] = {
    {"tdx.module_signer", check_module_signer, 0},
    {"tdx.module_attributes", check_module_attributes, 0},
    {"tdx.tcb_level", check_level, 0},
    {"tdx.tcb_status", check_status, 0},
    {"tdx.tcb_date", check_date, 0},
    {"tdx.advisories", check_advisories, 0},
    {NULL, NULL, 0},
};

static json_t *part(enum tdx_tcb_status status, int64_t date)
{
    char text[TIME_TEXT_SIZE];
    time_format(text, date);
    return json_pack("{s:s, s:s}", "status", tdx_tcb_status_name(status), "date", text);
}

static json_t *window(const struct tdx_signed *is, int64_t issue_date, int64_t next_update, uint32_t number)
{
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    if (is->text.len == 0)
        return json_null();
    time_format(from, issue_date);
    time_format(to, next_update);
    return json_pack("{s:s, s:s, s:I}", "issue_date", from, "next_update", to, "evaluation_data_number",
                     (json_int_t)number);
}

int tdx_tcb_describe(struct verdict *out, const struct tdx_case *c)
{
    const struct tdx_collateral *all = c->collateral;
    if (all) {
        json_t *documents = json_object();
        json_object_set_new(
            documents, "tcb_info",
            window(&all->tcb_signed, all->tcb.issue_date, all->tcb.next_update, all->tcb.evaluation_number));
        json_object_set_new(
            documents, "qe_identity",
            window(&all->qe_signed, all->qe.issue_date, all->qe.next_update, all->qe.evaluation_number));
        json_object_set_new(out->claims, "collateral", documents);
    }
    if (c->tcb_rc < 0)
        return 0;
    json_t *tcb = part(c->tcb.status, c->tcb.date);
    json_object_set_new(tcb, "platform", part(c->tcb.platform->status, c->tcb.platform->date));
    if (c->tcb.module)
        json_object_set_new(tcb, "module", part(c->tcb.module->status, c->tcb.module->date));
    json_object_set_new(tcb, "quoting_enclave", part(c->tcb.qe->status, c->tcb.qe->date));
    json_object_set_new(out->claims, "tcb", tcb);
    json_decref(out->advisories);
    out->advisories = advisories_of(&c->tcb);
    out->tcb_status = tdx_tcb_status_name(c->tcb.status);
    return out->advisories ? 0 : -COFRE_FAILED;
}
