#include "attest/collateral/tdx_file.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

/* A root's list is found signed by a certificate of any of the file's chains. */
static const struct {
    const char *body, *chain;
    bool is_der;
} members[COLLATERAL_KINDS] = {
    [PCS_TCB_INFO] = {"tcb_info", "tcb_info_issuer_chain", false},
    [PCS_QE_IDENTITY] = {"qe_identity", "qe_identity_issuer_chain", false},
    [PCS_PCK_CRL] = {"pck_crl", "pck_crl_issuer_chain", true},
    [PCS_ROOT_CRL] = {"root_ca_crl", NULL, true},
};

static json_t *text_of(const struct bytes *body, bool is_der)
{
    if (!is_der)
        return json_stringn((const char *)body->data, body->len);
    CLEAN_FREE char *digits = malloc(2 * body->len + 1);
    if (!digits)
        return NULL;
    hex_encode(digits, body->data, body->len);
    return json_string(digits);
}

static bool add(json_t *file, const struct tdx_part *part, bool alone)
{
    const struct collateral_item *item = part->item;
    const char *chain = members[part->kind].chain;
    if (!chain && alone)
        chain = "pck_crl_issuer_chain";
    return json_object_set_new(file, members[part->kind].body,
                               text_of(&item->body, members[part->kind].is_der)) == 0 &&
           (!chain || item->chain.len == 0 ||
            json_object_set_new(file, chain, json_stringn((const char *)item->chain.data, item->chain.len)) ==
                0);
}

int tdx_file_read(struct tdx_collateral *out, const struct tdx_part *part, size_t parts,
                  struct cofre_err *err)
{
    CLEAN_JSON *file = json_object();
    for (size_t i = 0; i < parts; i++)
        if (!file || !add(file, &part[i], parts == 1))
            return cofre_fail(err, COFRE_MALFORMED, "it is no text that JSON could hold");
    CLEAN_FREE char *text = json_dumps(file, JSON_COMPACT);
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "out of memory");
    return tdx_collateral_parse(out, (struct view){(const uint8_t *)text, strlen(text)}, err);
}
