#include "tests/bench/lab/meter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SET_MEMORY2                                                                                          \
    _IOW(KVMIO, 0x49, uint8_t[160]) /* KVM_SET_USER_MEMORY_REGION2: begins as the older one does */
#define GUEST_RANGES 256

static struct {
    uint64_t start, end;
} guest_range[GUEST_RANGES];
static size_t guest_ranges;

/* The kernel stops the program at these calls of ioctl(2) and at unshare(2), and only there: every other call costs it a few
 * instructions of a filter. A program made to run guests makes them in one place, whatever it is. */
static void stop_at_calls_of_kvm(bool until_entry)
{
#define LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define GO_IF(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), n, 0)
    struct sock_filter code[] = {
        LOAD(nr),
        GO_IF(SYS_unshare, until_entry ? 6 : 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
        LOAD(args[1]),
        GO_IF(KVM_SET_USER_MEMORY_REGION, 3),
        GO_IF(SET_MEMORY2, 2),
        GO_IF(until_entry ? KVM_RUN : SET_MEMORY2, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
    };
    const struct sock_fprog program = {COUNT(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        meter_die("a filter of system calls");
}

static void join(const char *cgroup_procs)
{
    int fd = open(cgroup_procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        meter_die(cgroup_procs);
    close(fd);
}

pid_t tracee_start(char **argv, const char *cgroup_procs, int output, bool until_entry)
{
    const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        raise(SIGSTOP); /* until the parent traces it */
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        join(cgroup_procs);
        stop_at_calls_of_kvm(until_entry);
        execvp(argv[0], argv);
        meter_die(argv[0]);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SEIZE, pid, 0, options) < 0 || kill(pid, SIGCONT) < 0)
        meter_die("starting the program");
    return pid;
}

static void note_guest_memory(pid_t pid, uint64_t argument)
{
    struct kvm_userspace_memory_region r;
    struct iovec here = {&r, sizeof r}, there = {(void *)(uintptr_t)argument, sizeof r};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof r)
        meter_die("reading a memory slot of the program");
    if (r.memory_size == 0)
        return;
    if (guest_ranges == GUEST_RANGES) {
        errno = ENOSPC;
        meter_die("noting the guest's memory");
    }
    guest_range[guest_ranges].start = r.userspace_addr;
    guest_range[guest_ranges++].end = r.userspace_addr + r.memory_size;
}

bool tracee_is_guest_memory(uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < guest_ranges; i++)
        if (start < guest_range[i].end && guest_range[i].start < end)
            return true;
    return false;
}

/* True at KVM_RUN, where the program is left standing. */
static bool at_call(pid_t pid, const struct tracee_watch *watch)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0)
        return false; /* killed meanwhile */
    if (regs.orig_rax == SYS_unshare) {
        if (regs.rdi & CLONE_NEWNS)
            watch->leaves_mounts(watch->context);
    } else if ((uint32_t)regs.rsi == KVM_RUN) {
        return true;
    } else {
        note_guest_memory(pid, regs.rdx);
    }
    ptrace(PTRACE_CONT, pid, 0, 0);
    return false;
}

/* A stop that is no call of KVM: a signal is passed on, a new child or thread goes on. */
static void go_on(pid_t pid, int status)
{
    int event = status >> 16, sig = WSTOPSIG(status);
    if (event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU))
        ptrace(PTRACE_CONT, pid, 0, 0);
    else
        ptrace(PTRACE_CONT, pid, 0, event ? 0 : sig);
}

bool tracee_step(pid_t first, const struct tracee_watch *watch, bool *running, int *status)
{
    int now;
    pid_t pid;
    *running = true;
    while ((pid = waitpid(-1, &now, __WALL | WNOHANG)) > 0) {
        if (pid == first && !WIFSTOPPED(now))
            *status = now;
        if (!WIFSTOPPED(now))
            continue;
        if (now >> 16 != PTRACE_EVENT_SECCOMP)
            go_on(pid, now);
        else if (at_call(pid, watch))
            return true;
    }
    *running = pid == 0;
    return false;
}
