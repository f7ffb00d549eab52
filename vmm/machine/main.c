/* cofre-vmm, also known as `cofre run`: one process, one guest. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sev/launch/launch.h"
#include "tdx/launch/launch.h"
#include "vmm/agent/client.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/rundir.h"
#include "vmm/machine/console.h"
#include "vmm/machine/options.h"
#include "vmm/machine/result.h"

#define ANSWER_SECONDS   2  /* the agent answers before it acts */
#define POWEROFF_SECONDS 20 /* for a guest that was asked, before it is stopped as if its power was cut */

static const struct tee_ops *const tees[] = {&snp_tee_ops, &tdx_tee_ops, NULL};

struct run {
    struct run_options options;
    struct guest guest;
    struct tee *tee;
    struct console console;
    struct run_result result;
    char name[80];
    char directory[4096]; /* empty: none made */
    int signals;
};

/* The tenant's word: what the guest will be measured as, before anything touches KVM. */
static int predict(struct run *run, struct cofre_err *err)
{
    const struct run_options *o = &run->options;
    const struct tee_ops *ops = o->tee;
    struct run_result *result = &run->result;
    if (!ops)
        return 0;
    int rc = ops->new (&run->tee, err);
    for (unsigned i = 0; i < o->tee_options && rc == 0; i++)
        rc = ops->set_option(run->tee, o->tee_option[i].name, o->tee_option[i].value, err);
    if (rc == 0)
        rc = ops->measure(run->tee, &run->guest.image, &result->prediction, err);
    if (rc)
        return rc;
    if (ops->registers)
        rc = ops->registers(run->tee, &run->guest.image, result->predicted_register, err);
    if (rc < 0)
        return rc;
    result->registers = (unsigned)rc;
    result->predicted = true;
    phases_reach(&result->phases, PHASE_PREDICTED);
    if (!o->expects)
        return 0;
    if (memcmp(o->expected, result->prediction.value, sizeof o->expected) == 0)
        return ops->expect(run->tee, &result->prediction, err);
    char predicted[2 * sizeof o->expected + 1];
    hex_encode(predicted, result->prediction.value, sizeof o->expected);
    return cofre_fail(
        err, COFRE_NEGATIVE,
        "--expect-measurement: this guest would have the %s %s, not the one expected; nothing was started",
        result->prediction.name, predicted);
}

static int make_directory(const char *path, struct cofre_err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return cofre_fail(err, COFRE_FAILED, "run directory %s: %s", path, strerror(errno));
}

/* The guest's sockets lie in a directory of its name. */
static int make_rundir(struct run *run, struct cofre_err *err)
{
    char path[sizeof run->directory];
    int rc = rundir_of_guest(path, sizeof path, run->name, err);
    if (rc || !run->options.vsock_cid)
        return rc;
    char *slash = strrchr(path, '/');
    *slash = 0;
    rc = make_directory(path, err);
    *slash = '/';
    if (rc == 0)
        rc = make_directory(path, err);
    if (rc == 0)
        strcpy(run->directory, path);
    return rc;
}

/* Until the guest ends (*ended), a signal comes, or the time is over (milliseconds; -1: never). */
static int wait_for(struct run *run, struct machine *machine, int milliseconds, bool *ended,
                    struct cofre_err *err)
{
    struct pollfd fds[] = {{.fd = machine_end_fd(machine), .events = POLLIN},
                           {.fd = run->signals, .events = POLLIN}};
    while (poll(fds, 2, milliseconds) < 0)
        if (errno != EINTR)
            return cofre_fail(err, COFRE_FAILED, "poll: %s", strerror(errno));
    struct signalfd_siginfo taken;
    if (fds[1].revents && read(run->signals, &taken, sizeof taken) != (ssize_t)sizeof taken)
        return cofre_fail(err, COFRE_FAILED, "signalfd: %s", strerror(errno));
    *ended = fds[0].revents != 0;
    return 0;
}

/* There is no ACPI button, because the host supplies no AML to an unmodified kernel: the agent in the guest starts the
 * guest's own poweroff command. That it answers is enough; the guest's end shows whether it did. */
static int ask_to_power_off(const struct run *run, struct cofre_err *why)
{
    char path[sizeof run->directory + 8];
    CLEAN_BYTES answer = {0};
    if (!run->directory[0])
        return cofre_fail(why, COFRE_LACKING, "it has no vsock (--vsock-cid) to be asked through");
    snprintf(path, sizeof path, "%s/vsock", run->directory);
    return agent_ask(&answer, path, "{\"op\": \"poweroff\"}", ANSWER_SECONDS, why);
}

