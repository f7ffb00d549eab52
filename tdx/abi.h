/*
 * The Intel TDX module's interface, as both sides of it and every verifier use it: structures and numbers, no code.
 * Little-endian throughout. Sources: Intel TDX Module 1.5 ABI Specification (348551), Intel TDX Guest-Hypervisor
 * Communication Interface 1.5 (348552), Intel TDX Module Base Architecture Specification (348549).
 */
#ifndef COFRE_TDX_ABI_H
#define COFRE_TDX_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TDX_PAGE_SIZE        4096u
#define TDX_EXTEND_CHUNK     256u /* MR.EXTEND measures a page by these */
#define TDX_DIGEST_SIZE      48u  /* SHA-384: MRTD, RTMRs, and what an owner puts beside them */
#define TDX_RTMRS            4u
#define TDX_REPORT_DATA_SIZE 64u

/* TDREPORT_STRUCT (348551, section 3.9) = REPORTMACSTRUCT, TEE_TCB_INFO, 17 reserved bytes, TDINFO_STRUCT. */
#define TDX_REPORT_SIZE 1024u
#define TDX_TEE_TYPE    0x81u

struct tdx_report_mac {
    uint8_t type, subtype, version, reserved0; /* type 0x81, subtype 0, version 0 or 1 (with SERVTD_HASH) */
    uint8_t reserved1[12];
    uint8_t cpu_svn[16];
    uint8_t tee_tcb_info_hash[48]; /* SHA-384 of TEE_TCB_INFO */
    uint8_t tee_info_hash[48];     /* SHA-384 of TDINFO */
    uint8_t report_data[TDX_REPORT_DATA_SIZE];
    uint8_t reserved2[32];
    uint8_t mac[32]; /* HMAC-SHA256 over all before it, by a key of the processor */
};
static_assert(sizeof(struct tdx_report_mac) == 256, "REPORTMACSTRUCT");

struct tdx_tee_tcb_info {
    uint8_t valid[8]; /* a bit for each field that is: 0x301ff for TDX 1.5 */
    uint8_t tee_tcb_svn[16];
    uint8_t mrseam[48];
    uint8_t mrsignerseam[48];
    uint8_t attributes[8];
    uint8_t tee_tcb_svn_2[16]; /* of the module that is loaded now; 1.5 */
    uint8_t reserved[95];
};
static_assert(sizeof(struct tdx_tee_tcb_info) == 239, "TEE_TCB_INFO");

struct tdx_td_info {
    uint8_t attributes[8];
    uint8_t xfam[8];
    uint8_t mrtd[48];
    uint8_t mrconfigid[48];
    uint8_t mrowner[48];
    uint8_t mrownerconfig[48];
    uint8_t rtmr[TDX_RTMRS][48];
    uint8_t servtd_hash[48];
    uint8_t reserved[64];
};
static_assert(sizeof(struct tdx_td_info) == 512, "TDINFO_STRUCT");

struct tdx_report {
    struct tdx_report_mac mac;
    struct tdx_tee_tcb_info tcb;
    uint8_t reserved[17];
    struct tdx_td_info td;
};
static_assert(sizeof(struct tdx_report) == TDX_REPORT_SIZE, "TDREPORT_STRUCT");

/* ATTRIBUTES of a TD (348551, section 3.4.1). Bits 7:0 are TUD: not production. */
#define TDX_ATTR_DEBUG           (1ull << 0)
#define TDX_ATTR_TUD             0xffull
#define TDX_ATTR_LASS            (1ull << 27)
#define TDX_ATTR_SEPT_VE_DISABLE (1ull << 28)
#define TDX_ATTR_MIGRATABLE      (1ull << 29)
#define TDX_ATTR_PKS             (1ull << 30)
#define TDX_ATTR_KL              (1ull << 31)
#define TDX_ATTR_TPA             (1ull << 62)
#define TDX_ATTR_PERFMON         (1ull << 63)

/* XFAM, the extended features of a TD, in XCR0's and IA32_XSS's positions. Bits 0 and 1 (x87, SSE) are always set. */
#define TDX_XFAM_FIXED1 0x3ull

/* Guest calls: the leaf in RAX of TDCALL (66 0F 01 CC). */
enum tdx_guest_leaf {
    TDG_VP_VMCALL = 0,
    TDG_VP_INFO = 1,
    TDG_MR_RTMR_EXTEND = 2,
    TDG_VP_VEINFO_GET = 3,
    TDG_MR_REPORT = 4,
    TDG_VP_CPUIDVE_SET = 5,
    TDG_MEM_PAGE_ACCEPT = 6,
    TDG_VM_RD = 7,
    TDG_VM_WR = 8,
    TDG_MR_VERIFYREPORT = 22,
    TDG_MEM_PAGE_ATTR_RD = 23,
    TDG_MEM_PAGE_ATTR_WR = 24,
};

/* TDG.VP.VMCALL with R10 = 0: the sub-function in R11 (348552, section 3). Those below 0x10000 are VMX exit reasons. */
enum tdx_vmcall {
    TDVMCALL_CPUID = 10,
    TDVMCALL_HLT = 12,
    TDVMCALL_IO = 30,
    TDVMCALL_RDMSR = 31,
    TDVMCALL_WRMSR = 32,
    TDVMCALL_PCONFIG = 65,
    TDVMCALL_MMIO = 48,
    TDVMCALL_WBINVD = 54,
    TDVMCALL_GET_TD_VM_CALL_INFO = 0x10000,
    TDVMCALL_MAP_GPA = 0x10001,
    TDVMCALL_GET_QUOTE = 0x10002,
    TDVMCALL_REPORT_FATAL_ERROR = 0x10003,
    TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT = 0x10004,
    TDVMCALL_SERVICE = 0x10005,
};
/* GetTdVmCallInfo, leaf 1, R11: what is there besides the base calls. */
#define TDVMCALL_INFO_EVENT_NOTIFY   (1ull << 1)
#define TDVMCALL_SUCCESS             0ull
#define TDVMCALL_RETRY               1ull
#define TDVMCALL_INVALID_OPERAND     0x8000000000000000ull
#define TDVMCALL_GPA_INUSE           0x8000000000000001ull
#define TDVMCALL_ALIGN_ERROR         0x8000000000000002ull
#define TDVMCALL_SUBFUNC_UNSUPPORTED 0x8000000000000003ull

/* The shared buffer of GetQuote (348552, section 3.3). */
#define TDX_QUOTE_HEADER_SIZE 24u
struct tdx_quote_header {
    uint64_t version; /* 1 */
    uint64_t status;  /* enum tdx_quote_status; the guest writes 0 */
    uint32_t in_len;  /* bytes that follow, of the TDREPORT */
    uint32_t out_len; /* bytes that follow, of the quote; the guest writes 0 */
};
static_assert(sizeof(struct tdx_quote_header) == TDX_QUOTE_HEADER_SIZE, "GetQuote header");
#define TDX_QUOTE_SUCCESS             0ull
#define TDX_QUOTE_IN_FLIGHT           0xffffffffffffffffull
#define TDX_QUOTE_ERROR               0x8000000000000000ull
#define TDX_QUOTE_SERVICE_UNAVAILABLE 0x8000000000000001ull

/* TD_PARAMS' and the launch's fixed facts. */
#define TDX_GPAW       48u
#define TDX_SHARED_BIT (1ull << 47)
#define TDX_RESET_VECTOR                                                                                     \
    0xfffffff0u /* every vCPU's first instruction: 32-bit protected mode, flat, no paging */

#endif
