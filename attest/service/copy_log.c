/* cofre-trust log: the log of verdicts out of the database into a file, as cofre log reads it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attest/service/command.h"
#include "attest/service/offline.h"
#include "attest/store/db_log.h"
#include "vmm/base/cleanup.h"

int command_log(const struct command *command, struct cofre_err *err)
{
    CLEAN_OFFLINE offline = {0};
    CLEAN_FILE *to = NULL;
    char part[PATH_MAX];
    int rc = offline_open(&offline, command->config, err);
    if (rc < 0)
        return rc;
    if ((size_t)snprintf(part, sizeof part, "%s.part", command->out) >= sizeof part ||
        !(to = fopen(part, "w+e")))
        return cofre_fail(err, COFRE_LACKING, "%s.part cannot be made: %s", command->out, strerror(errno));
    rc = db_log_copy(offline.db, to, err);
    if (rc == 0 && (fflush(to) != 0 || fsync(fileno(to)) < 0 || rename(part, command->out) < 0))
        rc = cofre_fail(err, COFRE_FAILED, "%s cannot be written: %s", command->out, strerror(errno));
    if (rc < 0)
        (void)unlink(part);
    return rc;
}
