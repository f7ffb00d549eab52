/* What is to happen at a time, if nothing happens before: the end of a guest that panicked and stands still, and of one that
 * left its watchdog alone. vCPUs set the times; the thread that waits for the guest's end acts. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/machine/parts.h"

#define SECOND 1000000000ull
/* Linux restarts by itself if its command line or its sysctl kernel.panic says so, and else stands still for ever. */
#define PANIC_SECONDS 60

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* A watchdog is mostly set later: then the waiting thread finds out when it wakes at the old time. */
void machine_alarm_set(struct machine *machine, enum machine_alarm alarm, uint64_t nanoseconds)
{
    uint64_t at = nanoseconds ? now() + nanoseconds : 0;
    uint64_t before = atomic_exchange(&machine->alarm[alarm], at);
    if (at && (!before || at < before))
        (void)eventfd_write(machine->alarm_fd, 1);
}

void machine_panicked(void *context, enum pvpanic_event event)
{
    struct machine *machine = context;
    switch (event) {
    case PVPANIC_PANICKED:
        phases_reach(machine->config->phases, PHASE_PANICKED);
        if (!atomic_load(&machine->alarm[ALARM_PANIC]))
            machine_alarm_set(machine, ALARM_PANIC, PANIC_SECONDS * SECOND);
        break;
    case PVPANIC_CRASH_LOADED:
        phases_reach(machine->config->phases, PHASE_DUMPING);
        break;
    case PVPANIC_SHUTDOWN:
        machine_ended(machine, MACHINE_POWER_OFF, 0, NULL);
    }
}

void machine_watchdog_set(void *context, uint64_t nanoseconds)
{
    machine_alarm_set(context, ALARM_WATCHDOG, nanoseconds);
}

static void panic_is_over(struct machine *machine)
{
    machine_ended(
        machine, MACHINE_FAILED, COFRE_FAILED,
        "the guest panicked and stood still for %d s, so it was ended; with panic=N on its command line it "
        "restarts after N s",
        PANIC_SECONDS);
}

static void watchdog_expired(struct machine *machine)
{
    bool reset = machine->config->watchdog == WATCHDOG_RESET;
    phases_reach(machine->config->phases, PHASE_EXPIRED);
    machine_ended(machine, reset ? MACHINE_RESET : MACHINE_FAILED, reset ? 0 : COFRE_FAILED,
                  "the guest left its watchdog alone until it expired");
}

static void (*const act[ALARMS])(struct machine *machine) = {
    [ALARM_PANIC] = panic_is_over,
    [ALARM_WATCHDOG] = watchdog_expired,
};

/* Acts on what is due, and returns the milliseconds until something will be; -1: nothing is set. */
static int act_on_due(struct machine *machine)
{
    uint64_t time = now(), next = UINT64_MAX;
    for (unsigned i = 0; i < ALARMS; i++) {
        uint64_t at = atomic_load(&machine->alarm[i]);
        if (at && at <= time)
            act[i](machine);
        else if (at && at < next)
            next = at;
    }
    if (next == UINT64_MAX)
        return -1;
    uint64_t milliseconds = (next - time) / 1000000 + 1;
    return milliseconds < INT_MAX ? (int)milliseconds : INT_MAX;
}

int machine_wait(struct machine *machine, int fd, bool *other, struct cofre_err *err)
{
    struct pollfd fds[] = {{.fd = machine->end_fd, .events = POLLIN},
                           {.fd = fd, .events = POLLIN},
                           {.fd = machine->alarm_fd, .events = POLLIN}};
    do {
        eventfd_t taken;
        (void)eventfd_read(machine->alarm_fd, &taken);
        if (poll(fds, 3, act_on_due(machine)) < 0 && errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "poll: %s", strerror(errno));
    } while (!fds[0].revents && !fds[1].revents);
    *other = !fds[0].revents;
    return 0;
}
