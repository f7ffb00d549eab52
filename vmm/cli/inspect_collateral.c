/* What Intel says of platforms, described: TCB info, QE identity, and the file that has them with their lists. */
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "tdx/collateral.h"
#include "vmm/base/json.h"
#include "vmm/base/timestamp.h"
#include "vmm/base/x509.h"
#include "vmm/cli/inspect.h"

static void put_time(json_t *object, const char *key, int64_t time)
{
    char text[TIME_TEXT_SIZE];
    time_format(text, time);
    json_object_set_new(object, key, json_string(text));
}

static void put_judgement(json_t *object, enum tdx_tcb_status status, int64_t date, const json_t *advisories)
{
    json_object_set_new(object, "status", json_string(tdx_tcb_status_name(status)));
    put_time(object, "date", date);
    if (advisories)
        json_object_set_new(object, "advisories", json_deep_copy(advisories));
}

static json_t *isv_levels_json(const struct tdx_isv_levels *levels)
{
    json_t *list = json_array();
    for (size_t i = 0; i < levels->count; i++) {
        json_t *level = json_pack("{s:i}", "isv_svn", levels->level[i].isv_svn);
        put_judgement(level, levels->level[i].status, levels->level[i].date, levels->level[i].advisories);
        json_array_append_new(list, level);
    }
    return list;
}

static json_t *module_json(const struct tdx_module_identity *module, bool has_levels)
{
    json_t *object = json_pack("{s:i}", "version", module->version);
    inspect_put_hex(object, "mrsigner", module->mrsigner, sizeof module->mrsigner);
    inspect_put_hex(object, "attributes", module->attributes, sizeof module->attributes);
    inspect_put_hex(object, "attributes_mask", module->attributes_mask, sizeof module->attributes_mask);
    if (has_levels)
        json_object_set_new(object, "levels", isv_levels_json(&module->levels));
    return object;
}

static json_t *tcb_levels_json(const struct tdx_tcb_info *info)
{
    json_t *list = json_array();
    for (size_t i = 0; i < info->levels; i++) {
        const struct tdx_tcb_level *l = &info->level[i];
        json_t *level = json_pack("{s:i}", "pce_svn", l->pce_svn);
        inspect_put_hex(level, "sgx", l->sgx, sizeof l->sgx);
        inspect_put_hex(level, "tdx", l->tdx, sizeof l->tdx);
        put_judgement(level, l->status, l->date, l->advisories);
        json_array_append_new(list, level);
    }
    return list;
}

static json_t *tcb_info_json(const struct tdx_tcb_info *info)
{
    json_t *object = json_object(), *modules = json_array();
    inspect_put_hex(object, "fmspc", info->fmspc, sizeof info->fmspc);
    inspect_put_hex(object, "pce_id", info->pce_id, sizeof info->pce_id);
    json_object_set_new(object, "evaluation_number", json_integer(info->evaluation_number));
    put_time(object, "issue_date", info->issue_date);
    put_time(object, "next_update", info->next_update);
    json_array_append_new(modules, module_json(&info->module, false));
    for (size_t i = 0; i < info->identities; i++)
        json_array_append_new(modules, module_json(&info->identity[i], true));
    json_object_set_new(object, "modules", modules);
    json_object_set_new(object, "levels", tcb_levels_json(info));
    return object;
}

static json_t *qe_identity_json(const struct tdx_qe_identity *qe)
{
    json_t *object = json_pack("{s:I, s:i}", "evaluation_number", (json_int_t)qe->evaluation_number,
                               "isv_prod_id", qe->isv_prod_id);
    put_time(object, "issue_date", qe->issue_date);
    put_time(object, "next_update", qe->next_update);
    inspect_put_hex(object, "mrsigner", qe->mrsigner, sizeof qe->mrsigner);
    inspect_put_address(object, "miscselect", qe->miscselect);
    inspect_put_address(object, "miscselect_mask", qe->miscselect_mask);
    inspect_put_hex(object, "attributes", qe->attributes, sizeof qe->attributes);
    inspect_put_hex(object, "attributes_mask", qe->attributes_mask, sizeof qe->attributes_mask);
    json_object_set_new(object, "levels", isv_levels_json(&qe->levels));
    return object;
}

/* Collateral files */

static void put_finding(json_t *object, const char *key, const struct tdx_finding *finding)
{
    json_object_set_new(object, key, json_string(finding->rc == 0 ? "verifies" : finding->why.text));
}

