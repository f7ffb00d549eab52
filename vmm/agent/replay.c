#include "vmm/agent/replay.h"

#include <string.h>

#include "tdx/event_log.h"
#include "vmm/agent/provider.h"

static unsigned events_of(const struct tdx_event_log *log, unsigned rtmr)
{
    unsigned n = 0;
    for (size_t i = 0; i < log->count; i++)
        n += log->event[i].mr == TDX_EVENT_RTMR0 + rtmr && log->event[i].type != TDX_EV_NO_ACTION;
    return n;
}

int replay_compare(FILE *out, struct view view, const struct tdx_td_info *td, struct cofre_err *err)
{
    CLEAN_EVENT_LOG log = {0};
    int rc = tdx_event_log_parse(&log, view, err);
    if (rc < 0)
        return rc;
    uint8_t rtmr[TDX_RTMRS][TDX_DIGEST_SIZE];
    tdx_event_log_replay(&log, rtmr);
    for (unsigned i = 0; i < TDX_RTMRS; i++) {
        char replayed[2 * TDX_DIGEST_SIZE + 1], held[2 * TDX_DIGEST_SIZE + 1];
        const bool equal = memcmp(rtmr[i], td->rtmr[i], TDX_DIGEST_SIZE) == 0;
        hex_encode(replayed, rtmr[i], TDX_DIGEST_SIZE);
        hex_encode(held, td->rtmr[i], TDX_DIGEST_SIZE);
        fprintf(out, "RTMR%u %s, events %u: %s\n", i, equal ? "equal" : "DIFFERS", events_of(&log, i), held);
        if (equal)
            continue;
        fprintf(out, "      replayed: %s\n", replayed);
        if (rc == 0)
            rc = cofre_fail(err, COFRE_NEGATIVE, "the event log does not replay to RTMR%u", i);
    }
    return rc;
}

int replay_here(FILE *out, struct cofre_err *err)
{
    static const uint8_t no_data[REPORT_DATA_SIZE];
    struct tdx_report report;
    CLEAN_BYTES log = {0};
    int rc = tdx_guest_report(&report, no_data, err);
    if (rc == 0)
        rc = event_log_read(&log, EVENT_LOG_PATH, err);
    if (rc == 0 && log.len == 0)
        rc = cofre_fail(err, COFRE_LACKING, "%s is not there: this guest was given no event log",
                        EVENT_LOG_PATH);
    return rc < 0 ? rc : replay_compare(out, bytes_view(&log), &report.td, err);
}
