/* MSG_REPORT_REQ (56860, 7.3): a guest asks the chip what it is. */
#include <string.h>

#include "sev/ecdsa.h"
#include "sev/model/guest.h"

enum { KEY_VLEK_OR_VCEK, KEY_VCEK, KEY_VLEK, KEY_RESERVED };

enum psp_status psp_select_key(const struct psp_guest *guest, uint32_t key_sel, EVP_PKEY **key,
                               uint32_t *signing_key)
{
    const struct psp *psp = guest->psp;
    bool vlek = key_sel == KEY_VLEK || (key_sel == KEY_VLEK_OR_VCEK && psp->options.vlek);
    *key = NULL;
    *signing_key = SNP_SIGNING_KEY_NONE;
    if (key_sel >= KEY_RESERVED)
        return psp_refuse(PSP_INVALID_KEY, "key selection %u is reserved", key_sel);
    if (vlek && !psp->options.vlek)
        return psp_refuse(PSP_INVALID_KEY, "the VLEK is asked for, and none is installed");
    if (!vlek && guest->vcek_disabled)
        return psp_refuse(PSP_INVALID_KEY,
                          "the VCEK is asked for, and the launch disabled it for this guest");
    if (!vlek && psp->options.mask_chip_key)
        return PSP_SUCCESS;
    *key = vlek ? psp->chain.vlek_key : psp->chain.vcek_key;
    *signing_key = vlek ? SNP_SIGNING_KEY_VLEK : SNP_SIGNING_KEY_VCEK;
    return PSP_SUCCESS;
}

enum psp_status psp_check_vmpl(uint32_t vmpl, unsigned vmpck)
{
    if (vmpl < vmpck || vmpl >= PSP_VMPL_COUNT)
        return psp_refuse(PSP_INVALID_PARAM, "VMPL %u is asked for under VMPCK %u", vmpl, vmpck);
    return PSP_SUCCESS;
}

static void fill_platform(struct snp_report *report, const struct psp *psp)
{
    uint32_t fms = psp_fms(psp);
    report->version = psp->options.report_version;
    report->current_tcb = report->reported_tcb = report->committed_tcb = report->launch_tcb = psp->tcb;
    report->current_major = report->committed_major = psp->api_major;
    report->current_minor = report->committed_minor = psp->api_minor;
    report->current_build = report->committed_build = psp->build;
    report->platform_info = psp->options.smt ? SNP_PLATFORM_SMT_EN : 0;
    if (!psp->options.mask_chip_id)
        memcpy(report->chip_id, psp->chain.chip_id, sizeof report->chip_id);
    if (report->version >= 3) {
        report->platform_info |= SNP_PLATFORM_ECC_EN | SNP_PLATFORM_ALIAS_CHECK;
        report->cpuid_fam_id = (uint8_t)((fms >> 20 & 0xff) + (fms >> 8 & 0xf));
        report->cpuid_mod_id = (uint8_t)((fms >> 12 & 0xf0) | (fms >> 4 & 0xf));
        report->cpuid_step = fms & 0xf;
    }
    if (report->version >= 5)
        report->launch_mit_vector = report->current_mit_vector = 1;
}

static void fill_guest(struct snp_report *report, const struct psp_guest *guest)
{
    report->guest_svn = guest->id_block.guest_svn;
    report->policy = guest->policy;
    memcpy(report->family_id, guest->id_block.family_id, sizeof report->family_id);
    memcpy(report->image_id, guest->id_block.image_id, sizeof report->image_id);
    memcpy(report->measurement, guest->digest, sizeof report->measurement);
    memcpy(report->host_data, guest->host_data, sizeof report->host_data);
    memcpy(report->id_key_digest, guest->id_key_digest, sizeof report->id_key_digest);
    memcpy(report->author_key_digest, guest->author_key_digest, sizeof report->author_key_digest);
    memcpy(report->report_id, guest->report_id, sizeof report->report_id);
    memset(report->report_id_ma, 0xff, sizeof report->report_id_ma); /* no migration agent */
}

static enum psp_status make_report(const struct psp_guest *guest, unsigned vmpck,
                                   const struct snp_report_req *request, struct snp_report *report)
{
    EVP_PKEY *key;
    uint32_t signing_key;
    struct cofre_err err;
    if (request->key_sel > KEY_RESERVED || !bytes_are_zero(request->reserved_48, sizeof request->reserved_48))
        return psp_refuse(PSP_INVALID_PARAM, "report request: a reserved field is not zero");
    enum psp_status status = psp_select_key(guest, request->key_sel, &key, &signing_key);
    if (status == PSP_SUCCESS)
        status = psp_check_vmpl(request->vmpl, vmpck);
    if (status != PSP_SUCCESS)
        return status;
    fill_platform(report, guest->psp);
    fill_guest(report, guest);
    report->vmpl = request->vmpl;
    report->signature_algo = SNP_ALGO_ECDSA_P384_SHA384;
    report->flags = (guest->author_key_en ? SNP_REPORT_AUTHOR_KEY_EN : 0) |
                    (guest->psp->options.mask_chip_key ? SNP_REPORT_MASK_CHIP_KEY : 0) | signing_key << 2;
    memcpy(report->report_data, request->report_data, sizeof report->report_data);
    struct view covered = {(const uint8_t *)report, offsetof(struct snp_report, signature)};
    if (key && snp_ecdsa_sign(&report->signature, key, covered, &err) < 0)
        return psp_refuse(PSP_RESOURCE_LIMIT, "report request: %s", err.text);
    return PSP_SUCCESS;
}

enum psp_status psp_report(const struct psp_guest *guest, unsigned vmpck,
                           const struct snp_report_req *request, struct snp_report_rsp *response)
{
    memset(response, 0, sizeof *response);
    response->report_size = sizeof response->report;
    response->status = make_report(guest, vmpck, request, &response->report);
    return response->status;
}
