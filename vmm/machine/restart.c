#include "vmm/machine/restart.h"

unsigned restart_wait(struct restarts *restarts, double lived)
{
    if (lived >= RESTART_SETTLED)
        restarts->early = 0;
    else if (restarts->early < 8)
        restarts->early++;
    if (restarts->early < 2)
        return 0;
    unsigned wait = 1u << (restarts->early - 2);
    return wait < RESTART_WAIT_MAX ? wait : RESTART_WAIT_MAX;
}
