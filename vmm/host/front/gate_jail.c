/* The gate's list of system calls. What it opens (listeners, TLS's files, its event loop) is open before. */
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "vmm/host/front/jail.h"

enum rule {
    ANY,
    NO_CODE,    /* its third argument is a protection, and must not be PROT_EXEC */
    HOW_MUCH,   /* of ioctl: FIONREAD, which libevent asks of a socket */
    LOCAL_PAIR, /* its first argument is AF_UNIX */
};

static const struct {
    int call;
    enum rule rule;
} calls[] = {
    /* Connections, and the pairs that go to the decider and the zygote. It receives no message, so no descriptor either */
    {SCMP_SYS(accept4), ANY},
    {SCMP_SYS(socketpair), LOCAL_PAIR},
    {SCMP_SYS(sendmsg), ANY},
    {SCMP_SYS(getsockopt), ANY},
    {SCMP_SYS(setsockopt), ANY},
    {SCMP_SYS(shutdown), ANY},
    {SCMP_SYS(close), ANY},
    /* Bytes, and libevent's loop */
    {SCMP_SYS(read), ANY},
    {SCMP_SYS(readv), ANY},
    {SCMP_SYS(recvfrom), ANY},
    {SCMP_SYS(write), ANY},
    {SCMP_SYS(writev), ANY},
    {SCMP_SYS(sendto), ANY},
    {SCMP_SYS(ioctl), HOW_MUCH},
    {SCMP_SYS(fcntl), ANY},
    {SCMP_SYS(epoll_ctl), ANY},
    {SCMP_SYS(epoll_wait), ANY},
    {SCMP_SYS(epoll_pwait), ANY},
    /* Memory, time, chance, its own end */
    {SCMP_SYS(brk), ANY},
    {SCMP_SYS(mmap), NO_CODE},
    {SCMP_SYS(munmap), ANY},
    {SCMP_SYS(mremap), ANY},
    {SCMP_SYS(madvise), ANY},
    {SCMP_SYS(futex), ANY},
    {SCMP_SYS(getrandom), ANY},
    {SCMP_SYS(clock_gettime), ANY},
    {SCMP_SYS(gettimeofday), ANY},
    {SCMP_SYS(time), ANY},
    {SCMP_SYS(getpid), ANY},
    {SCMP_SYS(gettid), ANY},
    {SCMP_SYS(rt_sigaction), ANY},
    {SCMP_SYS(rt_sigprocmask), ANY},
    {SCMP_SYS(rt_sigreturn), ANY},
    {SCMP_SYS(restart_syscall), ANY},
    {SCMP_SYS(exit), ANY},
    {SCMP_SYS(exit_group), ANY},
#ifdef __SANITIZE_ADDRESS__ /* its own needs */
    {SCMP_SYS(sigaltstack), ANY},
    {SCMP_SYS(sched_yield), ANY},
    {SCMP_SYS(mprotect), NO_CODE},
#endif
};

static int fill(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp must[] = {[NO_CODE] = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                        [HOW_MUCH] = SCMP_A1(SCMP_CMP_EQ, FIONREAD),
                                        [LOCAL_PAIR] = SCMP_A0(SCMP_CMP_EQ, AF_UNIX)};
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof *calls; i++)
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i].call, calls[i].rule != ANY,
                                    &must[calls[i].rule]);
    return rc;
}

int jail_gate(struct cofre_err *err)
{
    tzset(); /* reads a file, which OpenSSL's look at a certificate's times would have read otherwise */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = filter ? fill(filter) : -ENOMEM;
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc < 0 ? cofre_fail(err, COFRE_LACKING, "the gate cannot be jailed: %s", strerror(-rc)) : 0;
}
