/*
 * MRTD and RTMRs: how the TDX module's measurements come about, for prediction, launch and the module in software alike.
 * Sources: Intel TDX Module Base Architecture Specification (348549), section "Measurement and attestation"; the blocks'
 * layout: 348551, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND.
 */
#ifndef COFRE_TDX_MRTD_H
#define COFRE_TDX_MRTD_H

#include "tdx/abi.h"
#include <stdbool.h>

#include "vmm/base/error.h"

struct tdx_mrtd; /* a SHA-384 that goes on */

int tdx_mrtd_new(struct tdx_mrtd **out, struct cofre_err *err);
void tdx_mrtd_free(struct tdx_mrtd *mrtd); /* NULL is allowed */

/* TDH.MEM.PAGE.ADD of the 4 KiB page at gpa: that it was added, whatever its contents. */
int tdx_mrtd_page_add(struct tdx_mrtd *mrtd, uint64_t gpa, struct cofre_err *err);
/* TDH.MR.EXTEND of the 256 bytes at gpa. */
int tdx_mrtd_extend(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t chunk[TDX_EXTEND_CHUNK],
                    struct cofre_err *err);
/* Whole pages as KVM gives them to the module: each is added and then, where measured, extended chunk by chunk. data has
 * len bytes; NULL with measured stands for zeros. */
int tdx_mrtd_pages(struct tdx_mrtd *mrtd, uint64_t gpa, const uint8_t *data, uint64_t len, bool measured,
                   struct cofre_err *err);
/* The value so far; more can follow. */
int tdx_mrtd_value(const struct tdx_mrtd *mrtd, uint8_t out[TDX_DIGEST_SIZE], struct cofre_err *err);

/* TDG.MR.RTMR.EXTEND: rtmr = SHA-384(rtmr | digest). An RTMR starts as zeros. */
void tdx_rtmr_extend(uint8_t rtmr[TDX_DIGEST_SIZE], const uint8_t digest[TDX_DIGEST_SIZE]);

#endif
