/* Between the jail's files. */
#ifndef COFRE_MACHINE_JAIL_PARTS_H
#define COFRE_MACHINE_JAIL_PARTS_H

#include "vmm/machine/jail.h"

/* jail_namespaces.c: mount, network, IPC, UTS and cgroup namespaces, and an empty root. */
void jail_namespaces_enter(struct jail *jail);
/* A user namespace in which no user is anybody, where there is none yet. */
void jail_user_namespace_enter(struct jail *jail);
/* jail_landlock.c. no_new_privs is set. */
void jail_landlock_enter(struct jail *jail);

#endif
