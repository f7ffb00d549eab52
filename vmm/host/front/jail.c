#include "vmm/host/front/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/host/front/parser.h"

#define DESCRIPTORS_MAX                                                                                      \
    64 /* a process has: two sockets and libmicrohttpd's own; the zygote those that are on their way */
#define MEMORY_MAX (256ULL << 20)

enum who {
    ZYGOTE = 1 << 0,
    PARSER = 1 << 1,
    BOTH = ZYGOTE | PARSER, /* a parser's list is put on beside the zygote's, which it cannot take off */
};

static const struct {
    int call;
    enum who who;
    bool maps; /* its third argument is a protection, and must not be PROT_EXEC */
} calls[] = {
    /* Connections that arrive, and processes for them */
    {SCMP_SYS(clone), ZYGOTE, false},
    {SCMP_SYS(pipe2), ZYGOTE, false},
    {SCMP_SYS(set_robust_list), BOTH, false},
    {SCMP_SYS(rseq), BOTH, false},
    {SCMP_SYS(wait4), ZYGOTE, false},
    {SCMP_SYS(ppoll), ZYGOTE, false},
    {SCMP_SYS(prctl), ZYGOTE, false},
    {SCMP_SYS(close_range), ZYGOTE, false},
    /* Its sockets, and libmicrohttpd's loop. What is asked of fcntl is none of what makes a file */
    {SCMP_SYS(read), BOTH, false},
    {SCMP_SYS(write), BOTH, false},
    {SCMP_SYS(writev), BOTH, false},
    {SCMP_SYS(recvfrom), BOTH, false},
    {SCMP_SYS(recvmsg), BOTH, false},
    {SCMP_SYS(sendto), BOTH, false},
    {SCMP_SYS(sendmsg), BOTH, false},
    {SCMP_SYS(shutdown), BOTH, false},
    {SCMP_SYS(setsockopt), BOTH, false},
    {SCMP_SYS(getsockopt), BOTH, false},
    {SCMP_SYS(fcntl), BOTH, false},
    {SCMP_SYS(close), BOTH, false},
    {SCMP_SYS(poll), BOTH, false},
    {SCMP_SYS(epoll_create1), BOTH, false},
    {SCMP_SYS(epoll_ctl), BOTH, false},
    {SCMP_SYS(epoll_wait), BOTH, false},
    {SCMP_SYS(epoll_pwait), BOTH, false},
    {SCMP_SYS(eventfd2), BOTH, false},
    /* Memory, time, its own end */
    {SCMP_SYS(brk), BOTH, false},
    {SCMP_SYS(mmap), BOTH, true},
    {SCMP_SYS(munmap), BOTH, false},
    {SCMP_SYS(mremap), BOTH, false},
    {SCMP_SYS(madvise), BOTH, false},
    {SCMP_SYS(futex), BOTH, false},
    {SCMP_SYS(getrandom), BOTH, false},
    {SCMP_SYS(clock_gettime), BOTH, false},
    {SCMP_SYS(gettimeofday), BOTH, false},
    {SCMP_SYS(time), BOTH, false},
    {SCMP_SYS(getpid), BOTH, false},
    {SCMP_SYS(gettid), BOTH, false},
    {SCMP_SYS(rt_sigaction), BOTH, false},
    {SCMP_SYS(rt_sigprocmask), BOTH, false},
    {SCMP_SYS(rt_sigreturn), BOTH, false},
    {SCMP_SYS(restart_syscall), BOTH, false},
    {SCMP_SYS(exit), BOTH, false},
    {SCMP_SYS(exit_group), BOTH, false},
#ifdef __SANITIZE_ADDRESS__ /* its own needs */
    {SCMP_SYS(sigaltstack), BOTH, false},
    {SCMP_SYS(sched_yield), BOTH, false},
    {SCMP_SYS(mprotect), BOTH, true},
#endif
};

static int fill(scmp_filter_ctx filter, enum who who)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* the process has it already */
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof *calls; i++)
        if (calls[i].who & who)
            rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i].call, calls[i].maps, &no_code);
    return rc;
}

/* libseccomp writes a program to a descriptor only. */
static int load_program(struct sock_fprog *out, scmp_filter_ctx filter)
{
    CLEAN_FD fd = memfd_create("parser's calls", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(filter, fd) < 0)
        return -1;
    const off_t len = lseek(fd, 0, SEEK_END);
    if (len <= 0 || (size_t)len % sizeof *out->filter || (size_t)len / sizeof *out->filter > UINT16_MAX)
        return -1;
    out->filter = malloc((size_t)len);
    out->len = (unsigned short)((size_t)len / sizeof *out->filter);
    if (out->filter && pread(fd, out->filter, (size_t)len, 0) == len)
        return 0;
    free(out->filter);
    *out = (struct sock_fprog){0};
    return -1;
}

static int limit(void)
{
    const struct {
        int what;
        rlim_t most;
    } limits[] = {
        {RLIMIT_NOFILE, DESCRIPTORS_MAX}, {RLIMIT_CORE, 0}, {RLIMIT_FSIZE, 0}, {RLIMIT_MEMLOCK, 0},
#ifndef __SANITIZE_ADDRESS__
        {RLIMIT_AS, MEMORY_MAX},
#endif
    };
    (void)signal(SIGXFSZ, SIG_IGN); /* where lines go to a file they are lost, and nobody dies of it */
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (setrlimit(limits[i].what, &(struct rlimit){limits[i].most, limits[i].most}) < 0)
            return -1;
    return 0;
}

static int put_on(struct jail *parsers)
{
    scmp_filter_ctx of_parser = seccomp_init(SCMP_ACT_KILL_PROCESS),
                    own = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = of_parser && own ? 0 : -1;
    if (rc == 0 && (fill(of_parser, PARSER) < 0 || fill(own, ZYGOTE) < 0 ||
                    load_program(&parsers->program, of_parser) < 0 || limit() < 0 || seccomp_load(own) < 0))
        rc = -1;
    seccomp_release(of_parser);
    seccomp_release(own);
    return rc;
}

int jail_zygote(struct jail *parsers, int keep, struct cofre_err *err)
{
    *parsers = (struct jail){0};
    if ((keep > 3 && close_range(3, (unsigned)keep - 1, 0) < 0) ||
        close_range((unsigned)keep + 1, ~0U, 0) < 0)
        return cofre_fail(err, COFRE_FAILED, "the parsers' zygote: descriptors that are not its own stay: %s",
                          strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        put_on(parsers) < 0)
        return cofre_fail(err, COFRE_LACKING, "the parsers' zygote cannot be jailed: %s", strerror(errno));
    return 0;
}

int jail_parser(const struct jail *parsers)
{
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &parsers->program, 0, 0);
}

void jail_free(struct jail *parsers)
{
    free(parsers->program.filter);
    *parsers = (struct jail){0};
}
