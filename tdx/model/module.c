/* A TD's life and measurement. Checks stand in the module's order, because the first to fail gives the status. */
#include "tdx/model/module.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/model/td.h"
#include "vmm/base/bytes.h"

/* What module 1.5.01 allows, on a processor that has it all: DEBUG, SEPT_VE_DISABLE, MIGRATABLE, PKS, PERFMON. Bits of
 * XFAM: x87, SSE, AVX, AVX-512 (3), PT, PKU, CET (2), user interrupts, LBR, AMX (2). */
#define ATTRIBUTES_FIXED0                                                                                    \
    (TDX_ATTR_DEBUG | TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_MIGRATABLE | TDX_ATTR_PKS | TDX_ATTR_PERFMON)
#define XFAM_FIXED0 0x6dbe7ull

/* Features of XFAM that come together or not at all, and AVX-512's need of AVX. */
static const uint64_t xfam_groups[] = {7ull << 5, 3ull << 11, 3ull << 17};
#define XFAM_AVX    (1ull << 2)
#define XFAM_AVX512 (7ull << 5)

static const char *const state_names[] = {"created", "being built", "running"};

tdx_status tdx_refuse(tdx_status status, const char *format, ...)
{
    char why[256], text[TDX_STATUS_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    log_info("%s: %s", tdx_status_text(text, status), why);
    return status;
}

tdx_status tdx_td_in(const struct tdx_td *td, enum tdx_op_state state, const char *call)
{
    if (td->state == state)
        return TDX_SUCCESS;
    return tdx_refuse(TDX_OP_STATE_INCORRECT, "%s: the TD is %s", call, state_names[td->state]);
}

/* A digest that could not be computed must never look like one. */
static void must(int rc)
{
    if (rc < 0)
        abort();
}

void tdx_module_capabilities(struct tdx_capabilities *out)
{
    *out = (struct tdx_capabilities){
        .attributes_fixed0 = ATTRIBUTES_FIXED0, .xfam_fixed0 = XFAM_FIXED0, .xfam_fixed1 = TDX_XFAM_FIXED1};
}

int tdx_td_new(struct tdx_td **out, const struct tdx_platform *platform, struct cofre_err *err)
{
    struct tdx_td *td = calloc(1, sizeof *td);
    if (!td)
        return cofre_fail(err, COFRE_FAILED, "emulated TDX module: no memory for a TD");
    int rc = tdx_mrtd_new(&td->measuring, err);
    if (rc < 0) {
        free(td);
        return rc;
    }
    pthread_mutex_init(&td->lock, NULL);
    td->platform = platform;
    *out = td;
    return 0;
}

void tdx_td_free(struct tdx_td *td)
{
    if (!td)
        return;
    tdx_mrtd_free(td->measuring);
    pthread_mutex_destroy(&td->lock);
    free(td);
}

static bool attributes_allowed(uint64_t attributes)
{
    bool migratable = attributes & TDX_ATTR_MIGRATABLE;
    return !(attributes & ~ATTRIBUTES_FIXED0) &&
           !(migratable && attributes & (TDX_ATTR_DEBUG | TDX_ATTR_PERFMON));
}

static bool xfam_allowed(uint64_t xfam)
{
    bool ok = !(xfam & ~XFAM_FIXED0) && (xfam & TDX_XFAM_FIXED1) == TDX_XFAM_FIXED1;
    for (size_t i = 0; ok && i < sizeof xfam_groups / sizeof *xfam_groups; i++)
        ok = !(xfam & xfam_groups[i]) || (xfam & xfam_groups[i]) == xfam_groups[i];
    return ok && (!(xfam & XFAM_AVX512) || xfam & XFAM_AVX);
}

static tdx_status check_params(const struct tdx_td_params *params)
{
    if (!attributes_allowed(params->attributes))
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_ATTRIBUTES, "TDH.MNG.INIT: ATTRIBUTES 0x%llx",
                          (unsigned long long)params->attributes);
    if (!xfam_allowed(params->xfam))
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_XFAM, "TDH.MNG.INIT: XFAM 0x%llx",
                          (unsigned long long)params->xfam);
    if (!params->max_vcpus)
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_MAX_VCPUS, "TDH.MNG.INIT: no vCPU is allowed");
    if (params->gpaw != 48 && params->gpaw != 52)
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_EPTP_CONTROLS,
                          "TDH.MNG.INIT: guest physical addresses of %u bits", params->gpaw);
    return TDX_SUCCESS;
}

tdx_status tdh_mng_init(struct tdx_td *td, const struct tdx_td_params *params)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_UNINITIALIZED, "TDH.MNG.INIT");
    if (status == TDX_SUCCESS)
        status = check_params(params);
    if (status != TDX_SUCCESS)
        return status;
    td->params = *params;
    put_le64(td->info.attributes, params->attributes);
    put_le64(td->info.xfam, params->xfam);
    memcpy(td->info.mrconfigid, params->mrconfigid, sizeof td->info.mrconfigid);
    memcpy(td->info.mrowner, params->mrowner, sizeof td->info.mrowner);
    memcpy(td->info.mrownerconfig, params->mrownerconfig, sizeof td->info.mrownerconfig);
    td->td_ctls = params->attributes & TDX_ATTR_SEPT_VE_DISABLE ? TDX_TD_CTLS_PENDING_VE_DISABLE : 0;
    td->state = TDX_OP_INITIALIZED;
    return TDX_SUCCESS;
}

