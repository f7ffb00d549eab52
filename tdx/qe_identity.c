#include "tdx/qe_identity.h"

#include <stdlib.h>

#include "tdx/pcs.h"
#include "vmm/base/json.h"

static int parse(struct tdx_qe_identity *out, struct cofre_err *err)
{
    const json_t *document = out->document;
    uint8_t miscselect[4], mask[4];
    uint32_t prod_id;
    int rc =
        pcs_heading(document, "TD_QE", 2, &out->issue_date, &out->next_update, &out->evaluation_number, err);
    if (rc < 0 || (rc = pcs_hex(document, "miscselect", miscselect, sizeof miscselect, err)) < 0 ||
        (rc = pcs_hex(document, "miscselectMask", mask, sizeof mask, err)) < 0 ||
        (rc = pcs_hex(document, "attributes", out->attributes, sizeof out->attributes, err)) < 0 ||
        (rc = pcs_hex(document, "attributesMask", out->attributes_mask, sizeof out->attributes_mask, err)) <
            0 ||
        (rc = pcs_hex(document, "mrsigner", out->mrsigner, sizeof out->mrsigner, err)) < 0 ||
        (rc = pcs_number(document, "isvprodid", UINT16_MAX, &prod_id, err)) < 0)
        return rc;
    out->miscselect = le32(miscselect);
    out->miscselect_mask = le32(mask);
    out->isv_prod_id = (uint16_t)prod_id;
    return pcs_isv_levels(document, &out->levels, err);
}

int tdx_qe_identity_parse(struct tdx_qe_identity *out, struct view text, struct cofre_err *err)
{
    *out = (struct tdx_qe_identity){0};
    int rc = json_read(&out->document, text, COFRE_MALFORMED, err);
    if (rc == 0)
        rc = parse(out, err);
    if (rc < 0)
        tdx_qe_identity_free(out);
    return rc < 0 ? cofre_within(err, rc, "QE identity") : 0;
}

void tdx_qe_identity_free(struct tdx_qe_identity *qe)
{
    free(qe->levels.level);
    json_decref(qe->document);
    *qe = (struct tdx_qe_identity){0};
}
