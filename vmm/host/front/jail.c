#include "vmm/host/front/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
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
} calls[] = {
    /* Connections that arrive, and processes for them */
    {SCMP_SYS(clone), ZYGOTE},
    {SCMP_SYS(set_robust_list), BOTH},
    {SCMP_SYS(rseq), BOTH},
    {SCMP_SYS(wait4), ZYGOTE},
    {SCMP_SYS(ppoll), ZYGOTE},
    {SCMP_SYS(prctl), ZYGOTE},
    {SCMP_SYS(close_range), ZYGOTE},
    /* Its sockets, and libmicrohttpd's loop. What is asked of fcntl is none of what makes a file */
    {SCMP_SYS(read), BOTH},
    {SCMP_SYS(write), BOTH},
    {SCMP_SYS(writev), BOTH},
    {SCMP_SYS(recvfrom), BOTH},
    {SCMP_SYS(recvmsg), BOTH},
    {SCMP_SYS(sendto), BOTH},
    {SCMP_SYS(sendmsg), BOTH},
    {SCMP_SYS(shutdown), BOTH},
    {SCMP_SYS(setsockopt), BOTH},
    {SCMP_SYS(getsockopt), BOTH},
    {SCMP_SYS(fcntl), BOTH},
    {SCMP_SYS(close), BOTH},
    {SCMP_SYS(poll), BOTH},
    {SCMP_SYS(epoll_create1), BOTH},
    {SCMP_SYS(epoll_ctl), BOTH},
    {SCMP_SYS(epoll_wait), BOTH},
    {SCMP_SYS(epoll_pwait), BOTH},
    {SCMP_SYS(eventfd2), BOTH},
    /* Memory, time, its own end */
    {SCMP_SYS(brk), BOTH},
    {SCMP_SYS(mmap), BOTH},
    {SCMP_SYS(munmap), BOTH},
    {SCMP_SYS(mremap), BOTH},
    {SCMP_SYS(madvise), BOTH},
    {SCMP_SYS(futex), BOTH},
    {SCMP_SYS(getrandom), BOTH},
    {SCMP_SYS(clock_gettime), BOTH},
    {SCMP_SYS(gettimeofday), BOTH},
    {SCMP_SYS(time), BOTH},
    {SCMP_SYS(getpid), BOTH},
    {SCMP_SYS(gettid), BOTH},
    {SCMP_SYS(rt_sigaction), BOTH},
    {SCMP_SYS(rt_sigprocmask), BOTH},
    {SCMP_SYS(rt_sigreturn), BOTH},
    {SCMP_SYS(restart_syscall), BOTH},
    {SCMP_SYS(exit), BOTH},
    {SCMP_SYS(exit_group), BOTH},
#ifdef __SANITIZE_ADDRESS__ /* its own needs */
    {SCMP_SYS(sigaltstack), BOTH},
    {SCMP_SYS(sched_yield), BOTH},
    {SCMP_SYS(mprotect), BOTH},
#endif
};

static int fill(scmp_filter_ctx filter, enum who who)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0); /* the process has it already */
    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof *calls; i++)
        if (calls[i].who & who)
            rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i].call, 0, NULL);
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