static json_t *signers_json(const struct x509_certs *issuers)
{
    json_t *list = json_array();
    for (size_t i = 0; i < issuers->count; i++) {
        char name[128];
        x509_name(name, issuers->cert[i]);
        json_array_append_new(list, json_string(name));
    }
    return list;
}

/* The document with what the file says about its signature. */
static void put_signed(json_t *out, const char *key, json_t *document, const struct tdx_signed *signature)
{
    put_finding(document, "signature", &signature->signature_found);
    put_finding(document, "chain", &signature->chain_found);
    json_object_set_new(document, "signers", signers_json(&signature->issuers));
    json_object_set_new(out, key, document);
}

static void put_crl(json_t *out, const char *key, const struct tdx_crl *crl)
{
    char name[128];
    if (!crl->crl)
        return;
    int revoked = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl->crl));
    json_t *object = json_pack("{s:i}", "revoked", revoked < 0 ? 0 : revoked);
    if (crl->signer)
        x509_name(name, crl->signer);
    json_object_set_new(object, "signed_by",
                        json_string(crl->signer ? name : "none of the collateral's certificates"));
    json_object_set_new(object, "this_update", inspect_time(X509_CRL_get0_lastUpdate(crl->crl)));
    json_object_set_new(object, "next_update", inspect_time(X509_CRL_get0_nextUpdate(crl->crl)));
    json_object_set_new(out, key, object);
}

static bool is_emulated(const struct tdx_collateral *c)
{
    const struct x509_certs *all[] = {&c->tcb_signed.issuers, &c->qe_signed.issuers, &c->pck_crl_issuers,
                                      &c->pck_chain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t j = 0; j < all[i]->count; j++)
            if (x509_is_emulated(all[i]->cert[j]))
                return true;
    return false;
}

static int describe_collateral(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_COLLATERAL collateral = {0};
    int rc = tdx_collateral_parse(&collateral, file, err);
    if (rc < 0)
        return rc;
    json_t *description = *out = json_object();
    if (is_emulated(&collateral))
        json_object_set_new(description, "emulated",
                            json_string("EMULATED platform: quotes under it give no confidentiality"));
    if (collateral.tcb_signed.text.len)
        put_signed(description, "tcb_info", tcb_info_json(&collateral.tcb), &collateral.tcb_signed);
    if (collateral.qe_signed.text.len)
        put_signed(description, "qe_identity", qe_identity_json(&collateral.qe), &collateral.qe_signed);
    put_crl(description, "pck_crl", &collateral.pck_crl);
    put_crl(description, "root_ca_crl", &collateral.root_ca_crl);
    return 0;
}

/* The service's answers alone: their signers travel in headers, so that nothing is said of signatures */

static bool is_answer(struct view file, const char *member)
{
    struct view object;
    uint8_t signature[64];
    return tdx_answer_split(file, member, &object, signature);
}

static bool is_tcb_info(struct view file)
{
    return is_answer(file, "tcbInfo");
}

static bool is_qe_identity(struct view file)
{
    return is_answer(file, "enclaveIdentity");
}

static int describe_tcb_info(json_t **out, struct view file, struct cofre_err *err)
{
    struct tdx_tcb_info info;
    struct view object;
    uint8_t signature[64];
    tdx_answer_split(file, "tcbInfo", &object, signature);
    int rc = tdx_tcb_info_parse(&info, object, err);
    if (rc < 0)
        return rc;
    *out = tcb_info_json(&info);
    tdx_tcb_info_free(&info);
    return 0;
}

static int describe_qe_identity(json_t **out, struct view file, struct cofre_err *err)
{
    struct tdx_qe_identity qe;
    struct view object;
    uint8_t signature[64];
    tdx_answer_split(file, "enclaveIdentity", &object, signature);
    int rc = tdx_qe_identity_parse(&qe, object, err);
    if (rc < 0)
        return rc;
    *out = qe_identity_json(&qe);
    tdx_qe_identity_free(&qe);
    return 0;
}

const struct artefact_kind inspect_collateral = {"TDX collateral", tdx_collateral_recognises,
                                                 describe_collateral};
const struct artefact_kind inspect_tcb_info = {"TDX TCB info", is_tcb_info, describe_tcb_info};
const struct artefact_kind inspect_qe_identity = {"TDX QE identity", is_qe_identity, describe_qe_identity};
