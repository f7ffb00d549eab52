/* The policy's section on TDX. */
#include <stdio.h>
#include <string.h>

#include "attest/policy_read.h"
#include "attest/reference.h"
#include "tdx/abi.h"
#include "vmm/base/timestamp.h"

/* A TD whose TUD byte is not zero is not for production, whichever of its bits are set. */
const struct policy_named_bit policy_tdx_attributes[POLICY_TDX_ATTRIBUTES] = {
    {"debug", TDX_ATTR_TUD, POLICY_FORBIDDEN},
    {"migratable", TDX_ATTR_MIGRATABLE, POLICY_FORBIDDEN},
    {"sept_ve_disable", TDX_ATTR_SEPT_VE_DISABLE, POLICY_REQUIRED},
    {"pks", TDX_ATTR_PKS, POLICY_ANY},
    {"kl", TDX_ATTR_KL, POLICY_ANY},
    {"perfmon", TDX_ATTR_PERFMON, POLICY_ANY},
};

const struct policy_named_bit policy_tdx_platform[POLICY_TDX_PLATFORM_BITS] = {
    {"dynamic_platform", 1, POLICY_ANY},
    {"cached_keys", 2, POLICY_ANY},
    {"smt", 4, POLICY_ANY},
};

static int read_xfam(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err)
{
    (void)m;
    struct policy_xfam *xfam = to;
    static const struct member members[] = {
        {"mask", policy_read_mask, offsetof(struct policy_xfam, mask), 0, NULL},
        {"value", policy_read_mask, offsetof(struct policy_xfam, value), 0, NULL},
    };
    int rc = policy_read_object(members, 2, value, where, to, err);
    if (rc < 0)
        return rc;
    if (!json_object_get(value, "mask") || !json_object_get(value, "value"))
        return policy_wrong(where, err, "needs both \"mask\" and \"value\"");
    if (xfam->value & ~xfam->mask)
        return policy_wrong(where, err,
                            "has bits in \"value\" that \"mask\" leaves out: nothing could satisfy it");
    xfam->given = true;
    return 0;
}

static int read_statuses(const struct member *m, json_t *value, const char *where, void *to,
                         struct cofre_err *err)
{
    (void)m;
    bool *accepted = to;
    size_t i;
    json_t *item;
    int rc = policy_check_list(value, where, err);
    if (rc < 0)
        return rc;
    memset(accepted, 0, TDX_TCB_STATUSES * sizeof *accepted);
    json_array_foreach(value, i, item)
    {
        enum tdx_tcb_status status;
        if (!json_is_string(item) || !tdx_tcb_status_named(&status, json_string_value(item)))
            return policy_wrong(where, err, "has a value that is no status such as \"UpToDate\"");
        if (status == TDX_TCB_REVOKED)
            return policy_wrong(where, err, "has \"Revoked\", which nothing can make acceptable");
        accepted[status] = true;
    }
    return 0;
}

static int read_time(const struct member *m, json_t *value, const char *where, void *to,
                     struct cofre_err *err)
{
    (void)m;
    if (!json_is_string(value) || time_parse(to, json_string_value(value), "", NULL) < 0)
        return policy_wrong(where, err, "is not a time such as \"2025-06-01T00:00:00Z\"");
    return 0;
}

static const struct member event_members[] = {
    {"rtmr", policy_read_number, offsetof(struct policy_event, rtmr), TDX_RTMRS - 1, NULL},
    {"digest", policy_read_hex_list, offsetof(struct policy_event, digest), TDX_DIGEST_SIZE, NULL},
};

