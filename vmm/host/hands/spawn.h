/*
 * The process of a guest: made in its group by clone3(2), so that it was never outside of it; held until hands has written down
 * who it is; then its own user, almost without environment, and cofre-vmm. It is nobody's to wait for: its end is seen by a pidfd,
 * by this hands and the next.
 */
#ifndef COFRE_HOST_HANDS_SPAWN_H
#define COFRE_HOST_HANDS_SPAWN_H

#include <sys/types.h>

#include "vmm/host/hands/hands.h"

#define SPAWN_GROUPS_MAX 4

struct spawn {
    const char *program;
    char *const *argv;
    const char *run_directory; /* in its environment, as COFRE_RUN_DIR */
    const char *emulated;      /* the same as COFRE_EMULATED_DIR; NULL. There is nothing else in it */
    int group;                 /* its control group */
    uid_t user;                /* and the group of this number */
    uint64_t may_lock;         /* bytes of memory */
    gid_t groups[SPAWN_GROUPS_MAX];
    unsigned group_count;
    int standard[3];
    int inherited[HANDS_DESCRIPTORS_MAX + HANDS_NETWORKS_MAX +
                  2]; /* which are closed on execve(2) else; -1 is none */
    unsigned inherited_count;
};

struct spawned {
    pid_t pid;
    int pidfd, go;
};

/* The process waits. */
int spawn_hold(const struct spawn *what, struct spawned *out, struct cofre_err *err);
/* It goes on, or, where this is not called before go is closed, ends. Takes go. */
int spawn_release(struct spawned *process, struct cofre_err *err);

/* The groups that may open what a guest needs: of /dev/kvm, /dev/sev and /dev/vhost-net, root's excepted. Returns their number. */
unsigned spawn_device_groups(gid_t out[SPAWN_GROUPS_MAX]);

#endif
