/*
 * The jail of the process that faces a guest. What the guest can reach by taking this process over is the descriptors that
 * the machine holds, and the system calls of one list a kind of thread; there is no file, no network, no other process, no
 * privilege and no executable memory to be had besides.
 *
 * Four steps, in this order (guest_process.c); each ends the launch where the kernel refuses what every kernel has, and
 * notes what it may refuse (jail_missing):
 *   jail_fork          instead of fork(2): the child is the first process of a pid namespace
 *   jail_enter         the child, when all that the machine needs is open, and before its first thread
 *   jail_confine       each thread at its start (thread_begin_with)
 *   jail_limit_memory  when all threads are there; then jail_confine of the first one
 *
 * Nothing of this is an option of the program. COFRE_LOG=jail=debug names the call for which a thread is killed.
 */
#ifndef COFRE_MACHINE_JAIL_H
#define COFRE_MACHINE_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/error.h"

/* What a kernel or its configuration may lack. */
enum jail_layer {
    JAIL_PID, /* namespaces */
    JAIL_MOUNT,
    JAIL_NETWORK,
    JAIL_IPC,
    JAIL_UTS,
    JAIL_CGROUP,
    JAIL_USER,
    JAIL_ROOT,     /* an empty directory is the root */
    JAIL_LANDLOCK, /* of file access; later ABIs add TCP ports, abstract sockets and signals */
    JAIL_MEMORY,   /* a limit on what is mapped */
    JAIL_LAYERS,
};

struct jail {
    bool layer[JAIL_LAYERS];
    int landlock_abi; /* 0: none */
    int statm;        /* /proc/self/statm, until memory is limited; -1 */
};

/* As fork(2), for a caller with one thread: 0 in the child, whose jail is filled in, else the child's pid, which the caller
 * may wait for. Negative: enum cofre_error. */
pid_t jail_fork(struct jail *jail, struct cofre_err *err);

/* The user becomes nobody where it was root, and stays the same else. */
int jail_enter(struct jail *jail, struct cofre_err *err);

/* What a machine may have that its threads need more calls for. */
enum jail_with {
    JAIL_WITH_EMULATION = 1, /* the firmware's or module's work is done in this process */
    JAIL_WITH_NET = 2,
    JAIL_WITH_VHOST_USER = 4,
    JAIL_WITH_VSOCK = 8,
};

/* The calling thread is of this kind from now on, for which there is a list in jail_seccomp.c, in a machine with these of
 * enum jail_with. */
int jail_confine(const char *kind, unsigned with, struct cofre_err *err);
/* When all threads are there: no more memory than what is mapped and a bounded rest. */
int jail_limit_memory(struct jail *jail, struct cofre_err *err);

/* "pid namespace, landlock": what is missing; empty where nothing is. */
void jail_missing(const struct jail *jail, char *out, size_t size);

#endif
