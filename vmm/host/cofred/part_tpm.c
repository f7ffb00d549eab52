/* cofred-tpm: the part that speaks to the TPM, apart from the decider, which only checks what it said. */
#include <sys/stat.h>

#include "vmm/host/clock/clock.h"
#include "vmm/host/cofred/confine.h"
#include "vmm/host/cofred/part.h"

/* It opens the TPM by its name each time, and so as somebody who may: the group that the device or socket has, where that is not root's.
 * OpenSSL, by which tpm2-tss does its sums, reads its own configuration. */
static int run_tpm(const struct config *config, struct cofre_err *err)
{
    const struct confine_place places[] = {{config->log_tpm, true}, {"/etc/ssl", false}};
    struct stat is;
    const bool there = stat(config->log_tpm, &is) == 0 && is.st_gid != 0;
    int rc = confine(config->gate.uid, there ? is.st_gid : config->gate.gid,
                     CONFINE_NO_NETWORK | CONFINE_NO_PROGRAMS, err);
    if (rc == 0)
        rc = confine_files(places, sizeof places / sizeof *places, err);
    return rc < 0 ? rc : clock_serve(PART_FIRST_FD, config->log_tpm, err);
}

const struct part_here parts_here[] = {{PART_TPM, run_tpm}, {PARTS, NULL}};