static int read_events(const struct member *m, json_t *value, const char *where, void *to,
                       struct cofre_err *err)
{
    (void)m;
    struct policy_tdx *tdx = to;
    json_t *item;
    int rc = policy_check_list(value, where, err);
    if (rc == 0 && json_array_size(value) > POLICY_EVENTS_MAX)
        rc = policy_wrong(where, err, "has more than %d values", POLICY_EVENTS_MAX);
    for (size_t i = 0; rc == 0 && (item = json_array_get(value, i)); i++) {
        char path[192];
        (void)snprintf(path, sizeof path, "%s[%zu]", where, i);
        rc = policy_read_object(event_members, 2, item, path, &tdx->event[tdx->events++], err);
        if (rc == 0 && (!json_object_get(item, "rtmr") || !json_object_get(item, "digest")))
            rc = policy_wrong(path, err, "needs both \"rtmr\" and \"digest\"");
    }
    return rc;
}

#define AT(FIELD)          offsetof(struct policy_tdx, FIELD)
#define TDX_LIST(F, BYTES) HEX_LIST(struct policy_tdx, F, BYTES)
static const struct member tdx_members[] = {
    TDX_LIST(mrtd, 48),
    {"rtmr0", policy_read_hex_list, AT(rtmr[0]), 48, NULL},
    {"rtmr1", policy_read_hex_list, AT(rtmr[1]), 48, NULL},
    {"rtmr2", policy_read_hex_list, AT(rtmr[2]), 48, NULL},
    {"rtmr3", policy_read_hex_list, AT(rtmr[3]), 48, NULL},
    TDX_LIST(mrconfigid, 48),
    TDX_LIST(mrowner, 48),
    TDX_LIST(mrownerconfig, 48),
    TDX_LIST(mrseam, 48),
    TDX_LIST(mrsignerseam, 48),
    TDX_LIST(mrservicetd, 48),
    TDX_LIST(platform_instance, 16),
    {"report_data", policy_read_hex_one, AT(report_data), 64, NULL},
    {"reference", policy_read_names, AT(reference), REFERENCE_NAME_MAX, NULL},
    {"min_tee_tcb_svn", policy_read_hex_one, AT(min_tee_tcb_svn), 16, NULL},
    {"td_attributes", policy_read_bits, AT(td_attributes), POLICY_TDX_ATTRIBUTES, policy_tdx_attributes},
    {"platform", policy_read_bits, AT(platform), POLICY_TDX_PLATFORM_BITS, policy_tdx_platform},
    {"xfam", read_xfam, AT(xfam), 0, NULL},
    {"tcb_status", read_statuses, AT(tcb_status), 0, NULL},
    {"reject_advisories", policy_read_text_list, AT(reject_advisories), 64, NULL},
    {"min_tcb_date", read_time, AT(min_tcb_date), 0, NULL},
    {"min_evaluation_data_number", policy_read_number, AT(min_evaluation_data_number), UINT32_MAX, NULL},
    {"max_collateral_age_days", policy_read_number, AT(max_collateral_age_days), 36500, NULL},
    {"grace_days", policy_read_number, AT(grace_days), 36500, NULL},
    {"event_log", policy_read_bit, AT(event_log), 0, NULL},
    {"events", read_events, 0, 0, NULL},
    {"unknown_bits", policy_read_bit, AT(unknown_bits), 0, NULL},
};
#define MEMBERS (sizeof tdx_members / sizeof *tdx_members)

int policy_tdx_read(struct policy_tdx *to, json_t *value, const char *where, struct cofre_err *err)
{
    return policy_read_object(tdx_members, MEMBERS, value, where, to, err);
}

void policy_tdx_init(struct policy_tdx *out)
{
    *out = (struct policy_tdx){.unknown_bits = POLICY_FORBIDDEN};
    out->tcb_status[TDX_TCB_UP_TO_DATE] = true;
    for (size_t i = 0; i < POLICY_TDX_ATTRIBUTES; i++)
        out->td_attributes[i] = policy_tdx_attributes[i].initial;
    for (size_t i = 0; i < POLICY_TDX_PLATFORM_BITS; i++)
        out->platform[i] = policy_tdx_platform[i].initial;
}

void policy_tdx_free(struct policy_tdx *policy)
{
    policy_free_lists(tdx_members, MEMBERS, policy);
    for (size_t i = 0; i < policy->events; i++)
        policy_free_lists(event_members, 2, &policy->event[i]);
    policy->events = 0;
}
