/* What a report says, by name. */
#include <inttypes.h>
#include <stdio.h>

#include "attest/claims.h"
#include "attest/snp.h"
#include "attest/svsm.h"
#include "vmm/base/ovmf_table.h"

static json_t *guest_policy(uint64_t policy)
{
    char abi[16];
    json_t *object = claim_bits(policy, policy_snp_guest_bits, POLICY_SNP_GUEST_BITS);
    (void)snprintf(abi, sizeof abi, "%u.%u", (unsigned)(policy >> 8 & 0xff), (unsigned)(policy & 0xff));
    json_object_set_new(object, "abi", json_string(abi));
    return object;
}

static json_t *tcb(uint64_t raw, enum snp_product product)
{
    struct snp_tcb decoded;
    json_t *object = json_object();
    json_object_set_new(object, "raw", claim_number(raw));
    snp_tcb_decode(&decoded, raw, product);
    for (int i = 0; i < SNP_TCB_COMPONENTS; i++)
        if (snp_tcb_byte(product, i) >= 0)
            json_object_set_new(object, snp_tcb_component_name(i), json_integer(decoded.svn[i]));
    return object;
}

static json_t *firmware(uint8_t major, uint8_t minor, uint8_t build)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%u.%u.%u", major, minor, build);
    return json_string(text);
}

static json_t *signing_key(uint32_t flags)
{
    static const char *const names[8] = {
        [SNP_SIGNING_KEY_VCEK] = "VCEK", [SNP_SIGNING_KEY_VLEK] = "VLEK", [SNP_SIGNING_KEY_NONE] = "none"};
    const char *name = names[SNP_REPORT_SIGNING_KEY(flags)];
    return json_string(name ? name : "unknown");
}

#define SET_HEX(object, r, field) claim_hex(object, #field, (r)->field, sizeof(r)->field)

static void add_identity(json_t *object, const struct snp_report *r, const struct snp_leaf *leaf)
{
    SET_HEX(object, r, measurement);
    SET_HEX(object, r, report_data);
    SET_HEX(object, r, host_data);
    SET_HEX(object, r, chip_id);
    SET_HEX(object, r, family_id);
    SET_HEX(object, r, image_id);
    SET_HEX(object, r, id_key_digest);
    SET_HEX(object, r, author_key_digest);
    SET_HEX(object, r, report_id);
    SET_HEX(object, r, report_id_ma);
    if (leaf && leaf->role == SNP_ROLE_VLEK)
        json_object_set_new(object, "csp_id", json_string(leaf->csp_id));
}

static void add_tcb(json_t *object, const struct snp_report *r, enum snp_product product)
{
    json_t *tcbs = json_object();
    json_object_set_new(tcbs, "reported", tcb(r->reported_tcb, product));
    json_object_set_new(tcbs, "committed", tcb(r->committed_tcb, product));
    json_object_set_new(tcbs, "current", tcb(r->current_tcb, product));
    json_object_set_new(tcbs, "launch", tcb(r->launch_tcb, product));
    json_object_set_new(object, "tcb", tcbs);
    json_object_set_new(object, "firmware_current",
                        firmware(r->current_major, r->current_minor, r->current_build));
    json_object_set_new(object, "firmware_committed",
                        firmware(r->committed_major, r->committed_minor, r->committed_build));
}

json_t *snp_claims(const struct snp_report *r, enum snp_product product, const struct snp_leaf *leaf)
{
    json_t *object = json_object();
    if (!object)
        return NULL;
    add_identity(object, r, leaf);
    json_object_set_new(object, "vmpl", json_integer(r->vmpl));
    json_object_set_new(object, "guest_svn", json_integer(r->guest_svn));
    json_object_set_new(object, "policy", guest_policy(r->policy));
    json_object_set_new(object, "platform_info",
                        claim_bits(r->platform_info, policy_snp_platform_bits, POLICY_SNP_PLATFORM_BITS));
    add_tcb(object, r, product);
    json_object_set_new(object, "signing_key", signing_key(r->flags));
    json_object_set_new(object, "author_key_used", json_boolean(r->flags & SNP_REPORT_AUTHOR_KEY_EN));
    json_object_set_new(object, "chip_key_masked", json_boolean(r->flags & SNP_REPORT_MASK_CHIP_KEY));
    if (r->version >= SNP_REPORT_HAS_CPUID)
        json_object_set_new(object, "cpuid",
                            json_pack("{s:i, s:i, s:i}", "family", r->cpuid_fam_id, "model", r->cpuid_mod_id,
                                      "stepping", r->cpuid_step));
    if (r->version >= SNP_REPORT_HAS_VECTORS)
        json_object_set_new(object, "mitigations",
                            json_pack("{s:o, s:o}", "launch", claim_number(r->launch_mit_vector), "current",
                                      claim_number(r->current_mit_vector)));
    return object;
}

static json_t *vtpm_claims(const struct svsm_ek *ek)
{
    char name[2 * SVSM_EK_NAME_MAX + 1];
    hex_encode(name, ek->name, ek->name_len);
    return json_pack("{s:s, s:s}", "endorsement_key", ek->kind, "endorsement_key_name", name);
}

json_t *snp_service_claims(const struct svsm_manifest *m)
{
    json_t *services = json_array();
    for (size_t i = 0; i < m->services; i++) {
        char guid[GUID_TEXT_SIZE];
        guid_format(guid, m->service[i].guid);
        json_array_append_new(services, json_string(guid));
    }
    json_t *object =
        json_pack("{s:s, s:o}", "manifest", m->all ? "all services" : "the vTPM alone", "guids", services);
    if (object && m->ek.key)
        json_object_set_new(object, "vtpm", vtpm_claims(&m->ek));
    return object;
}
