/* Hands itself: a process that lives as long as its decider's end of the socket is open. It is started as root; guests, and
 * what was made for them, outlive it, and are found again by the next one. */
#ifndef COFRE_HOST_HANDS_HANDS_SERVER_H
#define COFRE_HOST_HANDS_HANDS_SERVER_H

#include <sys/types.h>

#include "vmm/host/hands/hands.h"

/* From cofred's configuration file, which root wrote: paths are taken as they are. */
struct hands_config {
    /* cofre-vmm */
    const char *program;
    /* "/run/cofre/guests": of files for each guest; made, with mode 0711, where it is not there */
    const char *directory;
    /* "/var/lib/cofre/emulated": the emulated platforms' keys, of which each emulated guest gets a copy; NULL: no guest here is
     * emulated */
    const char *emulated;
    /* "/sys/fs/cgroup/cofre.slice/cofred.service": delegated to cofred, version 2. Processes that are in it move to its subgroup
     * "manager"; each guest has a subgroup "guest-N" */
    const char *cgroup;
    uid_t first_user; /* of users (and groups of these numbers) that are nobody else's; not 0 */
    unsigned guests;  /* how many of them, and so of guests at a time; at most HANDS_GUESTS_MAX */
    const char *bridge[HANDS_BRIDGES_MAX]; /* that guests' taps may be ports of */
    unsigned bridges;
};

/* Returns when the decider's end is closed: 0; negative where hands cannot begin or go on. The process has given up by then
 * what it does not need, and is of no other use. */
int hands_serve(const struct hands_config *config, int socket, struct cofre_err *err);

#endif
