#include "attest/evidence.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sev/abi.h"
#include "tdx/quote.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"

void evidence_free(struct evidence *e)
{
    bytes_free(&e->report);
    bytes_free(&e->certificates);
    bytes_free(&e->event_log);
    bytes_free(&e->nonce);
    *e = (struct evidence){0};
}

/* The object's members are all among the names. */
static int only_known_members(json_t *object, struct cofre_err *err)
{
    static const char *const known[] = {"cofre_evidence", "tee",       "report",
                                        "certificates",   "event_log", "nonce"};
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(name, known[i]) == 0;
        if (!found)
            return cofre_fail(err, COFRE_MALFORMED,
                              "evidence has a member \"%.64s\" that this version does not know", name);
    }
    return 0;
}

static int text_member(const char **out, json_t *object, const char *name, bool required,
                       struct cofre_err *err)
{
    *out = NULL;
    json_t *value = json_object_get(object, name);
    if (!value && !required)
        return 0;
    if (!json_is_string(value))
        return cofre_fail(err, COFRE_MALFORMED, "evidence: \"%s\" %s", name,
                          value ? "is not a string" : "is missing");
    *out = json_string_value(value);
    return 0;
}

static bool is_snp_report(struct view report)
{
    return report.len == sizeof(struct snp_report);
}

/* What each TEE's evidence is: its report, and which member may come with it. */
static const struct tee {
    const char *name, *extra, *is_not;
    bool (*is_report)(struct view report);
} tees[] = {
    {"snp", "certificates", "an SEV-SNP report, which has 1184", is_snp_report},
    {"tdx", "event_log", "a TDX quote of version 4 or 5", tdx_quote_recognises},
};
#define TEES (sizeof tees / sizeof *tees)

static int parse_tee(const struct tee **out, json_t *object, struct cofre_err *err)
{
    const char *name;
    int rc = text_member(&name, object, "tee", true, err);
    if (rc < 0)
        return rc;
    *out = NULL;
    for (size_t i = 0; i < TEES; i++)
        if (strcmp(name, tees[i].name) == 0)
            *out = &tees[i];
        else if (json_object_get(object, tees[i].extra))
            rc = cofre_fail(err, COFRE_MALFORMED, "evidence of TEE \"%.32s\" has no \"%s\"", name,
                            tees[i].extra);
    if (!*out)
        return cofre_fail(err, COFRE_MALFORMED,
                          "evidence of TEE \"%.32s\": this version knows \"snp\" and \"tdx\"", name);
    return rc;
}

static int base64_member(struct bytes *out, json_t *object, const char *name, bool required, size_t max,
                         struct cofre_err *err)
{
    const char *text;
    int rc = text_member(&text, object, name, required, err);
    if (rc < 0 || !text)
        return rc;
    rc = base64_decode(out, max, text, err);
    return rc < 0 ? cofre_within(err, rc, "evidence: \"%s\"", name) : 0;
}

static int parse_members(struct evidence *out, json_t *object, struct cofre_err *err)
{
    const struct tee *tee;
    const char *nonce;
    int rc = only_known_members(object, err);
    if (rc < 0)
        return rc;
    json_t *version = json_object_get(object, "cofre_evidence");
    if (!json_is_integer(version) || json_integer_value(version) != 1)
        return cofre_fail(err, COFRE_MALFORMED, "\"cofre_evidence\" is not 1, the version known here");
    if ((rc = parse_tee(&tee, object, err)) < 0)
        return rc;
    out->tee = tee->name;
    if ((rc = base64_member(&out->report, object, "report", true, EVIDENCE_REPORT_MAX, err)) < 0 ||
        (rc = base64_member(&out->certificates, object, "certificates", false, EVIDENCE_CERTIFICATES_MAX,
                            err)) < 0 ||
        (rc = base64_member(&out->event_log, object, "event_log", false, EVIDENCE_EVENT_LOG_MAX, err)) < 0 ||
        (rc = text_member(&nonce, object, "nonce", false, err)) < 0)
        return rc;
    if (nonce && (rc = hex_decode_some(&out->nonce, EVIDENCE_NONCE_MAX, nonce, err)) < 0)
        return cofre_within(err, rc, "evidence: \"nonce\"");
    if (!tee->is_report(bytes_view(&out->report)))
        return cofre_fail(err, COFRE_MALFORMED, "evidence: the %zu bytes of \"report\" are not %s",
                          out->report.len, tee->is_not);
    return 0;
}

/* Of which TEE the bytes are a report; NULL: of none. */
static const char *tee_of(struct view report)
{
    for (size_t i = 0; i < TEES; i++)
        if (tees[i].is_report(report))
            return tees[i].name;
    return NULL;
}

/* White space between the digits is allowed: tools break the lines differently. */
static int parse_hex(struct evidence *out, struct view file, struct cofre_err *err)
{
    CLEAN_FREE char *digits = calloc(1, file.len + 1);
    if (!digits)
        return cofre_fail(err, COFRE_FAILED, "no memory for %zu bytes", file.len);
    size_t n = 0;
    for (size_t i = 0; i < file.len; i++)
        if (!isspace(file.data[i]))
            digits[n++] = (char)file.data[i];
    return hex_decode_some(&out->report, EVIDENCE_REPORT_MAX, digits, err);
}

