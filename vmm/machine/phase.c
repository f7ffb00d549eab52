#include "vmm/machine/phase.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name, *title;
} names[PHASES] = {
    [PHASE_PREDICTED] = {"predicted", "launch digest predicted"},
    [PHASE_CREATED] = {"created", "virtual machine created"},
    [PHASE_LAUNCHED] = {"launched", "memory loaded, launch final"},
    [PHASE_SHIM] = {"shim", "boot shim runs"},
    [PHASE_ACCEPTED] = {"accepted", "memory accepted"},
    [PHASE_VERIFIED] = {"verified", "kernel, initrd and command line verified"},
    [PHASE_LINUX] = {"linux", "Linux entered"},
    [PHASE_PANICKED] = {"panicked", "the guest panicked"},
    [PHASE_DUMPING] = {"dumping", "the guest panicked, and saves a dump of itself"},
    [PHASE_EXPIRED] = {"watchdog-expired", "the watchdog expired: no sign of life from the guest"},
    [PHASE_ENDED] = {"ended", "guest ended"},
};

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void phases_start(struct phases *phases, bool quiet)
{
    *phases = (struct phases){.quiet = quiet, .start = now()};
    pthread_mutex_init(&phases->lock, NULL);
}

void phases_reach(struct phases *phases, enum machine_phase phase)
{
    pthread_mutex_lock(&phases->lock);
    bool first = phases->seconds[phase] == 0;
    if (first)
        phases->seconds[phase] = (double)(now() - phases->start) / 1e9;
    if (first && !phases->quiet)
        fprintf(stderr, "cofre: %8.3f s  %s\n", phases->seconds[phase], names[phase].title);
    pthread_mutex_unlock(&phases->lock);
}

const char *phase_name(enum machine_phase phase)
{
    return names[phase].name;
}

const char *phase_title(enum machine_phase phase)
{
    return names[phase].title;
}
