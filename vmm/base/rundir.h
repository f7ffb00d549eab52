/* Where a running guest's sockets lie: $COFRE_RUN_DIR, else /run/cofre for root, else $XDG_RUNTIME_DIR/cofre; in it
 * one directory a guest, by name. */
#ifndef COFRE_BASE_RUNDIR_H
#define COFRE_BASE_RUNDIR_H

#include <stddef.h>

#include "vmm/base/error.h"

/* Writes the directory of the guest NAME. COFRE_USAGE for a name that is no plain file name. It need not exist. */
int rundir_of_guest(char *out, size_t size, const char *name, struct cofre_err *err);

/* Makes that directory and claims it: returns a descriptor, which holds the claim for as long as a process has it open.
 * What a guest of this name left there whose process was killed is removed. COFRE_USAGE where another has the name. */
int rundir_claim(const char *path, struct cofre_err *err);
/* Removes the guest's sockets and the directory, unless somebody has put something else into it; closes the descriptor. A
 * socket vsock_PORT is no guest's: a program on this host listens there. */
void rundir_release(const char *path, int claim);
/* The same for one whose claim another has, or had: of a process that was killed. */
void rundir_remove(const char *path);

#endif
