/*
 * The Intel TDX module in software: the measured life of a TD, what its reports say, and the fields it may read. It is
 * the oracle for our launch code: it knows only what it is given, keeps its own measurement, and refuses what the module
 * refuses, with the module's completion status. Sources: 348551 (ABI), 348549 (base architecture).
 *
 * It protects nothing. Every quote over its reports is issued under a root that is named EMULATED (platform.h).
 *
 * The KVM half (vmm/emu/tdx) is the caller. Secure-EPT states, exits and errno are not known here.
 */
#ifndef COFRE_TDX_MODEL_MODULE_H
#define COFRE_TDX_MODEL_MODULE_H

#include <stdbool.h>

#include "tdx/abi.h"
#include "vmm/base/error.h"

/* Completion status, RAX of SEAMCALL and TDCALL: bits 63:32 the code, 31:0 details (348551, section "Function completion
 * status codes"). */
typedef uint64_t tdx_status;
#define TDX_STATUS_CODE(status)         ((status)&0xffffffff00000000ull)
#define TDX_SUCCESS                     0ull
#define TDX_OPERAND_INVALID             0xc000010000000000ull /* details: enum tdx_operand */
#define TDX_TD_NOT_INITIALIZED          0xc000060000000000ull
#define TDX_TD_FINALIZED                0xc000060300000000ull
#define TDX_PAGE_ALREADY_ACCEPTED       0x00000b0a00000000ull
#define TDX_PAGE_SIZE_MISMATCH          0xc0000b0b00000000ull
#define TDX_METADATA_FIELD_ID_INCORRECT 0xc0000c0000000000ull
#define TDX_METADATA_FIELD_NOT_WRITABLE 0xc0000c0100000000ull
#define TDX_INVALID_REPORTMACSTRUCT     0xc0001c0000000000ull

struct tdx_platform; /* platform.h: the emulated processor's keys and chain */

/* What KVM allows a TD to be configured with; the module would say more. */
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

/* TDH.MNG.CREATE. The platform outlives it. Calls may come from any thread. */
int tdx_td_new(struct tdx_td **out, const struct tdx_platform *platform, struct cofre_err *err);
void tdx_td_free(struct tdx_td *td);

/* Host side, in the order in which it is allowed. */
tdx_status tdh_mng_init(struct tdx_td *td, const struct tdx_td_params *params);
tdx_status tdh_vp_init(struct tdx_td *td, unsigned index); /* one vCPU more */
tdx_status tdh_mem_page_add(struct tdx_td *td, uint64_t gpa);
tdx_status tdh_mr_extend(struct tdx_td *td, uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK]);
tdx_status tdh_mr_finalize(struct tdx_td *td);

/* Guest side: only after TDH.MR.FINALIZE. */
struct tdx_vp_info { /* TDG.VP.INFO's RCX, RDX, R8, R9, R10, R11 */
    uint64_t gpaw, attributes, vcpus, vcpu_index, features, r11;
};
tdx_status tdg_vp_info(struct tdx_td *td, unsigned vcpu, struct tdx_vp_info *out);
tdx_status tdg_mr_rtmr_extend(struct tdx_td *td, uint64_t index, const uint8_t digest[TDX_DIGEST_SIZE]);
tdx_status tdg_mr_report(struct tdx_td *td, const uint8_t report_data[TDX_REPORT_DATA_SIZE],
                         struct tdx_report *out);
tdx_status tdg_mr_verifyreport(struct tdx_td *td, const struct tdx_report_mac *mac);
tdx_status tdg_vm_rd(struct tdx_td *td, uint64_t field, uint64_t *value);
/* *old gets what was there; only bits of mask are written. */
tdx_status tdg_vm_wr(struct tdx_td *td, uint64_t field, uint64_t value, uint64_t mask, uint64_t *old);

#endif
