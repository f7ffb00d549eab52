/* The event log that the boot software left: what it extended into the RTMRs. */
#include <unistd.h>

#include "tdx/event_log.h"
#include "vmm/agent/provider.h"
#include "vmm/base/file.h"

int event_log_read(struct bytes *out, const char *path, struct cofre_err *err)
{
    *out = (struct bytes){0};
    if (access(path, F_OK) < 0)
        return 0;
    int rc = file_read(out, path, TDX_EVENT_LOG_MAX, err);
    if (rc < 0)
        return rc;
    CLEAN_EVENT_LOG log = {0};
    if (tdx_event_log_parse(&log, bytes_view(out), NULL) ==
        0) /* else the verifier says what is wrong with it */
        out->len = log.len;
    return 0;
}
