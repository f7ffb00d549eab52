/* Where a running guest's sockets lie: $COFRE_RUN_DIR, else /run/cofre for root, else $XDG_RUNTIME_DIR/cofre; in it
 * one directory a guest, by name. */
#ifndef COFRE_BASE_RUNDIR_H
#define COFRE_BASE_RUNDIR_H

#include <stddef.h>

#include "vmm/base/error.h"

/* Writes the directory of the guest NAME. COFRE_USAGE for a name that is no plain file name. It need not exist. */
int rundir_of_guest(char *out, size_t size, const char *name, struct cofre_err *err);

#endif
