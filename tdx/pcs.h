/* Members of the documents of Intel's Provisioning Certification Service; for tcb_info.c and qe_identity.c alone. */
#ifndef COFRE_TDX_PCS_H
#define COFRE_TDX_PCS_H

#include "tdx/tcb_info.h"

/* Each reads one member that must be there, and otherwise returns -COFRE_MALFORMED with its name. */
int pcs_hex(const json_t *object, const char *name, void *out, size_t len, struct cofre_err *err);
int pcs_number(const json_t *object, const char *name, uint32_t max, uint32_t *out, struct cofre_err *err);
int pcs_time(const json_t *object, const char *name, int64_t *out, struct cofre_err *err);
/* An array of 1 to max values, or of exactly max where exact. */
int pcs_list(const json_t *object, const char *name, size_t max, bool exact, json_t **out,
             struct cofre_err *err);

/* The members that every level has: tcbDate, tcbStatus, and advisoryIDs, which may be missing. */
int pcs_judgement(const json_t *level, int64_t *date, enum tdx_tcb_status *status, const json_t **advisories,
                  struct cofre_err *err);
/* "tcbLevels" of a module or an enclave, sorted. *out is the caller's even on failure. */
int pcs_isv_levels(const json_t *object, struct tdx_isv_levels *out, struct cofre_err *err);

/* The members that every document has: id, version, issueDate, nextUpdate, tcbEvaluationDataNumber. */
int pcs_heading(const json_t *document, const char *id, int version, int64_t *issue_date,
                int64_t *next_update, uint32_t *evaluation_number, struct cofre_err *err);

#endif
