/* What hands keeps of root: the capabilities to be other users, to give them a directory, to end their processes and to set up
 * taps. */
#ifndef COFRE_HOST_HANDS_PRIVILEGE_H
#define COFRE_HOST_HANDS_PRIVILEGE_H

#include "vmm/base/error.h"

/* COFRE_LACKING where the process has not what hands needs. Guests inherit that nothing is gained by execve(2), and that system calls by which
 * a whole host is changed or read are refused. */
int privilege_reduce(struct cofre_err *err);

#endif
