/* QE identity V2: what Intel's TD quoting enclave must be (PCS API v4, GET /tdx/certification/v4/qe/identity). */
#ifndef COFRE_TDX_QE_IDENTITY_H
#define COFRE_TDX_QE_IDENTITY_H

#include "tdx/tcb_info.h"

struct tdx_qe_identity {
    int64_t issue_date, next_update;
    uint32_t evaluation_number;
    uint32_t miscselect,
        miscselect_mask; /* as a report's number: the text has the bytes in the report's order */
    uint8_t attributes[16], attributes_mask[16];
    uint8_t mrsigner[32];
    uint16_t isv_prod_id;
    struct tdx_isv_levels levels;
    json_t *document; /* owned */
};

/* text: the object of member "enclaveIdentity". -COFRE_MALFORMED names the member. */
int tdx_qe_identity_parse(struct tdx_qe_identity *out, struct view text, struct cofre_err *err);
void tdx_qe_identity_free(struct tdx_qe_identity *qe);

#endif
