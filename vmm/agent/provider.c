#include "vmm/agent/provider.h"

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
};

void agent_evidence_free(struct agent_evidence *evidence)
{
    bytes_free(&evidence->report);
    bytes_free(&evidence->certificates);
}

int evidence_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                 struct cofre_err *err)
{
    *out = (struct agent_evidence){0};
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++) {
        if (!providers[i].present())
            continue;
        int rc = providers[i].get(report_data, out, err);
        if (rc < 0) {
            agent_evidence_free(out);
            return cofre_within(err, rc, "%s", providers[i].name);
        }
        out->provider = providers[i].name;
        return 0;
    }
    return cofre_fail(
        err, COFRE_LACKING,
        "this guest offers no evidence: neither %s nor /dev/sev-guest is there; load the kernel "
        "modules tsm and sev-guest and mount configfs at /sys/kernel/config",
        TSM_ROOT);
}
