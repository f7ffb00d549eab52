/*
 * The state of a platform's trusted computing base: which levels of Intel's collateral it meets, and what they come to.
 * Sources: Intel SGX and TDX Provisioning Certification Service API v4 (TCB info V3, enclave identity V2), Intel TDX DCAP
 * Quoting Library API, "Quote verification"; the rules of convergence are those of Intel's own verification library.
 */
#ifndef COFRE_TDX_TCB_STATUS_H
#define COFRE_TDX_TCB_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define TDX_TCB_COMPONENTS 16u

enum tdx_tcb_status {
    TDX_TCB_UP_TO_DATE,
    TDX_TCB_SW_HARDENING_NEEDED,
    TDX_TCB_CONFIGURATION_NEEDED,
    TDX_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TDX_TCB_OUT_OF_DATE,
    TDX_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    TDX_TCB_TD_RELAUNCH_ADVISED, /* never in collateral: the host is patched, the TD was started before */
    TDX_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    TDX_TCB_REVOKED,
    TDX_TCB_STATUSES
};

/* "UpToDate", as collateral and policies write it. */
const char *tdx_tcb_status_name(enum tdx_tcb_status status);
/* False for a name that is none. */
bool tdx_tcb_status_named(enum tdx_tcb_status *out, const char *name);

/* The platform's status with that of one part (TDX module or quoting enclave): not the worst, but Intel's table. */
enum tdx_tcb_status tdx_tcb_status_converge(enum tdx_tcb_status platform, enum tdx_tcb_status part);

struct tdx_tcb_info;    /* tcb_info.h */
struct tdx_qe_identity; /* qe_identity.h */

/* What a quote and its PCK certificate say. */
struct tdx_tcb_seen {
    uint8_t sgx[TDX_TCB_COMPONENTS];   /* PCK certificate's TCB components */
    uint16_t pce_svn;                  /* PCK certificate's */
    uint8_t tdx[TDX_TCB_COMPONENTS];   /* TEE_TCB_SVN */
    bool has_tdx_2;                    /* bodies of TDX 1.5 */
    uint8_t tdx_2[TDX_TCB_COMPONENTS]; /* TEE_TCB_SVN_2, of the module that is loaded now */
    uint16_t qe_isv_svn;               /* QE report's */
};

/* Levels are borrowed from the collateral; NULL: none is met, or for module that there is no identity to ask. */
struct tdx_tcb_found {
    const struct tdx_tcb_level *sgx;      /* first level whose SGX components and PCE SVN are met */
    const struct tdx_tcb_level *platform; /* first level whose TDX components are met too */
    const struct tdx_isv_level *module;
    const struct tdx_isv_level *qe;
    bool module_has_identity;   /* TEE_TCB_SVN[1] > 0: module and not components 0 and 1 decide */
    enum tdx_tcb_status status; /* converged, where found returned 0 */
    int64_t date;               /* the earliest of the levels' */
};

/* -COFRE_NEGATIVE where a level that is needed is not met: the platform's TCB is none that Intel supports. *out is filled
 * as far as it goes. */
int tdx_tcb_find(struct tdx_tcb_found *out, const struct tdx_tcb_info *info, const struct tdx_qe_identity *qe,
                 const struct tdx_tcb_seen *seen, struct cofre_err *err);

#endif
