/* cofred-keys: the part that fetches issuers' keys. libcurl, which it does so by, brings some thirty libraries, of all that networks speak. */
#include "attest/collateral/download.h"
#include "vmm/host/access/keys_fetch.h"
#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/part.h"

static int run_keys(const struct config *config, struct cofre_err *err)
{
    int rc = confine(config->gate.uid, config->gate.gid, CONFINE_NO_PROGRAMS, err);
    if (rc == 0)
        rc = download_prepare(err);
    return rc < 0 ? rc : keys_fetch_run(config->access, PART_FIRST_FD, err);
}

const struct part_here parts_here[] = {{PART_KEYS, run_keys}, {PARTS, NULL}};
