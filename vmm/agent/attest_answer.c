#include "vmm/agent/attest_answer.h"

#include <string.h>

#include "vmm/base/json.h"

static const char *const tees[] = {"snp", "tdx"};

/* Hexadecimal in the agent's answer; what is not required may be missing. */
static int take_hex(struct bytes *out, const json_t *answer, const char *member, size_t max, bool required,
                    struct cofre_err *err)
{
    const char *hex = json_string_value(json_object_get(answer, member));
    if (!hex && !required)
        return 0;
    if (!hex)
        return cofre_fail(err, COFRE_MALFORMED, "the agent's answer has no \"%s\"", member);
    int rc = hex_decode_some(out, max, hex, err);
    return rc < 0 ? cofre_within(err, -COFRE_MALFORMED, "the agent's \"%s\"", member) : 0;
}

/* An agent that knows of no services takes the question for one about the guest itself. */
static int take_manifest(struct bytes *out, const json_t *answer, struct cofre_err *err)
{
    if (!json_object_get(answer, "manifest"))
        return cofre_fail(err, COFRE_MALFORMED,
                          "the agent's answer has no \"manifest\": it is older than this program, and "
                          "gave the guest's own report");
    return take_hex(out, answer, "manifest", ATTEST_ANSWER_MANIFEST_MAX, true, err);
}

int attest_answer_parse(struct evidence *out, struct bytes *manifest, const char *line, struct cofre_err *err)
{
    CLEAN_JSON *answer = NULL;
    int rc = json_read(&answer, (struct view){(const uint8_t *)line, strlen(line)}, COFRE_MALFORMED, err);
    if (rc < 0)
        return cofre_within(err, rc, "the agent's answer");
    if (!json_is_true(json_object_get(answer, "ok"))) {
        const char *why = json_string_value(json_object_get(answer, "error"));
        return cofre_fail(err, COFRE_FAILED, "the guest gave no evidence: %s",
                          why ? why : "its agent does not say why");
    }
    const char *tee = json_string_value(json_object_get(answer, "tee"));
    for (size_t i = 0; tee && i < sizeof tees / sizeof *tees; i++)
        if (strcmp(tee, tees[i]) == 0)
            out->tee = tees[i];
    if (!out->tee)
        return cofre_fail(err, COFRE_MALFORMED, "the agent's answer names no TEE that is known here");
    out->form = EVIDENCE_JSON;
    rc = take_hex(&out->report, answer, "report", EVIDENCE_REPORT_MAX, true, err);
    if (rc == 0)
        rc = take_hex(&out->certificates, answer, "certificates", EVIDENCE_CERTIFICATES_MAX, false, err);
    if (rc == 0)
        rc = take_hex(&out->event_log, answer, "event_log", EVIDENCE_EVENT_LOG_MAX, false, err);
    return rc == 0 && manifest ? take_manifest(manifest, answer, err) : rc;
}
