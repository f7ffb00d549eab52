/* The system calls that each kind of thread may make (seccomp(2)). Any other ends the process with SIGSYS. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define LOG_ROOM "jail"
#include "vmm/base/log.h"
#include "vmm/kvm/uapi.h"
#include "vmm/machine/jail.h"

enum kind {
    MAIN = 1 << 0, /* waits for the end, joins the others, and cleans up */
    VCPU = 1 << 1, /* runs the guest, converts its memory, sets devices going and notifies them */
    BLOCK = 1 << 2,
    CONSOLE = 1 << 3,
    ENTROPY = 1 << 4,
    VSOCK = 1 << 5,
    QUOTES = 1 << 6,
    NET = 1 << 7,
    SERVED = 1 << 8, /* vhost-user: watches who serves the device */
    ALL = 0xffff,
    DEVICES = ALL & ~(MAIN | VCPU),
};

static const struct {
    const char *name; /* as thread_start has it */
    enum kind kind;
} kinds[] = {
    {"main", MAIN},
    {"vcpu", VCPU},
    {"block", BLOCK},
    {"console", CONSOLE},
    {"entropy", ENTROPY},
    {"vsock", VSOCK},
    {"quotes", QUOTES},
    {"net", NET},
    {"vhost-user block", SERVED},
    {"vhost-user net", SERVED},
    {"vhost-user fs", SERVED},
};

/* What an argument must be for the call to be allowed. */
enum condition {
    ANY,
    IS,         /* value */
    HAS_NOT,    /* none of value's bits */
    IS_PROCESS, /* this process */
};

#define ARGUMENT_COMMAND 1 /* of ioctl, and of fcntl */
#define ARGUMENT_ADDRESS 4 /* of sendto */

struct rule {
    int call;
    unsigned kinds;
    enum condition condition;
    unsigned argument;
    uint64_t value;
    unsigned with; /* of enum jail_with: only where the machine has one of these; 0: always */
};

#define CALL(name, kinds)                                                                                    \
    {                                                                                                        \
        SCMP_SYS(name), kinds, ANY, 0, 0, 0                                                                  \
    }
#define CALL_WITH(name, kinds, with)                                                                         \
    {                                                                                                        \
        SCMP_SYS(name), kinds, ANY, 0, 0, with                                                               \
    }
#define IOCTL(request, kinds)                                                                                \
    {                                                                                                        \
        SCMP_SYS(ioctl), kinds, IS, ARGUMENT_COMMAND, (uint32_t)(request), 0                                 \
    }
#define IOCTL_WITH(request, kinds, with)                                                                     \
    {                                                                                                        \
        SCMP_SYS(ioctl), kinds, IS, ARGUMENT_COMMAND, (uint32_t)(request), with                              \
    }

