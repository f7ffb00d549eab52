/* The agent's protocol: one line from the host, whom the guest does not trust, and one back. */
#include <jansson.h>
#include <string.h>

#include "attest/channel/binding.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/agent/provider.h"
#include "vmm/agent/request.h"

static unsigned asked, ended;
static uint8_t wanted[64];

static int give(const uint8_t report_data[64], struct agent_evidence *out, struct cofre_err *err)
{
    asked++;
    FUZZ_CHECK(!channel_label_is_in(report_data));
    memcpy(wanted, report_data, 64);
    *out = (struct agent_evidence){.provider = "fuzz", .tee = "snp"};
    if (report_data[0] == 1)
        return cofre_fail(err, COFRE_LACKING, "a sentence with \"quotes\" and a zero");
    return report_data[0] == 2 ? 0 : bytes_copy(&out->report, (struct view){report_data, 64}, err);
}

static int give_services(enum agent_service service, const uint8_t report_data[64],
                         struct agent_evidence *out, struct cofre_err *err)
{
    FUZZ_CHECK(service == SERVICE_VTPM || service == SERVICE_ALL);
    int rc = give(report_data, out, err);
    return rc < 0 ? rc : bytes_copy(&out->manifest, (struct view){report_data, 8}, err);
}

static int end(struct cofre_err *err)
{
    ended++;
    return ended % 2 ? 0 : cofre_fail(err, COFRE_FAILED, "no");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_actions actions = {give, end, give_services};
    asked = ended = 0;
    char *line = agent_answer(&actions, (const char *)data, size);
    FUZZ_CHECK(line && asked + ended <= 1);
    size_t len = strlen(line);
    FUZZ_CHECK(len > 1 && strchr(line, '\n') == line + len - 1);
    json_t *answer = json_loads(line, 0, NULL);
    FUZZ_CHECK(json_is_boolean(json_object_get(answer, "ok")));
    if (json_is_true(json_object_get(answer, "ok")) && asked) {
        uint8_t report[64];
        FUZZ_CHECK(hex_decode(report, 64, json_string_value(json_object_get(answer, "report"))) &&
                   memcmp(report, wanted, 64) == 0);
    }
    json_decref(answer);
    free(line);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char *const formats[] = {"{\"op\": \"evidence\", \"report_data\": \"%0128d\"}",
                                          "{\"op\":\"evidence\",\"report_data\":\"01%0126d\"}",
                                          "{\"op\": \"poweroff\"}",
                                          "{\"op\": \"ping\", \"more\": [1, null, {}]}",
                                          "{\"op\":\"evidence\",\"service\":\"vtpm\","
                                          "\"report_data\":\"%0128d\"}",
                                          "{\"op\":\"evidence\",\"service\":\"all\","
                                          "\"report_data\":\"07%0126d\"}"};
    if (index >= sizeof formats / sizeof *formats)
        return 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    return (size_t)snprintf((char *)out, FUZZ_SEED_MAX, formats[index], 0);
#pragma GCC diagnostic pop
}
