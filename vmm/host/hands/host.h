/* What the host has, and what of it is left. */
#ifndef COFRE_HOST_HANDS_HOST_H
#define COFRE_HOST_HANDS_HOST_H

#include "vmm/host/hands/group.h"

/* The guests' numbers and the bridges are the caller's to fill in. */
int host_look(const struct groups *groups, struct hands_host *out, struct cofre_err *err);

/* misc.capacity and misc.current, one "NAME NUMBER" a line; returns how many, at most HANDS_MISC_MAX. What has no line in used uses
 * nothing. */
unsigned host_misc(struct hands_misc out[HANDS_MISC_MAX], const char *capacity, const char *used);

#endif
