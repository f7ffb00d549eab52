#include "vmm/host/hands/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "vmm/base/cleanup.h"

#define NOT_STARTED 127 /* exit code, as of a shell that finds no program */

unsigned spawn_device_groups(gid_t out[SPAWN_GROUPS_MAX])
{
    static const char *const devices[] = {"/dev/kvm", "/dev/sev", "/dev/vhost-net"};
    unsigned count = 0;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        struct stat st;
        bool had = false;
        if (stat(devices[i], &st) < 0 || !S_ISCHR(st.st_mode) || st.st_gid == 0 ||
            (st.st_mode & 0060) != 0060)
            continue;
        for (unsigned n = 0; n < count; n++)
            had |= out[n] == st.st_gid;
        if (!had)
            out[count++] = st.st_gid;
    }
    return count;
}

static void default_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* SIGKILL and SIGSTOP have nothing else */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whatever hands itself was started with ends here. */
static bool take_descriptors(const struct spawn *s)
{
    if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (dup2(s->standard[i], i) < 0)
            return false;
    for (unsigned i = 0; i < s->inherited_count; i++)
        if (s->inherited[i] >= 0 && fcntl(s->inherited[i], F_SETFD, 0) < 0)
            return false;
    return true;
}

/* Never more than hands itself may. */
static bool limit_locked(rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return false;
    most = most < limit.rlim_max ? most : limit.rlim_max;
    return setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){most, most}) == 0;
}

/* No dump of a guest's memory, ever. */
static bool become(const struct spawn *s)
{
    return setsid() >= 0 && setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0 &&
           limit_locked(s->may_lock) && chdir("/") == 0 && setgroups(s->group_count, s->groups) == 0 &&
           setresgid(s->user, s->user, s->user) == 0 && setresuid(s->user, s->user, s->user) == 0;
}

/* What fails here is in the guest's log. */
static _Noreturn void child(const struct spawn *s, int go)
{
    char byte, run[4096], emulated[4096];
    if (read(go, &byte, 1) != 1)
        _exit(NOT_STARTED);
    default_signals();
    umask(077);
    snprintf(run, sizeof run, "COFRE_RUN_DIR=%s", s->run_directory);
    snprintf(emulated, sizeof emulated, "COFRE_EMULATED_DIR=%s", s->emulated ? s->emulated : "");
    char *const environment[] = {run, s->emulated ? emulated : NULL, NULL};
    if (take_descriptors(s) && become(s))
        execve(s->program, s->argv, environment);
    dprintf(STDERR_FILENO, "cofred: %s was not started: %s\n", s->program, strerror(errno));
    _exit(NOT_STARTED);
}

int spawn_hold(const struct spawn *s, struct spawned *out, struct cofre_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cofre_fail(err, COFRE_FAILED, "pipe: %s", strerror(errno));
    CLEAN_FD held = ends[0];
    CLEAN_FD go = ends[1];
    *out = (struct spawned){.pidfd = -1, .go = -1};
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
        .pidfd = (uintptr_t)&out->pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)s->group,
    };
    out->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (out->pid == 0) {
        close(go);
        child(s, held);
    }
    if (out->pid < 0)
        return cofre_fail(err, COFRE_FAILED, "a process in the guest's control group: %s", strerror(errno));
    out->go = TAKE_FD(go);
    return 0;
}

int spawn_release(struct spawned *process, struct cofre_err *err)
{
    bool gone = write(process->go, "", 1) == 1;
    int error = errno;
    close(TAKE_FD(process->go));
    return gone ? 0 : cofre_fail(err, COFRE_FAILED, "the guest's process: %s", strerror(error));
}