static bool is_hex_text(struct view file)
{
    size_t digits = 0;
    for (size_t i = 0; i < file.len; i++)
        if (isxdigit(file.data[i]))
            digits++;
        else if (!isspace(file.data[i]))
            return false;
    return digits > 0;
}

static bool is_object_text(struct view file)
{
    size_t i = 0;
    while (i < file.len && isspace(file.data[i]))
        i++;
    return i < file.len && file.data[i] == '{';
}

bool evidence_recognises(struct view file)
{
    if (tee_of(file))
        return true;
    if (is_object_text(file))
        return memmem(file.data, file.len, "\"cofre_evidence\"", 16) != NULL;
    return file.len >= sizeof(struct snp_report) && is_hex_text(file);
}

static int parse_file(struct evidence *out, struct view file, struct cofre_err *err)
{
    int rc = 0;
    out->tee = tee_of(file);
    if (out->tee) {
        out->form = EVIDENCE_RAW;
        return file.len > EVIDENCE_REPORT_MAX
                   ? cofre_fail(err, COFRE_MALFORMED, "%zu bytes are too many for a report", file.len)
                   : bytes_copy(&out->report, file, err);
    }
    if (is_object_text(file)) {
        out->form = EVIDENCE_JSON;
        CLEAN_JSON *object = NULL;
        rc = json_read(&object, file, COFRE_MALFORMED, err);
        return rc < 0 ? rc : parse_members(out, object, err);
    }
    if (is_hex_text(file)) {
        out->form = EVIDENCE_HEX;
        rc = parse_hex(out, file, err);
        out->tee = rc == 0 ? tee_of(bytes_view(&out->report)) : NULL;
        if (rc < 0 || out->tee)
            return rc;
    }
    return cofre_fail(
        err, COFRE_MALFORMED,
        "%zu bytes that are no evidence known here: neither a raw SEV-SNP report (%zu bytes) or TDX quote "
        "(version 4 or 5), nor the hexadecimal text of one, nor an evidence file (JSON)",
        file.len, sizeof(struct snp_report));
}

int evidence_parse(struct evidence *out, struct view file, struct cofre_err *err)
{
    *out = (struct evidence){0};
    if (file.len > EVIDENCE_FILE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "%zu bytes, more than evidence has (%u)", file.len,
                          EVIDENCE_FILE_MAX);
    int rc = parse_file(out, file, err);
    if (rc < 0)
        evidence_free(out);
    return rc;
}

int evidence_from_json(struct evidence *out, json_t *object, struct cofre_err *err)
{
    *out = (struct evidence){.form = EVIDENCE_JSON};
    int rc = parse_members(out, object, err);
    if (rc < 0)
        evidence_free(out);
    return rc;
}

static int set_text(json_t *object, const char *name, const char *text)
{
    return json_object_set_new(object, name, json_string(text));
}

static int set_base64(json_t *object, const char *name, struct view data, struct cofre_err *err)
{
    CLEAN_FREE char *text = NULL;
    int rc = base64_encode(&text, data, err);
    if (rc == 0 && set_text(object, name, text) < 0)
        rc = cofre_fail(err, COFRE_FAILED, "no memory for the evidence's \"%s\"", name);
    return rc;
}

int evidence_write(struct bytes *out, const struct evidence *e, struct cofre_err *err)
{
    *out = (struct bytes){0};
    if (e->report.len > EVIDENCE_REPORT_MAX || e->certificates.len > EVIDENCE_CERTIFICATES_MAX ||
        e->event_log.len > EVIDENCE_EVENT_LOG_MAX || e->nonce.len > EVIDENCE_NONCE_MAX)
        return cofre_fail(err, COFRE_MALFORMED, "the evidence is larger than its file form allows");
    CLEAN_JSON *object = json_object();
    char nonce[2 * EVIDENCE_NONCE_MAX + 1];
    hex_encode(nonce, e->nonce.data, e->nonce.len);
    int rc = json_object_set_new(object, "cofre_evidence", json_integer(1)) < 0 ||
                     set_text(object, "tee", e->tee) < 0 ||
                     (e->nonce.len && set_text(object, "nonce", nonce) < 0)
                 ? cofre_fail(err, COFRE_FAILED, "no memory for the evidence")
                 : 0;
    if (rc == 0)
        rc = set_base64(object, "report", bytes_view(&e->report), err);
    if (rc == 0 && e->certificates.len)
        rc = set_base64(object, "certificates", bytes_view(&e->certificates), err);
    if (rc == 0 && e->event_log.len)
        rc = set_base64(object, "event_log", bytes_view(&e->event_log), err);
    if (rc < 0)
        return rc;
    CLEAN_FREE char *text = json_dumps(object, JSON_INDENT(2));
    if (!text)
        return cofre_fail(err, COFRE_FAILED, "no memory for the evidence");
    size_t len = strlen(text);
    if ((rc = bytes_alloc(out, len + 1, err)) == 0) {
        memcpy(out->data, text, len);
        out->data[len] = '\n';
    }
    return rc;
}
