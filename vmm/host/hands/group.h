/*
 * Control groups of version 2, under the group that was delegated to cofred: one for each tenant of whom a guest is there, and in it one
 * for each guest. So what is scarce is shared by tenants first, however many guests one has. A guest's process is made in its
 * group and never leaves it, so the group, and no process id, says what belongs to a guest.
 *
 * tenant: "" in these calls is a guest that an earlier cofred started, whose group is in the delegated one itself.
 *
 * Linux, Documentation/admin-guide/cgroup-v2.rst.
 */
#ifndef COFRE_HOST_HANDS_GROUP_H
#define COFRE_HOST_HANDS_GROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/host/hands/hands.h"

struct groups {
    int parent;           /* directory; -1 */
    const char *path;     /* the configuration's */
    unsigned controllers; /* of enum hands_controller: that guests' groups have */
};

/* The group is made where it is not there. Processes in it go to its subgroup "manager", because a group with controllers has none
 * of its own; then guests' groups get every controller that it has itself. */
int groups_open(struct groups *out, const char *path, struct cofre_err *err);
void groups_close(struct groups *groups);

/* Returns the directory of the guest's new group, in its tenant's. COFRE_USAGE where there is one. What it may not have is forbidden
 * in it: swap, huge pages but those of its RAM, and scarce things but what its TEE needs. */
int group_make(const struct groups *groups, uint32_t guest, const struct hands_start *start,
               struct cofre_err *err);
/* The same for one that is there; COFRE_LACKING where it is not. */
int group_open(const struct groups *groups, const char *tenant, uint32_t guest, struct cofre_err *err);
/* It has no process any more. One that is not there is removed; the tenant's goes with its last. */
int group_remove(const struct groups *groups, const char *tenant, uint32_t guest, struct cofre_err *err);
/* Calls with the tenant and the number of each group of a guest's. */
int groups_each(const struct groups *groups, void (*call)(void *context, const char *tenant, uint32_t guest),
                void *context, struct cofre_err *err);

/* Sets all limits but the network's. devices: those of the guest's images, count of them; a device 0 has no number that could be
 * limited. Of disks what is set is a bound outside of the one that the guest's devices hold to (vmm/devices/rates.h), where there
 * can be one. Refuses, before anything is changed, what cannot be kept. */
int group_limit(const struct groups *groups, int group, const struct hands_limits *limits,
                const dev_t *devices, unsigned count, struct cofre_err *err);

int group_freeze(int group, bool freeze, struct cofre_err *err);
int group_kill(int group, struct cofre_err *err);
/* cgroup.events: readable out of band (EPOLLPRI) when one of the two below changes; -1. */
int group_events_open(int group);
bool group_populated(int events);
bool group_frozen(int events);
/* Whether the process is in the guest's group. */
bool group_has(uint32_t guest, pid_t pid);

/* The numbers that groups keep. */
int group_statistics(const struct groups *groups, int group, struct hands_statistics *out,
                     struct cofre_err *err);
/* Processes killed for the limit on memory. */
uint32_t group_out_of_memory(int group);

/* CPUs and nodes that guests may use, as bits. */
void groups_cpus(const struct groups *groups, uint64_t cpus[HANDS_CPUS_MAX / 64]);
uint64_t groups_nodes(const struct groups *groups);

#endif
