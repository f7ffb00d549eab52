/* cofre-vmm, also known as `cofre run`: one guest, for as long as it restarts; each launch in a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "sev/launch/launch.h"
#include "tdx/launch/launch.h"
#include "vmm/agent/client.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/base/rundir.h"
#include "vmm/kvm/probe.h"
#include "vmm/machine/console.h"
#include "vmm/machine/launch.h"
#include "vmm/machine/options.h"
#include "vmm/machine/restart.h"
#include "vmm/machine/result.h"

#define ANSWER_SECONDS   2  /* the agent answers before it acts */
#define POWEROFF_SECONDS 20 /* for a guest that was asked, before it is stopped as if its power was cut */
#define STOP_SECONDS     60 /* for a process that was asked, which flushes disks, before it is killed */

static const struct tee_ops *const tees[] = {&snp_tee_ops, &tdx_tee_ops, NULL};

struct run {
    struct run_options options;
    struct guest guest;
    struct tee *tee;
    struct console console;
    struct run_result result;
    char name[80];
    char directory[4096]; /* empty: none made */
    int claim;            /* of the directory */
    int launches;         /* file; -1 */
    struct rates rates;   /* as the guest's process finds them */
    int signals;
    bool stopping;         /* a signal came: no other launch */
    bool watchdog_expired; /* in the last launch */
    struct restarts restarts;
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
        rc = ops->adopt ? ops->adopt(run->tee, &run->guest.image, err) : 0;
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

/* The guest's sockets lie in a directory of its name. */
static int make_rundir(struct run *run, struct cofre_err *err)
{
    char path[sizeof run->directory];
    int rc = rundir_of_guest(path, sizeof path, run->name, err);
    if (rc || !run->options.vsock_cid)
        return rc;
    run->claim = rundir_claim(path, err);
    if (run->claim < 0)
        return run->claim;
    strcpy(run->directory, path);
    return 0;
}

/* Whoever reads the file knows then what runs, while it does. */
static int write_launch_down(struct run *run, struct launch *launch, struct cofre_err *err)
{
    struct launch_report report;
    struct run_result *result = &run->result;
    if (!launch_is_final(launch, &report))
        return 0;
    result->given = report.given;
    memcpy(result->measurement.value, report.measurement, sizeof report.measurement);
    memcpy(result->jail_missing, report.jail_missing, sizeof result->jail_missing);
    return run_result_launched(result, run->launches, err);
}

/* Until the guest's process ends (*ended), a signal comes, or the time is over (milliseconds; -1: never). launch may be
 * NULL. */
static int wait_for(struct run *run, struct launch *launch, int milliseconds, bool *ended,
                    struct cofre_err *err)
{
    bool looks = launch && run->launches >= 0 && !launch->first;
    struct pollfd fds[] = {{.fd = run->signals, .events = POLLIN},
                           {.fd = launch ? launch->ended_fd : -1, .events = POLLIN},
                           {.fd = looks ? launch->control : -1, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 3, milliseconds) < 0) {
            if (errno == EINTR)
                continue;
            return cofre_fail(err, COFRE_FAILED, "poll: %s", strerror(errno));
        }
        int rc = fds[2].revents ? write_launch_down(run, launch, err) : 0;
        if (rc)
            return rc;
        bool only_launched = fds[2].revents && !fds[0].revents && !fds[1].revents;
        fds[2].fd = fds[2].revents ? -1 : fds[2].fd;
        if (!only_launched)
            break;
    }
    struct signalfd_siginfo taken;
    if (fds[0].revents && read(run->signals, &taken, sizeof taken) != (ssize_t)sizeof taken)
        return cofre_fail(err, COFRE_FAILED, "signalfd: %s", strerror(errno));
    run->stopping |= fds[0].revents != 0;
    *ended = fds[1].revents != 0;
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

/* The first signal asks the guest to power itself off, the second, or the end of its time, cuts its power; a process
 * that does not even end then is killed. */
static int wait_for_end(struct run *run, struct launch *launch, struct cofre_err *err)
{
    bool ended = false;
    int rc = wait_for(run, launch, -1, &ended, err);
    if (rc || ended)
        return rc;
    struct cofre_err why;
    if (ask_to_power_off(run, &why) == 0) {
        fprintf(stderr, "cofre run: the guest was asked to power off; another signal stops it at once\n");
        rc = wait_for(run, launch, POWEROFF_SECONDS * 1000, &ended, err);
    } else {
        fprintf(stderr, "cofre run: the guest cannot be asked to power off (%s); it is stopped\n", why.text);
    }
    if (rc || ended)
        return rc;
    launch_stop(launch);
    rc = wait_for(run, launch, STOP_SECONDS * 1000, &ended, err);
    if (rc == 0 && !ended)
        launch_kill(launch);
    return rc;
}

static struct machine_config machine_config(struct run *run)
{
    const struct run_options *o = &run->options;
    struct machine_config config = {
        .tee_ops = o->tee,
        .tee = run->tee,
        .backend = o->emulated ? &kvm_backend_emulated : &kvm_backend_kernel,
        .boot = &run->guest.config,
        .image = &run->guest.image,
        .phases = &run->result.phases,
        .devices = o->devices,
        .rates = run->rates.file ? &run->rates : NULL,
        .memory = o->memory,
        .numa = o->numa,
        .vsock_cid = o->vsock_cid,
        .vsock_directory = run->directory,
        .console_in = run->console.in,
        .console_out = run->console.out,
        .watchdog = o->watchdog,
        .watchdog_expired = run->watchdog_expired,
    };
    memcpy(config.device, o->device, sizeof config.device);
    return config;
}

/* The guest's files were read, and its measurement compared, in this process; they go as the launch has its copy. */
static void forget_guest(struct run *run)
{
    if (run->tee)
        run->options.tee->free(run->tee);
    run->tee = NULL;
    guest_free(&run->guest);
}

/* KVM gave up on a vCPU, which is not that guest's fault where no guest runs. */
static void say_if_no_guest_runs(struct run *run)
{
    struct kvm kvm;
    struct cofre_err why;
    if (kvm_open(&kvm, &kvm_backend_kernel, &why))
        return;
    if (kvm_probe(&kvm, &why)) {
        run->result.end.code = COFRE_LACKING;
        run->result.end.why = why;
    }
    kvm_close(&kvm);
}

static int run_launch(struct run *run, struct cofre_err *err)
{
    struct run_result *result = &run->result;
    struct launch launch;
    struct launch_report report;
    const struct machine_config config = machine_config(run);
    int not_for_guest[4], count = 0;
    const int own[] = {run->signals, run->claim, run->launches};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] >= 0)
            not_for_guest[count++] = own[i];
    not_for_guest[count] = -1;
    int rc = launch_start(&launch, &config, not_for_guest, err);
    forget_guest(run);
    if (rc)
        return rc;
    result->launches++;
    rc = wait_for_end(run, &launch, err);
    if (rc)
        launch_kill(&launch);
    launch_finish(&launch, &report);
    result->given = report.given;
    result->measurement.name = result->prediction.name;
    memcpy(result->measurement.value, report.measurement, sizeof report.measurement);
    for (unsigned i = PHASE_PREDICTED + 1; i < PHASES; i++)
        result->phases.seconds[i] = report.seconds[i];
    result->end = report.end;
    memcpy(result->jail_missing, report.jail_missing, sizeof result->jail_missing);
    if (report.end.gave_up)
        say_if_no_guest_runs(run);
    result->panicked += report.seconds[PHASE_PANICKED] > 0 || report.seconds[PHASE_DUMPING] > 0;
    run->watchdog_expired = report.seconds[PHASE_EXPIRED] > 0;
    result->watchdog_expired += run->watchdog_expired;
    return rc;
}

