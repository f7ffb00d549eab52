#include "vmm/machine/launch.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* The child. It reports twice: when the launch is final and nothing of the guest has run, and at the end. */

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

static int run(const struct machine_config *config, int control, struct launch_report *r,
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
    report(control, r);
    /* All that this process needs is open, no thread of a vCPU exists, and nothing of the guest has run. */
    rc = machine_start(machine, err);
    if (rc == 0)
        rc = wait_for_end(machine, control, err);
    if (rc)
        machine_stop(machine);
    machine_join(machine, &r->end);
    machine_free(machine);
    if (r->end.how == MACHINE_STOPPED && config->vsock_cid)
        (void)rmdir(config->vsock_directory); /* where the parent was killed, nobody else does */
    return rc;
}

static int child(const struct machine_config *config, int control)
{
    struct launch_report r = {0};
    struct cofre_err err = {{0}};
    int rc = run(config, control, &r, &err);
    if (rc) {
        r.end.code = -rc;
        r.end.why = err;
    }
    memcpy(r.seconds, config->phases->seconds, sizeof r.seconds);
    report(control, &r);
    return r.end.code;
}

/* The parent */

int launch_start(struct launch *out, const struct machine_config *config, int not_for_guest,
                 struct cofre_err *err)
{
    int pair[2];
    *out = (struct launch){.pid = -1, .ended_fd = -1, .control = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return cofre_fail(err, COFRE_FAILED, "a socket pair for the guest's process: %s", strerror(errno));
    out->pid = fork();
    if (out->pid == 0) {
        close(pair[0]);
        if (not_for_guest >= 0)
            close(not_for_guest);
        _exit(child(config, pair[1]));
    }
    int error = errno;
    close(pair[1]);
    out->control = pair[0];
    if (out->pid > 0)
        out->ended_fd = pidfd_open(out->pid, 0);
    if (out->ended_fd >= 0)
        return 0;
    error = out->pid > 0 ? errno : error;
    close(out->control);
    if (out->pid > 0) {
        kill(out->pid, SIGKILL);
        waitpid(out->pid, NULL, 0);
    }
    return cofre_fail(err, COFRE_FAILED, "a process for the guest: %s", strerror(error));
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
    for (unsigned i = 0; i < PHASES; i++)
        if (!isfinite(r->seconds[i]) || r->seconds[i] < 0)
            r->seconds[i] = 0;
    bool known = (unsigned)end->how <= MACHINE_FAILED && end->code >= 0 && end->code <= COFRE_FAILED;
    struct cofre_err *why = &end->why;
    if (WIFSIGNALED(status))
        cofre_fail(why, COFRE_FAILED, "the guest's process was ended by signal %d (%s)", WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
    else if (!known || !told(r))
        cofre_fail(why, COFRE_FAILED, "the guest's process ended without saying how");
    else
        return;
    end->how = MACHINE_FAILED;
    end->code = COFRE_FAILED;
}

/* The first message says what was launched, and the second how it ended. Where the launch failed there is but one. */
static void take_reports(int control, struct launch_report *out)
{
    struct launch_report r;
    *out = (struct launch_report){0};
    if (recv(control, out, sizeof *out, MSG_DONTWAIT) != (ssize_t)sizeof *out)
        *out = (struct launch_report){0};
    if (recv(control, &r, sizeof r, MSG_DONTWAIT) != (ssize_t)sizeof r)
        return;
    memcpy(out->seconds, r.seconds, sizeof out->seconds);
    out->end = r.end;
}

void launch_finish(struct launch *launch, struct launch_report *out)
{
    int status = 0;
    while (waitpid(launch->pid, &status, 0) < 0 && errno == EINTR)
        ;
    take_reports(launch->control, out);
    launch_report_check(out, status);
    close(launch->control);
    close(launch->ended_fd);
}
