#include "vmm/agent/evidence_file.h"

#include <string.h>

#include "attest/evidence.h"
#include "vmm/agent/provider.h"

/* The providers' parts are views here: the evidence that owns them is freed once. */
static int write_file(struct bytes *file, const struct agent_evidence *from, struct cofre_err *err)
{
    const bool is_tdx = strcmp(from->tee, "tdx") == 0;
    struct evidence evidence = {.tee = from->tee, .report = from->report};
    if (from->report.len == 0)
        return cofre_fail(err, COFRE_FAILED,
                          "the host gave no quote: its quote generation service is not there, or refused");
    if (is_tdx)
        evidence.event_log = from->event_log;
    else
        evidence.certificates = from->certificates;
    return evidence_write(file, &evidence, err);
}

int evidence_file(void *context, struct bytes *file, const uint8_t report_data[64], struct cofre_err *err)
{
    int (*const *get)(const uint8_t *, struct agent_evidence *, struct cofre_err *) = context;
    __attribute__((cleanup(agent_evidence_free))) struct agent_evidence evidence = {0};
    int rc = (get ? *get : evidence_get)(report_data, &evidence, err);
    return rc < 0 ? rc : write_file(file, &evidence, err);
}
