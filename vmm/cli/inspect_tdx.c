/* What a TDX guest or its host brings, described. */
#include <stdio.h>
#include <string.h>

#include "tdx/attributes.h"
#include "tdx/event_log.h"
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

/* "0x10000000", and its names beside it. */
static void put_bits(json_t *object, const char *key, const struct tdx_named_bits *names, const uint8_t at[8])
{
    char text[TDX_BITS_TEXT_SIZE], named[64];
    tdx_bits_format(text, names, le64(at));
    (void)snprintf(named, sizeof named, "%s_names", key);
    inspect_put_address(object, key, le64(at));
    json_object_set_new(object, named, json_string(text));
}

static json_t *td_json(const struct tdx_td_info *td)
{
    json_t *object = json_object();
    put_bits(object, "attributes", tdx_attribute_names, td->attributes);
    put_bits(object, "xfam", tdx_xfam_names, td->xfam);
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

/* Event logs */

/* The first event, in the form of TPM 1.2: 32 bytes, and its data begin with this. */
static bool is_event_log(struct view file)
{
    static const char spec_id[] = "Spec ID Event03";
    return file.len > 32 + sizeof spec_id && memcmp(file.data + 32, spec_id, sizeof spec_id) == 0;
}

/* The data of an event that are printable text, as the firmware that wrote them may end it. */
static json_t *text_json(struct view data)
{
    size_t len = data.len;
    while (len && data.data[len - 1] == '\0')
        len--;
    for (size_t i = 0; i < len; i++)
        if (data.data[i] < ' ' || data.data[i] > '~')
            return NULL;
    return len ? json_stringn((const char *)data.data, len) : NULL;
}

static json_t *event_json(const struct tdx_event *event)
{
    char room[16];
    struct cofre_err why;
    json_t *object = json_pack("{s:s, s:s, s:I, s:o*}", "register",
                               event->mr == TDX_EVENT_MRTD
                                   ? "MRTD"
                                   : (const char *[]){"RTMR0", "RTMR1", "RTMR2", "RTMR3"}[event->mr - 1],
                               "type", tdx_event_type_name(event->type, room), "data_bytes",
                               (json_int_t)event->data.len, "text", text_json(event->data));
    inspect_put_hex(object, "digest", event->digest, sizeof event->digest);
    if (tdx_event_check_data(event, &why) < 0)
        json_object_set_new(object, "but", json_string(why.text));
    return object;
}

/* A log says what its machine's RTMRs would be; only a quote says what they are. */
static int describe_event_log(json_t **out, struct view file, struct cofre_err *err)
{
    CLEAN_EVENT_LOG log = {0};
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    int rc = tdx_event_log_parse(&log, file, err);
    if (rc < 0)
        return rc;
    json_t *events = json_array(), *replayed = json_object();
    for (size_t i = 0; i < log.count; i++)
        json_array_append_new(events, event_json(&log.event[i]));
    tdx_event_log_replay(&log, rtmr);
    put_rtmrs(replayed, rtmr);
    *out = json_pack("{s:I, s:I, s:o, s:o}", "bytes", (json_int_t)log.len, "padding_bytes",
                     (json_int_t)(file.len - log.len), "replays_to", replayed, "events", events);
    return *out ? 0 : cofre_fail(err, COFRE_FAILED, "no memory for the description");
}

static bool is_ccel_table(struct view file)
{
    return file.len >= 4 && file.len <= 4096 && memcmp(file.data, "CCEL", 4) == 0;
}

static int describe_ccel_table(json_t **out, struct view file, struct cofre_err *err)
{
    struct tdx_ccel ccel;
    int rc = tdx_ccel_parse(&ccel, file, err);
    if (rc < 0)
        return rc;
    *out = json_pack("{s:s}", "tee", ccel.type == 2 ? "Intel TDX" : "not Intel TDX");
    inspect_put_address(*out, "log_address", ccel.address);
    inspect_put_address(*out, "log_size", ccel.length);
    return 0;
}

const struct artefact_kind inspect_event_log = {"TD event log", is_event_log, describe_event_log};
const struct artefact_kind inspect_ccel_table = {"CCEL table", is_ccel_table, describe_ccel_table};
const struct artefact_kind inspect_td_report = {"TDREPORT", has_report_size, describe_td_report};