/* A confidential guest's restart is a new launch in everything: files are read again, and if they changed, so has what is
 * measured. */
static void say_if_changed(const struct run *run, const struct tee_measurement *before)
{
    const struct tee_measurement *now = &run->result.prediction;
    char hex[2 * sizeof now->value + 1];
    if (!run->result.launches || !run->result.predicted ||
        memcmp(before->value, now->value, sizeof now->value) == 0)
        return;
    hex_encode(hex, now->value, sizeof now->value);
    fprintf(stderr, "cofre run: its files were changed since its last launch: its %s is now %s\n", now->name,
            hex);
}

static int launch(struct run *run, struct cofre_err *err)
{
    const struct run_options *o = &run->options;
    struct run_result *result = &run->result;
    const struct tee_measurement before = result->prediction;
    result->predicted = result->given = false;
    result->jail_missing[0] = 0;
    result->end = (struct machine_end){0};
    phases_start(&result->phases, false);
    struct guest_spec spec = o->guest;
    spec.device = o->device;
    spec.devices = o->devices;
    int rc = guest_load(&run->guest, &spec, o->tee, err);
    if (rc == 0)
        rc = predict(run, err);
    if (rc)
        return rc;
    say_if_changed(run, &before);
    return run_launch(run, err);
}

static bool is_piped(const char *path)
{
    int named = file_named_descriptor(path);
    return strcmp(path, "-") == 0 || (named >= 0 && lseek(named, 0, SEEK_CUR) < 0);
}

