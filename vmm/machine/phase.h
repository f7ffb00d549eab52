/* The phases of a launch and a boot, with their times: for people while it happens, and for the result afterwards. */
#ifndef COFRE_MACHINE_PHASE_H
#define COFRE_MACHINE_PHASE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum machine_phase {
    PHASE_PREDICTED, /* the launch digest is known */
    PHASE_CREATED,   /* virtual machine, memory, devices and vCPUs are there */
    PHASE_LAUNCHED,  /* the launch is final; vCPUs may run */
    PHASE_SHIM,      /* the shim's first instruction */
    PHASE_ACCEPTED,
    PHASE_VERIFIED,
    PHASE_LINUX,
    PHASE_PANICKED,
    PHASE_DUMPING, /* the guest panicked, and saves a dump of itself before it ends */
    PHASE_EXPIRED, /* its watchdog */
    PHASE_ENDED,
    PHASES,
};

struct phases {
    pthread_mutex_t lock;
    bool quiet;             /* nothing on standard error */
    uint64_t start;         /* nanoseconds of CLOCK_MONOTONIC */
    double seconds[PHASES]; /* since the start; 0: not reached */
};

void phases_start(struct phases *phases, bool quiet);
/* The first time counts. Any thread. */
void phases_reach(struct phases *phases, enum machine_phase phase);
const char *phase_name(enum machine_phase phase);  /* "shim", as in the result */
const char *phase_title(enum machine_phase phase); /* "the shim runs", for people */

#endif
