#include "tdx/tcb_info.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tdx/pcs.h"
#include "vmm/base/json.h"

#define IDENTITIES_MAX 255
#define TCB_TYPE_KNOWN 0u

static int components(const json_t *tcb, const char *name, uint8_t out[TDX_TCB_COMPONENTS],
                      struct cofre_err *err)
{
    json_t *list, *item;
    size_t i;
    int rc = pcs_list(tcb, name, TDX_TCB_COMPONENTS, true, &list, err);
    if (rc < 0)
        return rc;
    json_array_foreach(list, i, item)
    {
        uint32_t svn = 0;
        rc = pcs_number(item, "svn", UINT8_MAX, &svn, err);
        if (rc < 0)
            return cofre_within(err, rc, "%s[%zu]", name, i);
        out[i] = (uint8_t)svn;
    }
    return 0;
}

static int level(const json_t *item, struct tdx_tcb_level *out, struct cofre_err *err)
{
    const json_t *tcb = json_object_get(item, "tcb");
    uint32_t pce_svn;
    int rc;
    if (!json_is_object(tcb))
        return cofre_fail(err, COFRE_MALFORMED, "\"tcb\" is not an object");
    if ((rc = components(tcb, "sgxtcbcomponents", out->sgx, err)) < 0 ||
        (rc = components(tcb, "tdxtcbcomponents", out->tdx, err)) < 0 ||
        (rc = pcs_number(tcb, "pcesvn", UINT16_MAX, &pce_svn, err)) < 0)
        return rc;
    out->pce_svn = (uint16_t)pce_svn;
    return pcs_judgement(item, &out->date, &out->status, &out->advisories, err);
}

/* Intel's order: by the first SGX component that differs, then PCE SVN, then the TDX components. */
static int highest_first(const void *a, const void *b)
{
    const struct tdx_tcb_level *x = a, *y = b;
    int order = memcmp(y->sgx, x->sgx, TDX_TCB_COMPONENTS);
    if (order == 0)
        order = y->pce_svn - x->pce_svn;
    return order ? order : memcmp(y->tdx, x->tdx, TDX_TCB_COMPONENTS);
}

static int levels(struct tdx_tcb_info *out, struct cofre_err *err)
{
    json_t *list, *item;
    size_t i;
    int rc = pcs_list(out->document, "tcbLevels", TDX_TCB_LEVELS_MAX, false, &list, err);
    if (rc < 0)
        return rc;
    out->level = calloc(json_array_size(list), sizeof *out->level);
    if (!out->level)
        return cofre_fail(err, COFRE_FAILED, "no memory for the levels of a TCB");
    json_array_foreach(list, i, item)
    {
        rc = level(item, &out->level[out->levels++], err);
        if (rc < 0)
            return cofre_within(err, rc, "tcbLevels[%zu]", i);
    }
    qsort(out->level, out->levels, sizeof *out->level, highest_first);
    for (i = 1; i < out->levels; i++)
        if (highest_first(&out->level[i - 1], &out->level[i]) == 0)
            return cofre_fail(err, COFRE_MALFORMED, "\"tcbLevels\" has a level twice");
    return 0;
}

static int module_members(const json_t *object, struct tdx_module_identity *out, struct cofre_err *err)
{
    int rc;
    if ((rc = pcs_hex(object, "mrsigner", out->mrsigner, sizeof out->mrsigner, err)) < 0 ||
        (rc = pcs_hex(object, "attributes", out->attributes, sizeof out->attributes, err)) < 0)
        return rc;
    return pcs_hex(object, "attributesMask", out->attributes_mask, sizeof out->attributes_mask, err);
}

static int identity(const json_t *object, struct tdx_module_identity *out, struct cofre_err *err)
{
    const json_t *id = json_object_get(object, "id");
    const char *text = json_is_string(id) ? json_string_value(id) : "";
    if (strlen(text) != 6 || strncmp(text, "TDX_", 4) != 0 || !hex_decode(&out->version, 1, text + 4))
        return cofre_fail(err, COFRE_MALFORMED, "\"id\" is not one such as \"TDX_03\"");
    int rc = module_members(object, out, err);
    return rc < 0 ? rc : pcs_isv_levels(object, &out->levels, err);
}

