#include "vmm/init/switch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define ROOT "/root"

static const struct place {
    const char *type, *path, *options;
    unsigned long flags;
} places[] = {
    {"proc", "/proc", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", "", MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"devtmpfs", "/dev", "mode=755", MS_NOSUID},
    {"tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV},
};
#define PLACES (sizeof places / sizeof *places)

int switch_prepare(struct cofre_err *err)
{
    for (size_t i = 0; i < PLACES; i++)
        if (mount(places[i].type, places[i].path, places[i].type, places[i].flags, places[i].options) < 0)
            return cofre_fail(err, COFRE_FAILED, "%s: %s", places[i].path, strerror(errno));
    return 0;
}

void switch_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    CLEAN_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        fprintf(stderr, "cofre-init: the loopback interface: %s\n", strerror(errno));
}

void switch_mount_configfs(void)
{
    (void)mount("configfs", "/sys/kernel/config", "configfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
}

/* The initrd's files are memory that nobody else would give back. What is mounted in it is left alone. */
static void remove_below(int fd, dev_t dev)
{
    DIR *dir = fdopendir(fd);
    struct stat st;
    if (!dir) {
        close(fd);
        return;
    }
    for (const struct dirent *d; (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
            continue;
        if (S_ISDIR(st.st_mode)) {
            int below = openat(dirfd(dir), d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below >= 0)
                remove_below(below, dev);
        }
        (void)unlinkat(dirfd(dir), d->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    }
    closedir(dir);
}

static int enter(int old, struct cofre_err *err)
{
    struct stat st;
    for (size_t i = 0; i < PLACES; i++) {
        char to[64];
        (void)snprintf(to, sizeof to, ROOT "%s", places[i].path);
        if (mount(places[i].path, to, NULL, MS_MOVE, NULL) < 0)
            return cofre_fail(err, COFRE_FAILED, "the root file system has no directory %s: %s",
                              places[i].path, strerror(errno));
    }
    if (chdir(ROOT) < 0 || fstat(old, &st) < 0)
        return cofre_fail(err, COFRE_FAILED, "the root file system: %s", strerror(errno));
    remove_below(dup(old), st.st_dev);
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return cofre_fail(err, COFRE_FAILED, "the root file system cannot be entered: %s", strerror(errno));
    return 0;
}

/* Its own session, so that the init's console is not its terminal. */
static void start_agent(int agent)
{
    char *const argv[] = {"cofre-agent", NULL};
    if (agent < 0 || fork() != 0)
        return;
    (void)setsid();
    (void)fexecve(agent, argv, (char *const[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL});
    fprintf(stderr, "cofre-init: the agent does not start: %s\n", strerror(errno));
    _exit(1);
}

int switch_root(const char *device, bool read_only, const char *init, int agent, struct cofre_err *err)
{
    CLEAN_FD old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount(device, ROOT, "ext4", read_only ? MS_RDONLY : 0, "") < 0)
        return cofre_fail(err, COFRE_FAILED, "the root file system cannot be mounted: %s", strerror(errno));
    int rc = enter(old, err);
    if (rc < 0)
        return rc;
    if (access(init, X_OK) < 0)
        return cofre_fail(err, COFRE_FAILED, "the root file system has no program %s", init);
    start_agent(agent);
    char *const argv[] = {(char *)init, NULL};
    execv(init, argv);
    return cofre_fail(err, COFRE_FAILED, "%s: %s", init, strerror(errno));
}
