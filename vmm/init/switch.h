/* From the initrd to the root file system that was opened. */
#ifndef COFRE_INIT_SWITCH_H
#define COFRE_INIT_SWITCH_H

#include <stdbool.h>

#include "vmm/base/error.h"

/* What every first program mounts: /proc, /sys, /dev, /run. */
int switch_prepare(struct cofre_err *err);
/* The loopback interface: the agent's relay is on it. */
void switch_loopback_up(void);
/* And where evidence comes from, when the modules are loaded; a kernel may have none. */
void switch_mount_configfs(void);

/* Mounts the ext4 file system of the device, makes it the root, with those mounts in it, and frees what the initrd held. The
 * descriptor is the agent's program, which then runs beside the root's init; -1 where there is none. Returns only on failure. */
int switch_root(const char *device, bool read_only, const char *init, int agent, struct cofre_err *err);

#endif
