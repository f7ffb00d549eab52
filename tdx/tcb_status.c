#include "tdx/tcb_status.h"

#include <string.h>

#include "tdx/qe_identity.h"
#include "tdx/tcb_info.h"

static const char *const names[TDX_TCB_STATUSES] = {
    [TDX_TCB_UP_TO_DATE] = "UpToDate",
    [TDX_TCB_SW_HARDENING_NEEDED] = "SWHardeningNeeded",
    [TDX_TCB_CONFIGURATION_NEEDED] = "ConfigurationNeeded",
    [TDX_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = "ConfigurationAndSWHardeningNeeded",
    [TDX_TCB_OUT_OF_DATE] = "OutOfDate",
    [TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = "OutOfDateConfigurationNeeded",
    [TDX_TCB_TD_RELAUNCH_ADVISED] = "TDRelaunchAdvised",
    [TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = "TDRelaunchAdvisedConfigurationNeeded",
    [TDX_TCB_REVOKED] = "Revoked",
};

const char *tdx_tcb_status_name(enum tdx_tcb_status status)
{
    return status < TDX_TCB_STATUSES ? names[status] : "unknown";
}

bool tdx_tcb_status_named(enum tdx_tcb_status *out, const char *name)
{
    for (int i = 0; i < TDX_TCB_STATUSES; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum tdx_tcb_status)i;
            return true;
        }
    return false;
}

static bool needs_configuration(enum tdx_tcb_status status)
{
    return status == TDX_TCB_CONFIGURATION_NEEDED ||
           status == TDX_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED ||
           status == TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED ||
           status == TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED;
}

/* What a platform is whose part is out of date. */
static const enum tdx_tcb_status with_old_part[TDX_TCB_STATUSES] = {
    [TDX_TCB_UP_TO_DATE] = TDX_TCB_OUT_OF_DATE,
    [TDX_TCB_SW_HARDENING_NEEDED] = TDX_TCB_OUT_OF_DATE,
    [TDX_TCB_CONFIGURATION_NEEDED] = TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    [TDX_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    [TDX_TCB_OUT_OF_DATE] = TDX_TCB_OUT_OF_DATE,
    [TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    [TDX_TCB_TD_RELAUNCH_ADVISED] = TDX_TCB_TD_RELAUNCH_ADVISED,
    [TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    [TDX_TCB_REVOKED] = TDX_TCB_REVOKED,
};

enum tdx_tcb_status tdx_tcb_status_converge(enum tdx_tcb_status platform, enum tdx_tcb_status part)
{
    if (part == TDX_TCB_REVOKED)
        return TDX_TCB_REVOKED;
    return part == TDX_TCB_UP_TO_DATE ? platform : with_old_part[platform];
}

static bool reaches(const uint8_t *has, const uint8_t *due, size_t from)
{
    for (size_t i = from; i < TDX_TCB_COMPONENTS; i++)
        if (has[i] < due[i])
            return false;
    return true;
}

static void find_platform(struct tdx_tcb_found *out, const struct tdx_tcb_info *info,
                          const struct tdx_tcb_seen *seen)
{
    for (size_t i = 0; i < info->levels && !out->platform; i++) {
        const struct tdx_tcb_level *level = &info->level[i];
        if (!reaches(seen->sgx, level->sgx, 0) || seen->pce_svn < level->pce_svn)
            continue;
        if (!out->sgx)
            out->sgx = level;
        if (reaches(seen->tdx, level->tdx, out->module_has_identity ? 2 : 0))
            out->platform = level;
    }
}

static int find_module(struct tdx_tcb_found *out, const struct tdx_tcb_info *info,
                       const struct tdx_tcb_seen *seen, struct cofre_err *err)
{
    if (!out->module_has_identity)
        return 0;
    const struct tdx_module_identity *identity = tdx_tcb_info_module(info, seen->tdx);
    if (!identity)
        return cofre_fail(err, COFRE_NEGATIVE, "Intel's TCB info has no TDX module of version %u",
                          seen->tdx[1]);
    out->module = tdx_isv_levels_find(&identity->levels, seen->tdx[0]);
    return out->module ? 0
                       : cofre_fail(err, COFRE_NEGATIVE,
                                    "SVN %u of the TDX module reaches no level of Intel's", seen->tdx[0]);
}

/* The module that is loaded now is the latest, and a good one: what is old was in force only when the TD was started. (Where
 * it is not good, a TD that is launched again would gain nothing: we leave it OutOfDate, whatever others advise.) */
static int find_relaunch(bool *out, const struct tdx_tcb_info *info, const struct tdx_tcb_seen *seen,
                         struct cofre_err *err)
{
    const struct tdx_tcb_level *latest = &info->level[0];
    uint16_t due = latest->tdx[0];
    bool good = latest->status < TDX_TCB_OUT_OF_DATE;
    if (seen->tdx_2[1] != 0) {
        const struct tdx_module_identity *identity = tdx_tcb_info_module(info, seen->tdx_2);
        if (!identity)
            return cofre_fail(err, COFRE_NEGATIVE,
                              "Intel's TCB info has no TDX module of version %u, which is loaded now",
                              seen->tdx_2[1]);
        due = identity->levels.level[0].isv_svn;
        good = identity->levels.level[0].status == TDX_TCB_UP_TO_DATE;
    }
    *out = good && seen->tdx_2[0] >= due && seen->tdx_2[2] >= latest->tdx[2];
    return 0;
}

static int settle_relaunch(struct tdx_tcb_found *out, const struct tdx_tcb_info *info,
                           const struct tdx_tcb_seen *seen, struct cofre_err *err)
{
    bool only_module_is_old =
        out->qe->status == TDX_TCB_UP_TO_DATE && out->sgx->status < TDX_TCB_OUT_OF_DATE &&
        (out->status == TDX_TCB_OUT_OF_DATE || out->status == TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED) &&
        out->module && out->module->status == TDX_TCB_OUT_OF_DATE;
    bool advised = false;
    int rc = seen->has_tdx_2 && only_module_is_old ? find_relaunch(&advised, info, seen, err) : 0;
    if (advised)
        out->status = needs_configuration(out->sgx->status) || needs_configuration(out->status)
                          ? TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
                          : TDX_TCB_TD_RELAUNCH_ADVISED;
    return rc;
}

static int settle(struct tdx_tcb_found *out, const struct tdx_tcb_info *info, const struct tdx_tcb_seen *seen,
                  struct cofre_err *err)
{
    out->status = out->platform->status;
    out->date = out->platform->date < out->qe->date ? out->platform->date : out->qe->date;
    if (out->module) {
        out->status = tdx_tcb_status_converge(out->status, out->module->status);
        out->date = out->module->date < out->date ? out->module->date : out->date;
    }
    int rc = settle_relaunch(out, info, seen, err);
    out->status = tdx_tcb_status_converge(out->status, out->qe->status);
    if (out->sgx->status == TDX_TCB_REVOKED) /* Intel's library looks at the other level alone */
        out->status = TDX_TCB_REVOKED;
    return rc;
}

int tdx_tcb_find(struct tdx_tcb_found *out, const struct tdx_tcb_info *info, const struct tdx_qe_identity *qe,
                 const struct tdx_tcb_seen *seen, struct cofre_err *err)
{
    *out = (struct tdx_tcb_found){.module_has_identity = seen->tdx[1] > 0};
    find_platform(out, info, seen);
    out->qe = tdx_isv_levels_find(&qe->levels, seen->qe_isv_svn);
    int rc = find_module(out, info, seen, err);
    if (rc < 0)
        return rc;
    if (!out->platform)
        return cofre_fail(err, COFRE_NEGATIVE, "the platform's %s reach no level of Intel's TCB info",
                          out->sgx ? "TDX components" : "SGX components and PCE SVN");
    if (!out->qe)
        return cofre_fail(err, COFRE_NEGATIVE, "SVN %u of the quoting enclave reaches no level of Intel's",
                          seen->qe_isv_svn);
    return settle(out, info, seen, err);
}
