/*
 * One launch, in a process of its own: the parent keeps the options, reads files, predicts and waits; the child builds the
 * machine, runs it, and ends with it. A guest that restarts is another launch in another process, so that the one which
 * faces a guest never has to open anything again.
 *
 * What the child says is believed as far as it was said before the guest's first instruction (the measurement); what
 * comes after is checked like anything a guest could have written.
 */
#ifndef COFRE_MACHINE_LAUNCH_H
#define COFRE_MACHINE_LAUNCH_H

#include <sys/types.h>

#include "vmm/machine/machine.h"

struct launch {
    pid_t pid;
    int ended_fd; /* readable when the process is gone: for poll(2) */
    int control;
};

/* What became of it. */
struct launch_report {
    bool given; /* the launch of a TEE guest was final */
    uint8_t measurement[48];
    double seconds[PHASES]; /* since the phases' start; 0: not reached */
    struct machine_end end; /* MACHINE_RUNNING: the guest never ran */
};

/* Forks. The caller has one thread, and the config's TEE, image and phases; the child has copies of them, and the caller
 * frees its own. not_for_guest is a descriptor that the child closes, or -1. */
int launch_start(struct launch *out, const struct machine_config *config, int not_for_guest,
                 struct cofre_err *err);
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