static const struct rule rules[] = {
    /* The guest itself, memory that it converts, and the staging window that goes */
    IOCTL(KVM_RUN, VCPU),
    IOCTL(KVM_SET_MEMORY_ATTRIBUTES, VCPU),
    IOCTL(KVM_SET_USER_MEMORY_REGION, VCPU),
    IOCTL(KVM_SET_USER_MEMORY_REGION2, VCPU),
    IOCTL(KVM_GET_REGS, VCPU), /* for the sentence where KVM gave up */
    IOCTL(KVM_IOEVENTFD, VCPU | MAIN),
    IOCTL(KVM_IRQFD, VCPU | MAIN),
    IOCTL(KVM_SET_GSI_ROUTING, VCPU | MAIN),
    IOCTL(KVM_SIGNAL_MSI, VCPU | DEVICES),
    CALL(fallocate, VCPU | BLOCK),

    /* The emulated firmware or module: it enters guests for vCPUs' threads, keeps their registers, and shows them memory */
    IOCTL_WITH(KVM_SET_REGS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_SREGS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_SREGS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_MSRS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_MSRS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_XCRS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_XCRS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_XSAVE, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_XSAVE, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_LAPIC, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_LAPIC, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_DEBUGREGS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_DEBUGREGS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_VCPU_EVENTS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_VCPU_EVENTS, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_MP_STATE, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_MP_STATE, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_SET_GUEST_DEBUG, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_GET_TSC_KHZ, VCPU, JAIL_WITH_EMULATION),
    IOCTL_WITH(KVM_TRANSLATE, VCPU, JAIL_WITH_EMULATION),
    CALL_WITH(ppoll, VCPU, JAIL_WITH_EMULATION),
    CALL_WITH(mremap, VCPU, JAIL_WITH_EMULATION),
    {SCMP_SYS(process_vm_readv), VCPU | MAIN, IS_PROCESS, 0, 0, JAIL_WITH_EMULATION},
    {SCMP_SYS(process_vm_writev), VCPU, IS_PROCESS, 0, 0, JAIL_WITH_EMULATION},
    {SCMP_SYS(fcntl), VCPU | MAIN, IS, ARGUMENT_COMMAND, F_DUPFD_CLOEXEC,
     JAIL_WITH_EMULATION}, /* an eventfd that it signals itself */

    /* Descriptors that are open */
    CALL(read, ALL),
    CALL(write, ALL),
    CALL(close, ALL),
    CALL(poll, ALL),
    CALL(epoll_wait, DEVICES),
    CALL(epoll_ctl, DEVICES | VCPU | MAIN),

    /* Disks */
    CALL(preadv, BLOCK),
    CALL(pwritev, BLOCK),
    CALL(fdatasync, BLOCK | MAIN),

    CALL(io_uring_enter, BLOCK | VCPU | MAIN), /* of rings whose operations are restricted: block_io.c */
    IOCTL(BLKDISCARD, BLOCK),

    /* A network: frames through open descriptors */
    CALL_WITH(readv, NET, JAIL_WITH_NET),
    CALL_WITH(writev, NET, JAIL_WITH_NET),
    CALL_WITH(sendmsg, NET, JAIL_WITH_NET),
    CALL_WITH(recvmsg, NET, JAIL_WITH_NET),
    IOCTL_WITH(TUNSETOFFLOAD, NET | VCPU, JAIL_WITH_NET),
    IOCTL_WITH(TUNSETQUEUE, NET | VCPU, JAIL_WITH_NET),
    CALL_WITH(shutdown, NET, JAIL_WITH_NET),

    /* A network card's rings in the kernel (vhost-net), from the driver's start until its reset or the guest's end */
    IOCTL_WITH(VHOST_SET_OWNER, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_FEATURES, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_MEM_TABLE, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_VRING_NUM, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_VRING_BASE, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_VRING_ADDR, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_VRING_KICK, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_VRING_CALL, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_SET_VRING_ERR, VCPU, JAIL_WITH_NET),
    IOCTL_WITH(VHOST_NET_SET_BACKEND, VCPU | MAIN, JAIL_WITH_NET),
    CALL_WITH(eventfd2, VCPU, JAIL_WITH_NET | JAIL_WITH_VHOST_USER),

    /* A device that is served by another process, which gets the guest's memory when the driver sets it going */
    CALL_WITH(sendmsg, VCPU | SERVED, JAIL_WITH_VHOST_USER),
    CALL_WITH(recvmsg, VCPU | SERVED, JAIL_WITH_VHOST_USER),
    CALL_WITH(recvfrom, SERVED, JAIL_WITH_VHOST_USER),
    CALL_WITH(shutdown, VCPU | SERVED, JAIL_WITH_VHOST_USER),

    CALL(getrandom, ENTROPY),
    CALL_WITH(getrandom, ALL, JAIL_WITH_EMULATION), /* the firmware's or module's cryptography */

    /* Connections: those that the listener has, or the door brings */
    CALL(accept4, VSOCK),
    {SCMP_SYS(sendto), VSOCK | QUOTES | MAIN, IS, ARGUMENT_ADDRESS, 0, 0}, /* to where it is connected */
    {SCMP_SYS(sendto), VCPU, IS, ARGUMENT_ADDRESS, 0, JAIL_WITH_VSOCK}, /* the driver's reset ends streams */
    CALL(recvfrom, VSOCK | QUOTES),
    CALL(recvmsg, VSOCK | QUOTES),
    CALL(shutdown, VSOCK),
    CALL(getsockopt, QUOTES),

    /* Memory of its own, never executable */
    {SCMP_SYS(mmap), ALL, HAS_NOT, 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), ALL, HAS_NOT, 2, PROT_EXEC, 0},
    CALL(munmap, ALL),
    {SCMP_SYS(mremap), ALL, HAS_NOT, 3, MREMAP_FIXED | MREMAP_DONTUNMAP, 0},
    CALL(madvise, ALL),
    CALL(brk, ALL),

    /* Threads that are there: locks, time, and the kick that has a vCPU leave the guest */
    CALL(futex, ALL),
    CALL(sched_yield, ALL),
    CALL(clock_gettime, ALL),
    CALL(gettimeofday, ALL),
    CALL(time, ALL),
    CALL(restart_syscall, ALL),
    CALL(rt_sigprocmask, ALL),
    CALL(rt_sigreturn, ALL),
    {SCMP_SYS(tgkill), ALL, IS_PROCESS, 0, 0, 0},
    CALL(getpid, ALL),
    CALL(gettid, ALL),
    CALL(exit, ALL),
    CALL(exit_group, ALL),

