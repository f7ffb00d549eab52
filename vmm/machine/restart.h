/* When a guest that asked for a restart is launched again: at once, unless it does little else. */
#ifndef COFRE_MACHINE_RESTART_H
#define COFRE_MACHINE_RESTART_H

#define RESTART_SETTLED  60 /* seconds that a guest has lived when a restart is no sign of trouble */
#define RESTART_WAIT_MAX 60 /* seconds */

struct restarts {
    unsigned early; /* in a row */
};

/* Seconds to wait before the next launch, after one that lived so many seconds. The first restart waits for nothing; early
 * ones in a row wait 1, 2, 4... seconds, RESTART_WAIT_MAX at most: a guest whose disk is not there yet comes up in the
 * end, and one that never does costs a launch a minute. */
unsigned restart_wait(struct restarts *restarts, double lived);

#endif