static const struct tdx_module_identity *identity_of(const struct tdx_tcb_info *info, uint8_t version)
{
    for (size_t i = 0; i < info->identities; i++)
        if (info->identity[i].version == version)
            return &info->identity[i];
    return NULL;
}

static int identities(struct tdx_tcb_info *out, struct cofre_err *err)
{
    json_t *list, *item;
    size_t i;
    if (!json_object_get(out->document, "tdxModuleIdentities"))
        return 0;
    int rc = pcs_list(out->document, "tdxModuleIdentities", IDENTITIES_MAX, false, &list, err);
    if (rc < 0)
        return rc;
    out->identity = calloc(json_array_size(list), sizeof *out->identity);
    if (!out->identity)
        return cofre_fail(err, COFRE_FAILED, "no memory for the identities of TDX modules");
    json_array_foreach(list, i, item)
    {
        struct tdx_module_identity *new = &out->identity[i];
        rc = identity(item, new, err);
        if (rc == 0 && identity_of(out, new->version))
            rc = cofre_fail(err, COFRE_MALFORMED, "a second identity for the same modules");
        out->identities++;
        if (rc < 0)
            return cofre_within(err, rc, "tdxModuleIdentities[%zu]", i);
    }
    return 0;
}

static int parse(struct tdx_tcb_info *out, struct cofre_err *err)
{
    const json_t *document = out->document;
    uint32_t type;
    int rc =
        pcs_heading(document, "TDX", 3, &out->issue_date, &out->next_update, &out->evaluation_number, err);
    if (rc < 0 || (rc = pcs_hex(document, "fmspc", out->fmspc, sizeof out->fmspc, err)) < 0 ||
        (rc = pcs_hex(document, "pceId", out->pce_id, sizeof out->pce_id, err)) < 0 ||
        (rc = pcs_number(document, "tcbType", UINT32_MAX, &type, err)) < 0)
        return rc;
    if (type != TCB_TYPE_KNOWN)
        return cofre_fail(err, COFRE_MALFORMED, "\"tcbType\" %u has levels in an order not known here", type);
    rc = module_members(json_object_get(document, "tdxModule"), &out->module, err);
    if (rc < 0)
        return cofre_within(err, rc, "tdxModule");
    rc = identities(out, err);
    return rc < 0 ? rc : levels(out, err);
}

int tdx_tcb_info_parse(struct tdx_tcb_info *out, struct view text, struct cofre_err *err)
{
    *out = (struct tdx_tcb_info){0};
    int rc = json_read(&out->document, text, COFRE_MALFORMED, err);
    if (rc == 0)
        rc = parse(out, err);
    if (rc < 0)
        tdx_tcb_info_free(out);
    return rc < 0 ? cofre_within(err, rc, "TCB info") : 0;
}

void tdx_tcb_info_free(struct tdx_tcb_info *info)
{
    for (size_t i = 0; i < info->identities; i++)
        free(info->identity[i].levels.level);
    free(info->identity);
    free(info->level);
    json_decref(info->document);
    *info = (struct tdx_tcb_info){0};
}

const struct tdx_module_identity *tdx_tcb_info_module(const struct tdx_tcb_info *info,
                                                      const uint8_t tee_tcb_svn[TDX_TCB_COMPONENTS])
{
    return tee_tcb_svn[1] == 0 ? &info->module : identity_of(info, tee_tcb_svn[1]);
}

const struct tdx_isv_level *tdx_isv_levels_find(const struct tdx_isv_levels *all, uint16_t isv_svn)
{
    for (size_t i = 0; i < all->count; i++)
        if (isv_svn >= all->level[i].isv_svn)
            return &all->level[i];
    return NULL;
}
