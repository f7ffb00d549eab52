/* Namespaces, as many as this user may have here: root has all, others have them within a user namespace of their own,
 * which a host may forbid. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/jail_parts.h"

static bool put(const char *path, const char *text)
{
    CLEAN_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* The user and its group keep their numbers; files that are still to be opened know them as before. */
static bool map_self(uid_t uid, gid_t gid)
{
    char users[32], groups[32];
    snprintf(users, sizeof users, "%u %u 1", uid, uid);
    snprintf(groups, sizeof groups, "%u %u 1", gid, gid);
    return put("/proc/self/setgroups", "deny") && put("/proc/self/gid_map", groups) &&
           put("/proc/self/uid_map", users);
}

/* A pid namespace is for children only. */
static void unshare_pid(struct jail *jail)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWPID) == 0) {
        jail->layer[JAIL_PID] = true;
        return;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
        return;
    if (!map_self(uid, gid))
        _exit(1); /* nobody at all: it could open nothing */
    jail->layer[JAIL_USER] = jail->layer[JAIL_PID] = true;
}

/* The process between has the namespaces; it ends when its child is there, which so becomes the caller's. */
static pid_t fork_between(struct jail *jail, int up)
{
    unshare_pid(jail);
    pid_t child = fork();
    if (child) {
        bool told = send(up, &child, sizeof child, MSG_NOSIGNAL) == (ssize_t)sizeof child;
        _exit(child > 0 && told ? 0 : 1);
    }
    char adopted;
    if (recv(up, &adopted, 1, 0) != 1)
        _exit(1); /* the caller is gone */
    close(up);
    return 0;
}

/* Where the namespaces cannot be made use of, the child is an ordinary one. */
static pid_t fork_plainly(struct jail *jail, struct cofre_err *err)
{
    *jail = (struct jail){.statm = -1};
    pid_t child = fork();
    return child >= 0 ? child : cofre_fail(err, COFRE_FAILED, "a process for the guest: %s", strerror(errno));
}

pid_t jail_fork(struct jail *jail, struct cofre_err *err)
{
    int pair[2], status = 0;
    *jail = (struct jail){.statm = -1};
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return cofre_fail(err, COFRE_FAILED, "a process for the guest: %s", strerror(errno));
    pid_t between = fork(), child = -1;
    if (between == 0) {
        close(pair[0]);
        return fork_between(jail, pair[1]);
    }
    close(pair[1]);
    while (between > 0 && waitpid(between, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 0);
    if (recv(pair[0], &child, sizeof child, MSG_DONTWAIT) != (ssize_t)sizeof child)
        child = -1;
    if (child > 0)
        (void)send(pair[0], "", 1, MSG_NOSIGNAL);
    close(pair[0]);
    return child > 0 ? child : fork_plainly(jail, err);
}

/* A file system without files takes the root's place: pivot_root(2), or where the root is the kernel's first file system
 * (an initramfs), which cannot be pivoted, a move and chroot(2). It is mounted at /dev, which is there where /dev/kvm is. */
static bool empty_root(void)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("empty", "/dev", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
              "size=4k,nr_inodes=1,mode=0555") < 0 ||
        chdir("/dev") < 0)
        return false;
    if (syscall(SYS_pivot_root, ".", ".") == 0)
        return umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
    return mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0 && chdir("/") == 0;
}

void jail_namespaces_enter(struct jail *jail)
{
    static const struct {
        enum jail_layer layer;
        int flag;
    } namespaces[] = {{JAIL_MOUNT, CLONE_NEWNS},
                      {JAIL_NETWORK, CLONE_NEWNET},
                      {JAIL_IPC, CLONE_NEWIPC},
                      {JAIL_UTS, CLONE_NEWUTS},
                      {JAIL_CGROUP, CLONE_NEWCGROUP}};
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++)
        jail->layer[namespaces[i].layer] = unshare(namespaces[i].flag) == 0;
    jail->layer[JAIL_ROOT] = jail->layer[JAIL_MOUNT] && empty_root();
}

void jail_user_namespace_enter(struct jail *jail)
{
    if (!jail->layer[JAIL_USER])
        jail->layer[JAIL_USER] = unshare(CLONE_NEWUSER) == 0;
}
