#include "vmm/machine/guest_process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/machine/door.h"

#define LOG_ROOM "jail"
#include "vmm/base/log.h"
#include "vmm/base/thread.h"

/* What the machine reaches while its guest runs, it reaches through the door */

static int connect_to_quotes(const char *address)
{
    (void)address; /* the door knows it */
    return door_connect(DOOR_QUOTES, 0);
}

static int connect_to_port(void *context, uint32_t port)
{
    (void)context;
    return door_connect(DOOR_VSOCK, port);
}

/* The jail */

static unsigned machine_has; /* of enum jail_with; for all threads of this process */

static unsigned what_it_has(const struct machine_config *config)
{
    unsigned has =
        (config->backend->in_process ? JAIL_WITH_EMULATION : 0) | (config->vsock_cid ? JAIL_WITH_VSOCK : 0);
    for (unsigned i = 0; i < config->devices; i++)
        has |= config->device[i].kind->jail_with;
    return has;
}

static int confine(const char *kind, struct cofre_err *err)
{
    return jail_confine(kind, machine_has, err);
}

static void say_what_is_missing(const struct jail *jail, char *missing, size_t size)
{
    jail_missing(jail, missing, size);
    if (missing[0])
        log_warn("this host does not give the guest's process all of its jail; it goes without: %s", missing);
    else
        log_info("the guest's process is in its jail, with Landlock of ABI %d", jail->landlock_abi);
}

/* All that the machine needs is open, it has no thread, and nothing of the guest has run. */
static int enter_jail(struct machine *machine, struct jail *jail, struct launch_report *r,
                      struct cofre_err *err)
{
    int rc = jail_enter(jail, err);
    if (rc)
        return rc;
    thread_begin_with(confine);
    rc = machine_start(machine, err);
    if (rc == 0)
        rc = jail_limit_memory(jail, err);
    if (rc == 0)
        say_what_is_missing(jail, r->jail_missing, sizeof r->jail_missing);
    return rc ? rc : confine("main", err);
}

/* The guest */

static void report(int control, const struct launch_report *r)
{
    while (send(control, r, sizeof *r, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

/* Until the guest ends, or the parent asks for it or is gone. */
static int wait_for_end(struct machine *machine, int control, struct cofre_err *err)
{
    bool asked = false;
    int rc = machine_wait(machine, control, &asked, err);
    if (asked)
        machine_stop(machine);
    return rc;
}

static int run(const struct machine_config *config, struct jail *jail, int control, struct launch_report *r,
               struct cofre_err *err)
{
    struct machine *machine;
    struct tee_measurement measurement = {0};
    int rc = machine_create(&machine, config, &measurement, err);
    if (rc)
        return rc;
    r->given = config->tee_ops;
    memcpy(r->measurement, measurement.value, sizeof r->measurement);
    memcpy(r->seconds, config->phases->seconds, sizeof r->seconds);
    rc = enter_jail(machine, jail, r, err);
    if (rc == 0) {
        report(control, r);
        machine_go(machine);
        rc = wait_for_end(machine, control, err);
    }
    if (rc)
        machine_stop(machine);
    machine_join(machine, &r->end);
    machine_free(machine);
    return rc;
}

int guest_process(const struct machine_config *given, struct jail *jail, int door, int control)
{
    struct kvm_backend backend = *given->backend;
    struct machine_config config = *given;
    struct launch_report r = {0};
    struct cofre_err err = {{0}};
    backend.quote_service = connect_to_quotes;
    config.backend = &backend;
    config.vsock_way = (struct vsock_way){connect_to_port, NULL};
    machine_has = what_it_has(&config);
    door_use(door);
    int rc = run(&config, jail, control, &r, &err);
    if (rc) {
        r.end.code = -rc;
        r.end.why = err;
    }
    memcpy(r.seconds, config.phases->seconds, sizeof r.seconds);
    report(control, &r);
    return r.end.code;
}
