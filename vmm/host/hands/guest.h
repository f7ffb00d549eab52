/* One guest as hands has it: what was made for it, from its start, or found of it after a restart, to its removal. */
#ifndef COFRE_HOST_HANDS_GUEST_H
#define COFRE_HOST_HANDS_GUEST_H

#include <stdbool.h>

#include "vmm/host/hands/group.h"
#include "vmm/host/hands/hands_server.h"
#include "vmm/host/hands/record.h"
#include "vmm/host/hands/spawn.h"

/* What all guests have in common. */
struct ground {
    const struct hands_config *config;
    struct groups groups;
    int places;
    uint8_t boot[16];
    gid_t device_group[SPAWN_GROUPS_MAX];
    unsigned device_groups;
};

struct guest {
    struct record record;
    int place, group; /* directories; -1: there is none (any more) */
    int events;       /* cgroup.events; -1 */
    int pidfd;        /* -1: it has ended, or never ran */
    struct hands_ended ended;
    uint32_t launches; /* that were told */
};

/* Makes all that the message asks for, and the process. descriptors: the message's, which stay the caller's. What was made is removed
 * where something cannot be. user: of the configuration's, and nobody else's. */
int guest_start(struct guest *out, const struct ground *ground, uint32_t number, uid_t user,
                const struct hands_start *start, const int *descriptors, struct cofre_err *err);
/* What is there of a guest that another hands started: running, ended, or a part of it that is only to be removed. */
void guest_find(struct guest *out, const struct ground *ground, uint32_t number);
/* Closes what this hands has of it. */
void guest_close(struct guest *guest);

int guest_limit(struct guest *guest, const struct ground *ground, const struct hands_limits *limits,
                struct cofre_err *err);
int guest_statistics(const struct guest *guest, const struct ground *ground, struct hands_statistics *out,
                     struct cofre_err *err);
enum hands_state guest_state(const struct guest *guest);

/* Its pidfd is readable: takes how it ended, writes it down, and ends what it has left of processes. */
void guest_take_end(struct guest *guest);
bool guest_is_empty(const struct guest *guest); /* no process of it is left */
/* Who it runs as; of a guest without a record the one that its directory was made for. 0: nobody. */
uid_t guest_user(const struct guest *guest);
/* Of one that is empty: all that was made is removed. */
int guest_remove(struct guest *guest, const struct ground *ground, struct cofre_err *err);

#endif
