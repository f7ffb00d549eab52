/* What a TDX guest or its host brings, described. */
#include <stdio.h>
#include <string.h>

#include "tdx/report.h"
#include "vmm/cli/inspect.h"

static void put_rtmrs(json_t *object, const uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE])
{
    for (unsigned i = 0; i < TDX_RTMRS; i++) {
        char key[] = "rtmr0";
        key[4] = (char)('0' + i);
        inspect_put_hex(object, key, rtmr[i], TDX_DIGEST_SIZE);
    }
}

/* TDREPORT */

static json_t *mac_json(const struct tdx_report_mac *mac)
{
    json_t *object = json_pack("{s:i, s:i}", "version", mac->version, "subtype", mac->subtype);
    inspect_put_hex(object, "cpu_svn", mac->cpu_svn, sizeof mac->cpu_svn);
    inspect_put_hex(object, "report_data", mac->report_data, sizeof mac->report_data);
    inspect_put_hex(object, "mac", mac->mac, sizeof mac->mac);
    return object;
}

static json_t *tcb_json(const struct tdx_tee_tcb_info *tcb)
{
    json_t *object = json_object();
    inspect_put_address(object, "valid", le64(tcb->valid));
    inspect_put_hex(object, "tee_tcb_svn", tcb->tee_tcb_svn, sizeof tcb->tee_tcb_svn);
    inspect_put_hex(object, "tee_tcb_svn_2", tcb->tee_tcb_svn_2, sizeof tcb->tee_tcb_svn_2);
    inspect_put_hex(object, "mrseam", tcb->mrseam, sizeof tcb->mrseam);
    inspect_put_hex(object, "mrsignerseam", tcb->mrsignerseam, sizeof tcb->mrsignerseam);
    inspect_put_address(object, "attributes", le64(tcb->attributes));
    return object;
}

static json_t *td_json(const struct tdx_td_info *td)
{
    json_t *object = json_object();
    inspect_put_address(object, "attributes", le64(td->attributes));
    inspect_put_address(object, "xfam", le64(td->xfam));
    inspect_put_hex(object, "mrtd", td->mrtd, sizeof td->mrtd);
    put_rtmrs(object, td->rtmr);
    inspect_put_hex(object, "mrconfigid", td->mrconfigid, sizeof td->mrconfigid);
    inspect_put_hex(object, "mrowner", td->mrowner, sizeof td->mrowner);
    inspect_put_hex(object, "mrownerconfig", td->mrownerconfig, sizeof td->mrownerconfig);
    inspect_put_hex(object, "servtd_hash", td->servtd_hash, sizeof td->servtd_hash);
    return object;
}

static int describe_td_report(json_t **out, struct view file, struct cofre_err *err)
{
    struct tdx_report report;
    int rc = tdx_report_parse(&report, file, err);
    if (rc < 0)
        return rc;
    rc = tdx_report_check(&report, err);
    *out = json_pack("{s:s, s:o, s:o, s:o, s:b, s:s*}", "note",
                     "its MAC means something to the processor that made it, and to no other", "report",
                     mac_json(&report.mac), "tee_tcb_info", tcb_json(&report.tcb), "td_info",
                     td_json(&report.td), "well_formed", rc == 0, "but", rc < 0 ? err->text : NULL);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the description");
}

/* The last kind that is asked: whatever it is, it has a TDREPORT's size. */
static bool has_report_size(struct view file)
{
    return file.len == TDX_REPORT_SIZE;
}

const struct artefact_kind inspect_td_report = {"TDREPORT", has_report_size, describe_td_report};
