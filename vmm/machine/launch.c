#include "vmm/machine/launch.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/rundir.h"
#include "vmm/machine/door.h"
#include "vmm/machine/guest_process.h"

/* What stands outside of the guest's process while it runs, and connects it */

struct outside {
    const struct machine_config *config;
    char vsock[4096]; /* path of the guest's socket, for vsock_connect */
    pid_t parent;
};

static int connect_to_service(void *context, uint32_t number)
{
    const struct machine_config *config = ((const struct outside *)context)->config;
    (void)number;
    return config->tee_ops->connect_service(config->tee, config->backend);
}

/* Where the parent was killed, nobody else removes the guest's sockets. */
static void clean_up(void *context)
{
    const struct outside *o = context;
    if (getppid() != o->parent && o->config->vsock_cid)
        rundir_remove(o->config->vsock_directory);
}

/* *fd is -1 where the guest has no way out and needs no door. */
static int open_door(const struct machine_config *config, pid_t *pid, int *fd, struct cofre_err *err)
{
    struct outside outside = {.config = config, .parent = getpid()};
    struct door door = {.shut = clean_up, .context = &outside};
    bool has_service = config->tee_ops && config->tee_ops->connect_service;
    *fd = -1;
    if (has_service)
        door.way[DOOR_QUOTES] = (struct door_way){connect_to_service, &outside};
    if (config->vsock_cid) {
        snprintf(outside.vsock, sizeof outside.vsock, "%s/vsock", config->vsock_directory);
        door.way[DOOR_VSOCK] = (struct door_way){vsock_connect, outside.vsock};
    }
    return has_service || config->vsock_cid ? door_open(&door, pid, fd, err) : 0;
}

/* The parent */

static int fork_guest(struct launch *out, const struct machine_config *config, const int not_for_guest[],
                      int door, struct cofre_err *err)
{
    int control[2];
    struct jail jail;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        return cofre_fail(err, COFRE_FAILED, "a socket pair for the guest's process: %s", strerror(errno));
    out->pid = jail_fork(&jail, err);
    if (out->pid == 0) {
        close(control[0]);
        for (; *not_for_guest >= 0; not_for_guest++)
            close(*not_for_guest);
        _exit(guest_process(config, &jail, door, control[1]));
    }
    close(control[1]);
    out->control = control[0];
    if (out->pid < 0)
        return (int)out->pid;
    out->ended_fd = pidfd_open(out->pid, 0);
    return out->ended_fd < 0 ? cofre_fail(err, COFRE_FAILED, "a process for the guest: %s", strerror(errno))
                             : 0;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void clean(struct launch *launch)
{
    cleanup_close(&launch->control);
    cleanup_close(&launch->ended_fd);
    free(launch->first);
    launch->first = NULL;
    (void)wait_for(launch->door); /* which ends with the guest's process */
}

int launch_start(struct launch *out, const struct machine_config *config, const int not_for_guest[],
                 struct cofre_err *err)
{
    int door;
    *out = (struct launch){.pid = -1, .door = -1, .ended_fd = -1, .control = -1};
    int rc = open_door(config, &out->door, &door, err);
    if (rc)
        return rc;
    rc = fork_guest(out, config, not_for_guest, door, err);
    cleanup_close(&door);
    if (rc == 0)
        return 0;
    if (out->pid > 0) {
        launch_kill(out);
        (void)wait_for(out->pid);
    }
    clean(out);
    return rc;
}

void launch_stop(struct launch *launch)
{
    shutdown(launch->control, SHUT_WR);
}

void launch_kill(struct launch *launch)
{
    kill(launch->pid, SIGKILL);
}

static void check_text(char *text, size_t size)
{
    text[size - 1] = 0;
    for (; *text; text++)
        if (!isprint((unsigned char)*text))
            *text = '?';
}

static bool told(const struct launch_report *r)
{
    return r->end.how != MACHINE_RUNNING || r->end.code;
}

void launch_report_check(struct launch_report *r, int status)
{
    struct machine_end *end = &r->end;
    check_text(end->why.text, sizeof end->why.text);
    check_text(r->jail_missing, sizeof r->jail_missing);
    end->gave_up = *(const unsigned char *)&end->gave_up == 1;
    for (unsigned i = 0; i < PHASES; i++)
        if (!isfinite(r->seconds[i]) || r->seconds[i] < 0)
            r->seconds[i] = 0;
    bool known = (unsigned)end->how <= MACHINE_FAILED && end->code >= 0 && end->code <= COFRE_FAILED;
    struct cofre_err *why = &end->why;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        cofre_fail(why, COFRE_FAILED,
                   "the guest's process was ended for a system call that its jail does not have; "
                   "COFRE_LOG=jail=debug says which");
    else if (WIFSIGNALED(status))
        cofre_fail(why, COFRE_FAILED, "the guest's process was ended by signal %d (%s)", WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
    else if (!known || !told(r))
        cofre_fail(why, COFRE_FAILED, "the guest's process ended without saying how");
    else
        return;
    end->how = MACHINE_FAILED;
    end->code = COFRE_FAILED;
}

static void take_first(struct launch *launch)
{
    struct launch_report r;
    if (launch->first || recv(launch->control, &r, sizeof r, MSG_DONTWAIT) != (ssize_t)sizeof r)
        return;
    launch->first = malloc(sizeof r);
    if (launch->first)
        *launch->first = r;
}

bool launch_is_final(struct launch *launch, struct launch_report *out)
{
    take_first(launch);
    if (!launch->first || told(launch->first))
        return false;
    *out = *launch->first;
    check_text(out->jail_missing, sizeof out->jail_missing);
    return true;
}

/* The first message says what was launched, and the second how it ended. Where the launch failed there is but one. */
static void take_reports(struct launch *launch, struct launch_report *out)
{
    struct launch_report r;
    take_first(launch);
    *out = launch->first ? *launch->first : (struct launch_report){0};
    if (recv(launch->control, &r, sizeof r, MSG_DONTWAIT) != (ssize_t)sizeof r)
        return;
    memcpy(out->seconds, r.seconds, sizeof out->seconds);
    out->end = r.end;
}

void launch_finish(struct launch *launch, struct launch_report *out)
{
    int status = wait_for(launch->pid);
    take_reports(launch, out);
    launch_report_check(out, status);
    clean(launch);
}
