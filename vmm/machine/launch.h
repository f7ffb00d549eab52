/*
 * One launch, in a process of its own: the parent keeps the options, reads files, predicts and waits; the child builds the
 * machine, goes into the jail (jail.h), runs the guest, and ends with it (guest_process.h). A guest that restarts is another launch in another process, so that the one which
 * faces a guest never has to open anything again.
 *
 * What the child says is believed as far as it was said before the guest's first instruction (the measurement, the jail); what
 * comes after is checked like anything a guest could have written.
 */
#ifndef COFRE_MACHINE_LAUNCH_H
#define COFRE_MACHINE_LAUNCH_H

#include <sys/types.h>

#include "vmm/machine/machine.h"

struct launch_report;
struct launch {
    pid_t pid;
    pid_t door;                  /* what connects it with the world (door.h); -1 */
    int ended_fd;                /* readable when the process is gone: for poll(2) */
    int control;                 /* readable when the launch is final: for poll(2), and launch_is_final */
    struct launch_report *first; /* heap: what was said of it then; NULL */
};

/* What became of it. */
struct launch_report {
    bool given; /* the launch of a TEE guest was final */
    uint8_t measurement[48];
    char jail_missing[256]; /* what the host does not give its jail (jail.h) */
    double seconds[PHASES]; /* since the phases' start; 0: not reached */
    struct machine_end end; /* MACHINE_RUNNING: the guest never ran */
};

/* Forks. The caller has one thread, and the config's TEE, image and phases; the child has copies of them, and the caller
 * frees its own. not_for_guest, ended by -1, are descriptors that the child closes. */
int launch_start(struct launch *out, const struct machine_config *config, const int not_for_guest[],
                 struct cofre_err *err);
/* Takes what the process says when its launch is final, and nothing of the guest has run: *out, which is to be believed. False where
 * it says something else. Called once, when control is readable. */
bool launch_is_final(struct launch *launch, struct launch_report *out);
/* Asks for the guest's end, as if its power was cut; its disks are flushed. The caller's death does the same. */
void launch_stop(struct launch *launch);
/* Ends the process without asking. */
void launch_kill(struct launch *launch);
/* Waits for the process and frees what launch_start made. */
void launch_finish(struct launch *launch, struct launch_report *out);

/* Makes a report good that a guest may have written, and says how the process ended if it did not tell; status is of
 * waitpid(2). */
void launch_report_check(struct launch_report *report, int status);

#endif
