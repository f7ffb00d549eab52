/* TDREPORT (tdx/abi.h; 348551, section 3.9): what TDG.MR.REPORT gives a guest, for the quoting enclave of the same
 * machine. Its MAC can be judged by that machine alone; here only its form is. */
#ifndef COFRE_TDX_REPORT_H
#define COFRE_TDX_REPORT_H

#include "tdx/abi.h"
#include "vmm/base/bytes.h"

/* True for 1024 bytes that begin as a TDREPORT does. */
bool tdx_report_recognises(struct view raw);

/* Copies the report; -COFRE_MALFORMED unless raw has exactly its size. Nothing else is checked here. */
int tdx_report_parse(struct tdx_report *out, struct view raw, struct cofre_err *err);

/* 0 where the type is TDX's, reserved bytes are zero, and the two hashes are those of TEE_TCB_INFO and TDINFO; else
 * -COFRE_NEGATIVE and a sentence. */
int tdx_report_check(const struct tdx_report *report, struct cofre_err *err);

#endif
