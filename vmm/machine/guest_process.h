/* The process that faces a guest, from its first call to its last. */
#ifndef COFRE_MACHINE_GUEST_PROCESS_H
#define COFRE_MACHINE_GUEST_PROCESS_H

#include "vmm/machine/jail.h"
#include "vmm/machine/launch.h"

/* Builds the machine, goes into the jail, and runs the guest until it ends, or until control, one end of a pair of
 * SOCK_SEQPACKET sockets, is shut down by the other. Two struct launch_report go out by it: one when the launch is final, all
 * threads are confined and nothing of the guest has run, unless it does not come so far; and one at the end. door is of
 * door_open, or -1. Returns the exit code. */
int guest_process(const struct machine_config *config, struct jail *jail, int door, int control);

#endif