#ifdef __SANITIZE_ADDRESS__
    CALL(sigaltstack, ALL),
    CALL(readlink, ALL),
    {SCMP_SYS(prlimit64), ALL, IS, 2, 0, 0},
    CALL(getrlimit, ALL),
    CALL(sched_getaffinity, ALL),
#endif
};

static __thread const char *own_kind;

/* COFRE_LOG=jail=debug: the call is not made either, and its number is told before the end. */
static void tell(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((const ucontext_t *)context)->uc_mcontext.gregs;
    (void)number;
    log_debug("a thread of kind %s made the system call %d (%#llx, %#llx, %#llx), which is not on its list",
              own_kind, info->si_syscall, r[REG_RDI], r[REG_RSI], r[REG_RDX]);
    _exit(COFRE_FAILED);
}

static uint32_t forbidden(void)
{
    if (!log_wanted(LOG_ROOM, LOG_DEBUG))
        return SCMP_ACT_KILL_PROCESS;
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO};
    sigset_t sys;
    sigemptyset(&sys);
    sigaddset(&sys, SIGSYS);
    sigaction(SIGSYS, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &sys, NULL);
    return SCMP_ACT_TRAP;
}

static int allow(scmp_filter_ctx filter, const struct rule *r)
{
    struct scmp_arg_cmp must = {.arg = r->argument};
    switch (r->condition) {
    case ANY:
        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, r->call, 0, NULL);
    case IS:
        must.op = SCMP_CMP_EQ;
        must.datum_a = r->value;
        break;
    case HAS_NOT:
        must.op = SCMP_CMP_MASKED_EQ;
        must.datum_a = r->value;
        break;
    case IS_PROCESS:
        must.op = SCMP_CMP_EQ;
        must.datum_a = (scmp_datum_t)getpid();
        break;
    }
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, r->call, 1, &must);
}

static int fill(scmp_filter_ctx filter, enum kind wanted, unsigned with)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* the whole process has it already */
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < sizeof rules / sizeof *rules && rc == 0; i++)
        if ((rules[i].kinds & wanted) && (!rules[i].with || (rules[i].with & with)))
            rc = allow(filter, &rules[i]);
    return rc;
}

int jail_confine(const char *kind, unsigned with, struct cofre_err *err)
{
    enum kind wanted = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0)
            wanted = kinds[i].kind;
    if (!wanted)
        return cofre_fail(err, COFRE_FAILED, "the jail has no list of system calls for a thread of kind %s",
                          kind);
    own_kind = kind;
    scmp_filter_ctx filter = seccomp_init(forbidden());
    if (!filter)
        return cofre_fail(err, COFRE_FAILED, "the jail's list of system calls: out of memory");
    int rc = fill(filter, wanted, with);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc ? cofre_fail(err, COFRE_FAILED, "the jail's list of system calls for %s: %s", kind,
                           strerror(-rc))
              : 0;
}
