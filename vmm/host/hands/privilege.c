#include "vmm/host/hands/privilege.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

static const struct {
    unsigned capability;
    const char *name;
} kept[] = {
    {CAP_SETUID, "CAP_SETUID"}, {CAP_SETGID, "CAP_SETGID"},       {CAP_CHOWN, "CAP_CHOWN"},
    {CAP_KILL, "CAP_KILL"},     {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
};

/* A filter is inherited, and guests' processes build their jail under this one, with namespaces and mounts: so it is a list of what
 * neither they nor hands ever need, and not of what they do. */
static const int refused[] = {
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(syslog),
    SCMP_SYS(vhangup),
    SCMP_SYS(uselib),
    SCMP_SYS(mknod),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(nfsservctl),
    SCMP_SYS(modify_ldt),
};

static int refuse_calls(struct cofre_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < sizeof refused / sizeof *refused && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc ? cofre_fail(err, COFRE_FAILED, "seccomp: %s", strerror(-rc)) : 0;
}

int privilege_reduce(struct cofre_err *err)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (!capng_have_capability(CAPNG_EFFECTIVE, kept[i].capability))
            return cofre_fail(err, COFRE_LACKING, "hands needs %s: it is started as root", kept[i].name);
    capng_clear(CAPNG_SELECT_ALL);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        (void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                           kept[i].capability);
    if (capng_apply(CAPNG_SELECT_ALL) != 0)
        return cofre_fail(err, COFRE_FAILED, "giving up capabilities: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return cofre_fail(err, COFRE_FAILED, "prctl: %s", strerror(errno));
    return refuse_calls(err);
}