/* A file that came from standard input, or a pipe, cannot be read again. */
static bool has_piped_file(const struct run_options *o)
{
    const char *const files[] = {o->guest.firmware, o->guest.igvm, o->guest.kernel, o->guest.initrd};
    bool piped = false;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        piped |= files[i] && is_piped(files[i]);
    for (unsigned i = 0; i < o->tee_options; i++)
        piped |= is_piped(o->tee_option[i].value);
    return piped;
}

/* True if the guest is to be launched again. */
static bool restarts(struct run *run, int *rc, struct cofre_err *err)
{
    const struct machine_end *end = &run->result.end;
    if (*rc || end->how != MACHINE_RESET || run->stopping || run->options.no_reboot ||
        has_piped_file(&run->options))
        return false;
    unsigned wait = restart_wait(&run->restarts, run->result.phases.seconds[PHASE_ENDED]);
    if (wait)
        fprintf(stderr, "cofre run: the guest restarts again and again; its next launch is in %u s\n", wait);
    else
        fprintf(stderr, "cofre run: the guest restarts\n");
    bool ended;
    *rc = wait_for(run, NULL, (int)wait * 1000, &ended, err);
    if (*rc == 0 && run->stopping)
        run->result.end.how = MACHINE_STOPPED;
    return *rc == 0 && !run->stopping;
}

static int open_launches(struct run *run, struct cofre_err *err)
{
    const char *path = run->options.launches;
    if (path)
        run->launches = file_open_named(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    return !path || run->launches >= 0
               ? 0
               : cofre_fail(err, COFRE_USAGE, "--launches %s: %s", path, strerror(errno));
}

static int run_guest(struct run *run, struct cofre_err *err)
{
    const struct run_options *o = &run->options;
    int rc = make_rundir(run, err);
    if (rc == 0)
        rc = console_open(&run->console, o->console, o->console_input, o->json, err);
    if (rc == 0)
        rc = open_launches(run, err);
    if (rc == 0 && run->options.rates)
        rc = rates_open(&run->rates, run->options.rates, err);
    if (rc)
        return rc;
    do
        rc = launch(run, err);
    while (restarts(run, &rc, err));
    return rc;
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
    forget_guest(run);
    if (run->directory[0])
        rundir_release(run->directory, run->claim);
    cleanup_close(&run->launches);
    rates_close(&run->rates);
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
    struct run run = {.signals = -1, .claim = -1, .launches = -1, .console = {.in = -1, .out = -1}};
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
