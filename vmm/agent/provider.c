#include "vmm/agent/provider.h"

#include <string.h>

static bool tsm_here(void)
{
    return tsm_present(TSM_ROOT);
}

static int tsm_from_here(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                         struct cofre_err *err)
{
    return tsm_get(TSM_ROOT, report_data, out, err);
}

static const struct evidence_provider providers[] = {
    {"configfs-tsm", tsm_here, tsm_from_here},
    {"sev-guest", sev_guest_present, sev_guest_get},
    {"tdx-guest", tdx_guest_present, tdx_guest_get},
};

void agent_evidence_free(struct agent_evidence *evidence)
{
    bytes_free(&evidence->report);
    bytes_free(&evidence->certificates);
    bytes_free(&evidence->event_log);
    bytes_free(&evidence->manifest);
}

int evidence_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                 struct cofre_err *err)
{
    *out = (struct agent_evidence){0};
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        if (!providers[i].present())
            continue;
        int rc = providers[i].get(report_data, out, err);
        if (rc == 0 && strcmp(out->tee, "tdx") == 0)
            rc = event_log_read(&out->event_log, EVENT_LOG_PATH, err);
        if (rc < 0) {
            agent_evidence_free(out);
            return cofre_within(err, rc, "%s", providers[i].name);
        }
        out->provider = providers[i].name;
        return 0;
    }
    return cofre_fail(
        err, COFRE_LACKING,
        "this guest offers no evidence: there is no %s, no /dev/sev-guest and no /dev/tdx_guest; load the "
        "kernel modules tsm and sev-guest or tdx-guest, and mount configfs at /sys/kernel/config",
        TSM_ROOT);
}

int service_evidence_get(enum agent_service service, const uint8_t report_data[REPORT_DATA_SIZE],
                         struct agent_evidence *out, struct cofre_err *err)
{
    *out = (struct agent_evidence){0};
    if (!tsm_here())
        return cofre_fail(err, COFRE_LACKING,
                          "reports on an SVSM's services come by configfs-tsm, and there is no %s; load the "
                          "kernel module tsm and mount configfs at /sys/kernel/config",
                          TSM_ROOT);
    int rc = tsm_get_service(TSM_ROOT, service, report_data, out, err);
    if (rc < 0) {
        agent_evidence_free(out);
        return cofre_within(err, rc, "%s", providers[0].name);
    }
    out->provider = providers[0].name;
    return 0;
}