/* The first signal asks the guest to power itself off, the second, or the end of its time, cuts its power. */
static int wait_for_end(struct run *run, struct machine *machine, struct cofre_err *err)
{
    bool ended = false;
    int rc = wait_for(run, machine, -1, &ended, err);
    if (rc || ended)
        return rc;
    struct cofre_err why;
    if (ask_to_power_off(run, &why) == 0) {
        fprintf(stderr, "cofre run: the guest was asked to power off; another signal stops it at once\n");
        rc = wait_for(run, machine, POWEROFF_SECONDS * 1000, &ended, err);
    } else {
        fprintf(stderr, "cofre run: the guest cannot be asked to power off (%s); it is stopped\n", why.text);
    }
    if (rc == 0 && !ended)
        machine_stop(machine);
    return rc;
}

static int run_machine(struct run *run, struct cofre_err *err)
{
    const struct run_options *o = &run->options;
    const struct kvm_backend *backend = o->emulated ? &kvm_backend_emulated : &kvm_backend_kernel;
    struct machine_config config = {
        .tee_ops = o->tee,
        .tee = run->tee,
        .backend = backend,
        .boot = &run->guest.config,
        .image = &run->guest.image,
        .phases = &run->result.phases,
        .devices = o->devices,
        .vsock_cid = o->vsock_cid,
        .vsock_directory = run->directory,
        .console_in = run->console.in,
        .console_out = run->console.out,
    };
    memcpy(config.device, o->device, sizeof config.device);
    run->tee = NULL; /* the machine's now */
    struct machine *machine;
    int rc = machine_create(&machine, &config, &run->result.measurement, err);
    if (rc)
        return rc;
    run->result.given = o->tee;
    rc = machine_start(machine, err);
    if (rc == 0)
        rc = wait_for_end(run, machine, err);
    if (rc)
        machine_stop(machine);
    machine_join(machine, &run->result.end);
    machine_free(machine);
    return rc;
}

static int run_guest(struct run *run, struct cofre_err *err)
{
    const struct run_options *o = &run->options;
    int rc = make_rundir(run, err);
    if (rc == 0)
        rc = guest_load(&run->guest, &o->guest, o->tee ? o->tee->boot_tee : BOOT_PLAIN, err);
    if (rc == 0)
        rc = predict(run, err);
    if (rc == 0)
        rc = console_open(&run->console, o->console, o->json, err);
    return rc ? rc : run_machine(run, err);
}

/* From here on these signals are read from a descriptor; no call of the launch is interrupted by them. */
static int hold_signals(struct run *run, struct cofre_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    run->signals = signalfd(-1, &set, SFD_CLOEXEC);
    return run->signals < 0 ? cofre_fail(err, COFRE_FAILED, "signalfd: %s", strerror(errno)) : 0;
}

static void clean_up(struct run *run)
{
    console_close(&run->console);
    if (run->tee)
        run->options.tee->free(run->tee);
    guest_free(&run->guest);
    if (run->directory[0])
        rmdir(run->directory);
    close(run->signals);
}

static void say_how_it_ended(const struct run_result *result)
{
    const char *why = result->end.why.text;
    if (why[0])
        fprintf(stderr, "cofre run: %s\n", why);
    else
        fprintf(stderr, "cofre run: %s: %s\n", result->name, machine_ending_name(result->end.how));
}

int main(int argc, char **argv)
{
    struct run run = {.signals = -1, .console = {.in = -1, .out = -1}};
    struct cofre_err err = {{0}};
    struct run_options *o = &run.options;
    int rc = run_options_parse(o, argc, argv, tees, &err);
    if (rc) {
        fprintf(stderr, "cofre run: %s\n", err.text);
        return -rc;
    }
    if (o->help) {
        run_options_help(tees);
        return 0;
    }
    snprintf(run.name, sizeof run.name, "guest-%d", (int)getpid());
    if (o->name)
        snprintf(run.name, sizeof run.name, "%s", o->name);
    struct run_result *result = &run.result;
    result->name = run.name;
    result->tee = o->tee;
    result->emulated = o->emulated;
    phases_start(&result->phases, false);
    rc = hold_signals(&run, &err);
    if (rc == 0)
        rc = run_guest(&run, &err);
    if (rc) {
        result->end.code = -rc;
        result->end.why = err;
    }
    clean_up(&run);
    say_how_it_ended(result);
    if (o->json && run_result_print(result, &err)) {
        fprintf(stderr, "cofre run: %s\n", err.text);
        return COFRE_FAILED;
    }
    return result->end.code;
}
