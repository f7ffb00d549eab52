/* Where evidence comes from inside a guest: a table of ways, tried in order. */
#ifndef COFRE_AGENT_PROVIDER_H
#define COFRE_AGENT_PROVIDER_H

#include <stdbool.h>

#include "tdx/abi.h"
#include "vmm/agent/kept.h"
#include "vmm/agent/request.h"
#include "vmm/base/bytes.h"
#include "vmm/kvm/backend.h"

#define REPORT_DATA_SIZE  64
#define EVIDENCE_PART_MAX (1u << 20)

struct agent_evidence {
    const char *provider;      /* name of the way that gave it */
    const char *tee;           /* "snp" or "tdx" */
    struct bytes report;       /* attestation report or quote, as the firmware gave it */
    struct bytes certificates; /* certificate table, as the host gave it: untrusted, may be empty */
    struct bytes event_log;    /* tdx: the CCEL's log, as the firmware wrote it; may be empty */
    struct bytes manifest;     /* of a report on services: what it is on, as the SVSM gave it */
};

void agent_evidence_free(struct agent_evidence *evidence);

struct evidence_provider {
    const char *name;
    bool (*present)(void);
    int (*get)(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
               struct cofre_err *err);
};

/* The first provider that this guest has; fails with COFRE_LACKING and says what is missing where there is
 * none. */
int evidence_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                 struct cofre_err *err);

/* The same of an SVSM beneath the guest, on its services (AMD publication 58019, section 7): a report at VMPL 0 over these data and a
 * manifest. Linux offers it by configfs-tsm alone. COFRE_LACKING where there is no SVSM that the kernel knows of. */
int service_evidence_get(enum agent_service service, const uint8_t report_data[REPORT_DATA_SIZE],
                         struct agent_evidence *out, struct cofre_err *err);

/* configfs-tsm (Linux Documentation/ABI/testing/configfs-tsm); root is normally TSM_ROOT, another in tests.
 */
#define TSM_ROOT "/sys/kernel/config/tsm/report"
bool tsm_present(const char *root);
int tsm_get(const char *root, const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
            struct cofre_err *err);
int tsm_get_service(const char *root, enum agent_service service, const uint8_t report_data[REPORT_DATA_SIZE],
                    struct agent_evidence *out, struct cofre_err *err);

/* /dev/sev-guest (linux/sev-guest.h), for kernels before 6.7. */
bool sev_guest_present(void);
int sev_guest_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                  struct cofre_err *err);

/* Keys that the firmware derives for this guest on this chip (MSG_KEY_REQ), by guest policy, measurement, host data, ID key, and what is
 * in root. -COFRE_LACKING where there is no such thing, as in TDX guests. sev_guest_root: by what it is done now. For struct
 * agent_secrets_request, without a context. */
int sev_guest_may_derive(struct cofre_err *err);
int sev_guest_root(void *context, struct kept_root *out, struct cofre_err *err);
int sev_guest_derive(void *context, uint8_t key[32], const struct kept_root *root, struct cofre_err *err);

/* /dev/tdx_guest (linux/tdx-guest.h), for kernels before 6.7. It gives a TDREPORT, which proves nothing elsewhere; the host's
 * quote generation service makes a quote of it, over a stream that host->quote_service opens. */
bool tdx_guest_present(void);
int tdx_guest_get(const uint8_t report_data[REPORT_DATA_SIZE], struct agent_evidence *out,
                  struct cofre_err *err);
int tdx_guest_report(struct tdx_report *out, const uint8_t report_data[REPORT_DATA_SIZE],
                     struct cofre_err *err);

int tdx_guest_quote(struct bytes *out, const struct kvm_backend *host, const struct tdx_report *report,
                    unsigned timeout_ms, struct cofre_err *err);

/* The event log that the ACPI table CCEL points at, without its padding where it is a log at all; path is normally
 * EVENT_LOG_PATH. A guest without one has an empty log. */
#define EVENT_LOG_PATH "/sys/firmware/acpi/tables/data/CCEL"
int event_log_read(struct bytes *out, const char *path, struct cofre_err *err);

#endif
