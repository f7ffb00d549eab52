/*
 * meter: what a program that runs a guest has cost when its guest gets to a point. All such programs are measured the same
 * way, by what the kernel knows of them: which memory is the guest's by their calls of KVM, processor time by the cgroup
 * that they run in, resident memory by /proc. Runs in the lab (tests/lab/run --bench).
 */
#ifndef COFRE_TESTS_BENCH_LAB_METER_H
#define COFRE_TESTS_BENCH_LAB_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Says what failed, by errno, and exits. */
_Noreturn void meter_die(const char *what);

/* ---- tracee.c: the program, traced from its first instruction, at its calls of KVM alone */

/* What is done while a process stands before it leaves its mount namespace, as the first thing of its jail. */
struct tracee_watch {
    void (*leaves_mounts)(void *context);
    void *context;
};

/* Starts the program in the cgroup (its cgroup.procs), its output (both streams) on the pipe. With until_entry the program
 * is stopped at its first KVM_RUN, and where its watch wants to know of it. */
pid_t tracee_start(char **argv, const char *cgroup_procs, int output, bool until_entry);

/* Takes what the kernel has to say of the program and its children. True if it stands at its first KVM_RUN. *running is
 * false when the last of them has ended; *status is then the first process's. */
bool tracee_step(pid_t first, const struct tracee_watch *watch, bool *running, int *status);

/* Whether addresses of a program hold memory that it has given to a guest. */
bool tracee_is_guest_memory(uint64_t start, uint64_t end);

/* ---- memory.c */

struct memory_use {
    uint64_t rss, pss; /* KiB, of all processes, without the guest's memory */
    uint64_t guest;    /* KiB, of the guest's memory that is there, once for each process that maps it */
    unsigned processes;
};

/* Of all processes in the cgroup. */
void memory_use_read(struct memory_use *out, const char *cgroup_procs);

#endif
