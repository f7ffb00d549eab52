#include "vmm/host/cofred/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const int refused[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(mknodat),
    SCMP_SYS(personality),
    SCMP_SYS(modify_ldt),
};

static int refuse_programs(struct cofre_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < sizeof refused / sizeof *refused && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc ? cofre_fail(err, COFRE_LACKING, "seccomp: %s", strerror(-rc)) : 0;
}

/* A parent that ended before this is seen as another one. */
int confine_to_parent(struct cofre_err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return cofre_fail(err, COFRE_FAILED, "prctl: %s", strerror(errno));
    return getppid() == 1 ? cofre_fail(err, COFRE_FAILED, "the supervisor has ended") : 0;
}

int confine(uid_t uid, gid_t gid, unsigned what, struct cofre_err *err)
{
    if (geteuid() != 0)
        return cofre_fail(err, COFRE_LACKING,
                          "cofred is started as root, and then gives up what it does not need");
    if (what & CONFINE_NO_NETWORK && unshare(CLONE_NEWNET) < 0)
        return cofre_fail(err, COFRE_LACKING, "no network namespace: %s", strerror(errno));
    capng_clear(CAPNG_SELECT_ALL);
    const int rc =
        capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
    if (rc < 0)
        return cofre_fail(err, COFRE_LACKING, "user %u cannot be become: libcap-ng says %d", uid, rc);
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return cofre_fail(err, COFRE_FAILED, "prctl: %s", strerror(errno));
    int confined = confine_to_parent(err);
    if (confined == 0 && what & CONFINE_NO_PROGRAMS)
        confined = refuse_programs(err);
    return confined;
}
