#include "vmm/agent/request.h"

#include <jansson.h>
#include <string.h>

#include "attest/channel/binding.h"
#include "vmm/agent/provider.h"
#include "vmm/base/cleanup.h"

#define AGENT_VERSION "1"

static void cleanup_json(json_t **j)
{
    json_decref(*j);
}
#define CLEAN_JSON __attribute__((cleanup(cleanup_json))) json_t

static json_t *failed(const char *sentence)
{
    return json_pack("{s:b, s:s}", "ok", 0, "error", sentence);
}

static json_t *hex_string(struct view v)
{
    CLEAN_FREE char *text = malloc(2 * v.len + 1);
    if (!text)
        return NULL;
    hex_encode(text, v.data, v.len);
    return json_stringn(text, 2 * v.len);
}

static const struct {
    const char *name;
    enum agent_service service;
} services[] = {{"vtpm", SERVICE_VTPM}, {"all", SERVICE_ALL}};

/* The guest's own, or where services are named its SVSM's; in *on whether they are. */
static int get_evidence(const struct agent_actions *actions, const json_t *request,
                        const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out, bool *on,
                        struct cofre_err *err)
{
    const json_t *named = json_object_get(request, "service");
    const char *name = json_string_value(named);
    *on = named != NULL;
    if (!named)
        return actions->evidence(report_data, out, err);
    for (size_t i = 0; name && i < sizeof services / sizeof *services; i++)
        if (strcmp(name, services[i].name) == 0)
            return actions->services(services[i].service, report_data, out, err);
    return cofre_fail(err, COFRE_USAGE, "\"service\" must be vtpm or all");
}

static json_t *answer_evidence(const struct agent_actions *actions, const json_t *request)
{
    bool on_services;
    uint8_t report_data[REPORT_DATA_SIZE];
    const char *hex = json_string_value(json_object_get(request, "report_data"));
    if (!hex || !hex_decode(report_data, sizeof report_data, hex))
        return failed("\"report_data\" must be 128 hexadecimal digits");
    if (channel_label_is_in(report_data)) /* the asker would have evidence for a channel that ends with him */
        return failed(
            "report data that begins with \"cofre channel\" or \"cofre release\" is for channels that end in "
            "the guest");
    __attribute__((cleanup(agent_evidence_free))) struct agent_evidence evidence = {0};
    struct cofre_err err;
    if (get_evidence(actions, request, report_data, &evidence, &on_services, &err) < 0)
        return failed(err.text);
    if (evidence.report.len == 0) /* all that Linux 6.12 tells of a failed GetQuote */
        return failed("the host gave no quote: its quote generation service is not there, or refused; the "
                      "host's log says why");
    json_t *answer = json_pack("{s:b, s:s, s:s, s:o, s:o, s:o}", "ok", 1, "tee", evidence.tee, "provider",
                               evidence.provider, "report", hex_string(bytes_view(&evidence.report)),
                               "certificates", hex_string(bytes_view(&evidence.certificates)), "event_log",
                               hex_string(bytes_view(&evidence.event_log)));
    if (answer && on_services)
        json_object_set_new(answer, "manifest", hex_string(bytes_view(&evidence.manifest)));
    return answer;
}

static json_t *answer_poweroff(const struct agent_actions *actions, const json_t *request)
{
    (void)request;
    struct cofre_err err;
    return actions->poweroff(&err) < 0 ? failed(err.text) : json_pack("{s:b}", "ok", 1);
}

static json_t *answer_ping(const struct agent_actions *actions, const json_t *request)
{
    (void)actions;
    (void)request;
    return json_pack("{s:b, s:s}", "ok", 1, "agent", AGENT_VERSION);
}

static const struct {
    const char *op;
    json_t *(*answer)(const struct agent_actions *, const json_t *request);
} operations[] = {
    {"evidence", answer_evidence},
    {"poweroff", answer_poweroff},
    {"ping", answer_ping},
};

static json_t *answer_object(const struct agent_actions *actions, const json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    for (size_t i = 0; op && i < sizeof operations / sizeof *operations; i++)
        if (strcmp(op, operations[i].op) == 0)
            return operations[i].answer(actions, request);
    return failed("\"op\" must be evidence, poweroff or ping");
}

char *agent_answer(const struct agent_actions *actions, const char *line, size_t len)
{
    json_error_t error;
    CLEAN_JSON *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    CLEAN_JSON *answer = json_is_object(request) ? answer_object(actions, request)
                                                 : failed("a request is one JSON object on one line");
    CLEAN_FREE char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    char *out = NULL;
    if (!text || asprintf(&out, "%s\n", text) < 0)
        return NULL;
    return out;
}
