/* What became of a run, as one JSON object: the contract of `cofre run --json`. */
#ifndef COFRE_MACHINE_RESULT_H
#define COFRE_MACHINE_RESULT_H

#include "vmm/machine/machine.h"

struct run_result {
    const char *name;          /* the guest's; NULL before it has one */
    const struct tee_ops *tee; /* NULL: plain */
    bool emulated;
    bool predicted, given; /* which of the two measurements there are */
    struct tee_measurement prediction, measurement;
    struct tee_measurement predicted_register[TEE_REGISTERS_MAX]; /* as Linux will find them */
    unsigned registers;
    struct phases phases;
    char jail_missing[256];              /* what the host does not give the jail of the guest's process */
    unsigned launches;                   /* what is above is of the last one */
    unsigned panicked, watchdog_expired; /* launches in which the guest did, or it did */
    struct machine_end end;              /* MACHINE_RUNNING: it never started */
};

/* {"tee", "emulated", "name", "measurement": {"name", "predicted", "given"} or null, "registers":
 * {NAME: predicted}, "phases": [{"name", "seconds"}],
 * "launches", "panicked", "watchdog_expired", "jail_missing" (a sentence's list, or null), "ended", "why", "exit_code"} and a newline, to standard output. */
int run_result_print(const struct run_result *result, struct cofre_err *err);

/* {"launch" (its number), "tee", "emulated", "name", "measurement", "registers", "jail_missing"}, as above, in one line, appended to the file:
 * of a launch that is final, before its guest has run. */
int run_result_launched(const struct run_result *result, int fd, struct cofre_err *err);

#endif
