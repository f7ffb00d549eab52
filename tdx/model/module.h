/*
 * The Intel TDX module in software: the measured life of a TD, what its reports say, and the fields it may read. It is
 * the oracle for our launch code: it knows only what it is given, keeps its own measurement, and refuses what the module
 * refuses, with the module's completion status. Sources: 348551 (ABI), 348549 (base architecture); where they leave a
 * choice, the published source of Intel's module 1.5.01, which this models.
 *
 * It protects nothing. Every quote over its reports is issued under a root that is named EMULATED (platform.h).
 *
 * The KVM half (vmm/emu/tdx) is the caller. Secure-EPT states, exits and errno are not known here.
 */
#ifndef COFRE_TDX_MODEL_MODULE_H
#define COFRE_TDX_MODEL_MODULE_H

#include <stdbool.h>

#include "tdx/abi.h"
#include "tdx/status.h"
#include "vmm/base/error.h"

struct tdx_platform; /* platform.h: the emulated processor's keys and chain */

/* What the module allows a TD to be configured with (TDH.SYS.RD); KVM allows less. */
struct tdx_capabilities {
    uint64_t attributes_fixed0, attributes_fixed1; /* may be 1; must be 1 */
    uint64_t xfam_fixed0, xfam_fixed1;
};
void tdx_module_capabilities(struct tdx_capabilities *out);

/* TD_PARAMS (348551, section 3.4.2), as far as a VMM chooses; CPUID is virtualised by the caller. */
struct tdx_td_params {
    uint64_t attributes, xfam;
    uint16_t max_vcpus;
    uint8_t gpaw; /* 48 or 52 */
    uint8_t mrconfigid[48], mrowner[48], mrownerconfig[48];
};

struct tdx_td;

/* TDH.MNG.CREATE. The platform outlives it. Calls may come from any thread; each call is refused with
 * OP_STATE_INCORRECT out of its state, and changes nothing where it is refused. */
int tdx_td_new(struct tdx_td **out, const struct tdx_platform *platform, struct cofre_err *err);
void tdx_td_free(struct tdx_td *td);

/* Host side, in the order in which it is allowed. */
tdx_status tdh_mng_init(struct tdx_td *td, const struct tdx_td_params *params);
tdx_status tdh_vp_init(struct tdx_td *td,
                       unsigned *index); /* one vCPU more: the module numbers them, from 0 */
tdx_status tdh_mem_page_add(struct tdx_td *td, uint64_t gpa);
tdx_status tdh_mr_extend(struct tdx_td *td, uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK]);
tdx_status tdh_mr_finalize(struct tdx_td *td);

/* MRTD so far; after TDH.MR.FINALIZE, MRTD: a debugging aid, not a call of the module. */
void tdx_td_mrtd(struct tdx_td *td, uint8_t out[TDX_DIGEST_SIZE]);

/* Guest side: only after TDH.MR.FINALIZE. Operands' addresses and alignment are the caller's to check. */
struct tdx_vp_info { /* TDG.VP.INFO's RCX, RDX, R8, R9, R10, R11 */
    uint64_t gpaw, attributes, vcpus, vcpu_index, features, r11;
};
tdx_status tdg_vp_info(struct tdx_td *td, unsigned vcpu, struct tdx_vp_info *out);
tdx_status tdg_mr_rtmr_extend(struct tdx_td *td, uint64_t index, const uint8_t digest[TDX_DIGEST_SIZE]);
tdx_status tdg_mr_report(struct tdx_td *td, const uint8_t report_data[TDX_REPORT_DATA_SIZE],
                         struct tdx_report *out);
tdx_status tdg_mr_verifyreport(struct tdx_td *td, const struct tdx_report_mac *mac);
/* *value is 0 where it fails, as R8 is. */
tdx_status tdg_vm_rd(struct tdx_td *td, uint64_t field, uint64_t *value);
/* *old gets what was there; only bits of mask are written. */
tdx_status tdg_vm_wr(struct tdx_td *td, uint64_t field, uint64_t value, uint64_t mask, uint64_t *old);

#endif
