/* cofre-init: the first program of an image's guest, in its initrd. Loads the modules, opens the root as the measured command line
 * says, and hands over to the root's own init. What goes wrong is said on the console, and ends the guest. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/file.h"
#include "vmm/init/loader.h"
#include "vmm/init/luks.h"
#include "vmm/init/root.h"
#include "vmm/init/switch.h"
#include "vmm/init/verity.h"

#define CMDLINE_MAX  4096
#define DISK         "/dev/vda"
#define DISK_SECONDS 10

/* The kernel had no console to give: the initrd has no devices. */
static void take_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    for (int i = 0; fd >= 0 && i <= STDERR_FILENO; i++)
        if (fd != i)
            (void)dup2(fd, i);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* Drivers make it in their own time. */
static int await_disk(struct cofre_err *err)
{
    for (unsigned ms = 0; access(DISK, R_OK) < 0; ms += 10) {
        if (ms > DISK_SECONDS * 1000)
            return cofre_fail(err, COFRE_LACKING,
                              "there is no disk: the guest needs its image's as its first one");
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return 0;
}

static const char *init_of(const struct bytes *cmdline, char out[256])
{
    struct view given;
    if (!root_word(bytes_view(cmdline), "init", &given) || given.len > 255)
        return "/sbin/init";
    memcpy(out, given.data, given.len);
    out[given.len] = '\0';
    return out;
}

static int open_luks(char device[VERITY_DEVICE_SIZE], const struct bytes *cmdline, struct cofre_err *err)
{
    struct luks_source source;
    int rc = luks_source_read(&source, bytes_view(cmdline), err);
    (void)snprintf(device, VERITY_DEVICE_SIZE, "/dev/mapper/root");
    switch_loopback_up();
    return rc < 0 ? rc : luks_open(&source, DISK, err);
}

static int start(struct cofre_err *err)
{
    CLEAN_BYTES cmdline = {0};
    struct root root;
    char device[VERITY_DEVICE_SIZE], init[256];
    int rc = file_read(&cmdline, "/proc/cmdline", CMDLINE_MAX, err);
    if (rc == 0)
        rc = root_parse(&root, bytes_view(&cmdline), err);
    if (rc == 0)
        rc = await_disk(err);
    if (rc == 0)
        rc = root.kind == ROOT_VERITY ? verity_open(device, &root.verity, DISK, err)
                                      : open_luks(device, &cmdline, err);
    if (rc < 0)
        return rc;
    fprintf(stderr, "cofre-init: %s\n",
            root.kind == ROOT_VERITY ? "the root is the one that was measured" : "the root is open");
    return switch_root(device, root.kind == ROOT_VERITY, init_of(&cmdline, init),
                       open("/bin/cofre-agent", O_RDONLY | O_CLOEXEC), err);
}

int main(void)
{
    struct cofre_err err;
    int rc = switch_prepare(&err);
    take_console();
    if (rc == 0)
        rc = loader_run("/modules", stderr, &err);
    switch_mount_configfs();
    if (rc == 0)
        rc = start(&err);
    fprintf(stderr, "cofre-init: %s; the guest ends\n", err.text);
    if (getpid() == 1)
        (void)reboot(RB_POWER_OFF);
    return -rc;
}
