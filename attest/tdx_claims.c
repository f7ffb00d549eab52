/* What a quote says, by name. */
#include "attest/claims.h"
#include "attest/tdx.h"

#define SET_HEX(object, from, field) claim_hex(object, #field, (from)->field, sizeof(from)->field)

static void add_body(json_t *object, const struct tdx_quote *quote)
{
    const struct tdx_quote_body *body = quote->body;
    static const char *const rtmrs[] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    claim_hex(object, "measurement", body->mrtd, sizeof body->mrtd);
    for (int i = 0; i < (int)TDX_RTMRS; i++)
        claim_hex(object, rtmrs[i], body->rtmr[i], sizeof body->rtmr[i]);
    SET_HEX(object, body, report_data);
    SET_HEX(object, body, mrconfigid);
    SET_HEX(object, body, mrowner);
    SET_HEX(object, body, mrownerconfig);
    json_object_set_new(object, "td_attributes",
                        claim_bits(le64(body->td_attributes), policy_tdx_attributes, POLICY_TDX_ATTRIBUTES));
    json_object_set_new(object, "xfam", claim_number(le64(body->xfam)));
    SET_HEX(object, body, tee_tcb_svn);
    SET_HEX(object, body, mrseam);
    SET_HEX(object, body, mrsignerseam);
    SET_HEX(object, body, seam_attributes);
    if (tdx_quote_body_has(quote, mrservicetd)) {
        SET_HEX(object, body, tee_tcb_svn_2);
        SET_HEX(object, body, mrservicetd);
    }
    if (tdx_quote_body_has(quote, td_id)) {
        json_object_set_new(object, "vmid", json_integer(body->vmid));
        SET_HEX(object, body, td_id);
        SET_HEX(object, body, device_info);
        SET_HEX(object, body, init_servtd_hash);
        SET_HEX(object, body, init_servtd_attributes);
        SET_HEX(object, body, init_cpu_svn);
        SET_HEX(object, body, init_tee_tcb_svn);
        SET_HEX(object, body, init_tee_fmspc);
        SET_HEX(object, body, servtd_hash);
        SET_HEX(object, body, servtd_attributes);
    }
}

static json_t *quoting_enclave(const struct tdx_qe_report *qe)
{
    json_t *object = json_object();
    SET_HEX(object, qe, mrenclave);
    SET_HEX(object, qe, mrsigner);
    SET_HEX(object, qe, attributes);
    json_object_set_new(object, "miscselect", claim_number(le32(qe->miscselect)));
    json_object_set_new(object, "isv_prod_id", json_integer(le16(qe->isv_prod_id)));
    json_object_set_new(object, "isv_svn", json_integer(le16(qe->isv_svn)));
    return object;
}

static void add_flag(json_t *object, const char *name, struct tdx_pck_flag flag)
{
    if (flag.given)
        json_object_set_new(object, name, json_boolean(flag.set));
}

json_t *tdx_pck_claims(const struct tdx_pck *pck)
{
    json_t *object = json_object(), *components = json_array();
    SET_HEX(object, pck, fmspc);
    SET_HEX(object, pck, pce_id);
    SET_HEX(object, pck, ppid);
    SET_HEX(object, pck, cpu_svn);
    json_object_set_new(object, "pce_svn", json_integer(pck->pce_svn));
    for (size_t i = 0; i < sizeof pck->sgx; i++)
        json_array_append_new(components, json_integer(pck->sgx[i]));
    json_object_set_new(object, "components", components);
    json_object_set_new(object, "sgx_type", json_integer(pck->sgx_type));
    if (pck->has_platform_instance)
        SET_HEX(object, pck, platform_instance);
    add_flag(object, "dynamic_platform", pck->dynamic_platform);
    add_flag(object, "cached_keys", pck->cached_keys);
    add_flag(object, "smt", pck->smt);
    return object;
}

json_t *tdx_claims(const struct tdx_quote *quote, const struct tdx_pck *pck)
{
    json_t *object = json_object();
    if (!object)
        return NULL;
    add_body(object, quote);
    json_object_set_new(object, "body_type", json_integer(quote->body_type));
    json_object_set_new(object, "quoting_enclave", quoting_enclave(&quote->qe->report));
    if (pck)
        json_object_set_new(object, "platform", tdx_pck_claims(pck));
    return object;
}