tdx_status tdh_vp_init(struct tdx_td *td, unsigned *index)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_INITIALIZED, "TDH.VP.INIT");
    if (status != TDX_SUCCESS)
        return status;
    if (td->vcpus >= td->params.max_vcpus)
        return tdx_refuse(TDX_MAX_VCPUS_EXCEEDED, "TDH.VP.INIT: the TD has %u vCPUs already", td->vcpus);
    *index = td->vcpus++;
    return TDX_SUCCESS;
}

/* Private: below the shared bit, the highest that there is. */
static bool is_private(const struct tdx_td *td, uint64_t gpa)
{
    return gpa < 1ull << (td->params.gpaw - 1);
}

tdx_status tdh_mem_page_add(struct tdx_td *td, uint64_t gpa)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_INITIALIZED, "TDH.MEM.PAGE.ADD");
    if (status != TDX_SUCCESS)
        return status;
    if (gpa % TDX_PAGE_SIZE || !is_private(td, gpa))
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_RCX,
                          "TDH.MEM.PAGE.ADD: 0x%llx is not the address of a private page",
                          (unsigned long long)gpa);
    must(tdx_mrtd_page_add(td->measuring, gpa, NULL));
    return TDX_SUCCESS;
}

tdx_status tdh_mr_extend(struct tdx_td *td, uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK])
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_INITIALIZED, "TDH.MR.EXTEND");
    if (status != TDX_SUCCESS)
        return status;
    if (gpa % TDX_EXTEND_CHUNK || !is_private(td, gpa))
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_RCX,
                          "TDH.MR.EXTEND: 0x%llx is not the address of 256 private bytes",
                          (unsigned long long)gpa);
    must(tdx_mrtd_extend(td->measuring, gpa, chunk, NULL));
    return TDX_SUCCESS;
}

tdx_status tdh_mr_finalize(struct tdx_td *td)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_INITIALIZED, "TDH.MR.FINALIZE");
    if (status != TDX_SUCCESS)
        return status;
    if (!td->vcpus)
        return tdx_refuse(TDX_NO_VCPUS, "TDH.MR.FINALIZE: the TD has no vCPU");
    must(tdx_mrtd_value(td->measuring, td->info.mrtd, NULL));
    td->state = TDX_OP_RUNNABLE;
    return TDX_SUCCESS;
}

void tdx_td_mrtd(struct tdx_td *td, uint8_t out[TDX_DIGEST_SIZE])
{
    TDX_TD_LOCKED(td);
    must(tdx_mrtd_value(td->measuring, out, NULL));
}

tdx_status tdg_vp_info(struct tdx_td *td, unsigned vcpu, struct tdx_vp_info *out)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_RUNNABLE, "TDG.VP.INFO");
    if (status != TDX_SUCCESS)
        return status;
    *out = (struct tdx_vp_info){.gpaw = td->params.gpaw,
                                .attributes = td->params.attributes,
                                .vcpus = (uint64_t)td->params.max_vcpus << 32 | td->vcpus,
                                .vcpu_index = vcpu};
    return TDX_SUCCESS;
}

tdx_status tdg_mr_rtmr_extend(struct tdx_td *td, uint64_t index, const uint8_t digest[TDX_DIGEST_SIZE])
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_RUNNABLE, "TDG.MR.RTMR.EXTEND");
    if (status != TDX_SUCCESS)
        return status;
    if (index >= TDX_RTMRS)
        return tdx_refuse(TDX_OPERAND_INVALID | TDX_OPERAND_RDX, "TDG.MR.RTMR.EXTEND: there is no RTMR%llu",
                          (unsigned long long)index);
    tdx_rtmr_extend(td->info.rtmr[index], digest);
    return TDX_SUCCESS;
}

tdx_status tdg_mr_report(struct tdx_td *td, const uint8_t report_data[TDX_REPORT_DATA_SIZE],
                         struct tdx_report *out)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_RUNNABLE, "TDG.MR.REPORT");
    if (status != TDX_SUCCESS)
        return status;
    *out = (struct tdx_report){.td = td->info};
    memcpy(out->mac.report_data, report_data, sizeof out->mac.report_data);
    tdx_platform_seal_report(td->platform, out);
    return TDX_SUCCESS;
}

tdx_status tdg_mr_verifyreport(struct tdx_td *td, const struct tdx_report_mac *mac)
{
    TDX_TD_LOCKED(td);
    tdx_status status = tdx_td_in(td, TDX_OP_RUNNABLE, "TDG.MR.VERIFYREPORT");
    if (status != TDX_SUCCESS)
        return status;
    if (!tdx_platform_made(td->platform, mac))
        return tdx_refuse(TDX_INVALID_REPORTMACSTRUCT, "TDG.MR.VERIFYREPORT: not this platform's MAC");
    return TDX_SUCCESS;
}
