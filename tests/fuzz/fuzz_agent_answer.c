/* An agent's answer to cofre attest: one line from the guest, whom the host does not trust. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/agent/attest_answer.h"

static void check_sentence(const char *text)
{
    FUZZ_CHECK(*text);
    for (; *text; text++)
        FUZZ_CHECK((unsigned char)*text >= ' ' && *text != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_EVIDENCE evidence = {0}, again = {0};
    CLEAN_BYTES manifest = {0};
    struct cofre_err err = {""};
    char *line = malloc(size + 1);
    FUZZ_CHECK(line);
    memcpy(line, data, size);
    line[size] = 0;
    int rc = attest_answer_parse(&evidence, NULL, line, &err);
    const int with = attest_answer_parse(&again, &manifest, line, NULL);
    free(line);
    FUZZ_CHECK(with < 0 || (rc == 0 && manifest.len <= ATTEST_ANSWER_MANIFEST_MAX));
    if (rc < 0) {
        check_sentence(err.text);
        return 0;
    }
    FUZZ_CHECK(evidence.tee && evidence.report.len <= EVIDENCE_REPORT_MAX &&
               evidence.certificates.len <= EVIDENCE_CERTIFICATES_MAX &&
               evidence.event_log.len <= EVIDENCE_EVENT_LOG_MAX);
    CLEAN_BYTES file = {0};
    FUZZ_CHECK(evidence_write(&file, &evidence, &err) == 0);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t out[FUZZ_SEED_MAX])
{
    static const char snp[] =
        "{\"ok\": true, \"tee\": \"snp\", \"provider\": \"configfs-tsm\", \"report\": \"010203\", "
        "\"certificates\": \"040506\"}";
    static const char tdx[] = "{\"ok\": true, \"tee\": \"tdx\", \"report\": \"01\", \"certificates\": \"\", "
                              "\"event_log\": \"0405\"}";
    static const char *const seeds[] = {
        snp,
        tdx,
        "{\"ok\": false, \"error\": \"the firmware is busy\"}",
        "{\"ok\": false, \"error\": \"\\u001b[2J \\u009b\\r\\n\"}",
        "{\"ok\": true, \"tee\": \"sgx\", \"report\": \"0\"}",
        "{\"ok\": true, \"tee\": \"snp\", \"report\": \"0102\", \"certificates\": \"\", \"event_log\": \"\", "
        "\"manifest\": \"0001000b\"}",
    };
    if (index >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(out, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
