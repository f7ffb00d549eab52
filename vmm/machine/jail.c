#include "vmm/machine/jail.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/jail_parts.h"

#define NOBODY 65534 /* user and group, of every Linux: the kernel's own number for whom it does not know */

/* Limits on what a guest could have this process take. Threads need none: no list has a call that makes one. */
#define DESCRIPTORS_MAX 1024
#define FILE_REST                                                                                            \
    (1ull                                                                                                    \
     << 30) /* beyond the largest file that is open: what a guest writes to its console, and a disk's image */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_REST (1ull << 40) /* its shadow */
#else
#define MEMORY_REST (64ull << 20) /* beyond what is mapped, guest memory included, when the guest starts */
#endif

static int failed(struct cofre_err *err, const char *what)
{
    return cofre_fail(err, COFRE_FAILED, "the jail of the guest's process: %s: %s", what, strerror(errno));
}

/* All that this program opens is closed on execve(2); what is not was inherited from who started it. Returns the size of
 * the largest file that stays, memory among them. */
static rlim_t close_inherited(void)
{
    DIR *open_files = opendir("/proc/self/fd");
    rlim_t largest = 0;
    for (struct dirent *entry; open_files && (entry = readdir(open_files));) {
        struct stat st;
        int fd = atoi(entry->d_name);
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && fd > STDERR_FILENO && !(flags & FD_CLOEXEC))
            close(fd);
        else if (flags >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (rlim_t)st.st_size > largest)
            largest = (rlim_t)st.st_size;
    }
    if (open_files)
        closedir(open_files);
    return largest;
}

/* Root becomes nobody; the groups go with it. */
static int leave_root(struct cofre_err *err)
{
    if (geteuid() != 0 && getuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return failed(err, "becoming nobody");
    return 0;
}

/* As far as the process may: one without CAP_SETPCAP gains nothing by the set, as it has no_new_privs. */
static void drop_bounding_set(void)
{
    capng_clear(CAPNG_SELECT_ALL);
    (void)capng_apply(CAPNG_SELECT_BOUNDS);
}

static int drop_capabilities(struct cofre_err *err)
{
    drop_bounding_set();
    if (capng_apply(CAPNG_SELECT_CAPS) != 0 || capng_apply(CAPNG_SELECT_AMBIENT) != 0)
        return failed(err, "giving up capabilities");
    return 0;
}

/* A write beyond the largest file fails, and nothing else (EFBIG). */
static int set_limits(rlim_t largest, struct cofre_err *err)
{
    const struct {
        int what;
        rlim_t most;
    } limits[] = {{RLIMIT_CORE, 0},
                  {RLIMIT_NOFILE, DESCRIPTORS_MAX},
                  {RLIMIT_MSGQUEUE, 0},
                  {RLIMIT_FSIZE, largest + FILE_REST}};
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit now;
        if (getrlimit(limits[i].what, &now) < 0)
            return failed(err, "getrlimit");
        if (now.rlim_max > limits[i].most)
            now.rlim_max = limits[i].most;
        if (now.rlim_cur > now.rlim_max)
            now.rlim_cur = now.rlim_max;
        if (setrlimit(limits[i].what, &now) < 0)
            return failed(err, "setrlimit");
    }
    return 0;
}

/* A new user namespace comes with all capabilities within it, bounding set included: they are dropped before, of the
 * host's, and after. */
int jail_enter(struct jail *jail, struct cofre_err *err)
{
    rlim_t largest = close_inherited();
    jail->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    (void)mallopt(M_ARENA_MAX, 1); /* no 64 MiB of addresses for each thread */
    (void)setsid();                /* no terminal's */
    jail_namespaces_enter(jail);
    drop_bounding_set();
    int rc = leave_root(err);
    if (rc == 0)
        rc = set_limits(largest, err);
    if (rc)
        return rc;
    jail_user_namespace_enter(jail);
    rc = drop_capabilities(err);
    if (rc)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return failed(err, "prctl");
    jail_landlock_enter(jail);
    return 0;
}

int jail_limit_memory(struct jail *jail, struct cofre_err *err)
{
    char text[64] = "";
    if (jail->statm < 0 || read(jail->statm, text, sizeof text - 1) <= 0)
        return 0;
    close(jail->statm);
    jail->statm = -1;
    rlim_t most = strtoull(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_REST;
    if (setrlimit(RLIMIT_AS, &(struct rlimit){most, most}) < 0)
        return failed(err, "limiting its memory");
    jail->layer[JAIL_MEMORY] = true;
    return 0;
}

void jail_missing(const struct jail *jail, char *out, size_t size)
{
    static const char *const names[JAIL_LAYERS] = {
        [JAIL_PID] = "pid namespace",         [JAIL_MOUNT] = "mount namespace",
        [JAIL_NETWORK] = "network namespace", [JAIL_IPC] = "IPC namespace",
        [JAIL_UTS] = "UTS namespace",         [JAIL_CGROUP] = "cgroup namespace",
        [JAIL_USER] = "user namespace",       [JAIL_ROOT] = "empty root",
        [JAIL_LANDLOCK] = "Landlock",         [JAIL_MEMORY] = "limit on its memory"};
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < JAIL_LAYERS && used < size; i++)
        if (!jail->layer[i])
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", names[i]);
}
