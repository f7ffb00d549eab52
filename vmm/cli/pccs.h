/* Where this host's quoting library fetches platform certificates: Intel's provisioning certificate caching service, from
 * the library's configuration (DCAP, QuoteGeneration/qcnl). */
#ifndef COFRE_CLI_PCCS_H
#define COFRE_CLI_PCCS_H

#include "vmm/base/bytes.h"

#define PCCS_CONFIG "/etc/sgx_default_qcnl.conf"

struct pccs {
    char host[256], port[6];
};

/* The address in "pccs_url" of the configuration: JSON in which // begins a comment. -COFRE_MALFORMED otherwise. */
int pccs_read(struct pccs *out, struct view config, struct cofre_err *err);

/* Connects and hangs up: within two seconds for each of its addresses. Says nothing, and learns nothing of who answers. */
int pccs_connect(const struct pccs *pccs, struct cofre_err *err);

#endif
