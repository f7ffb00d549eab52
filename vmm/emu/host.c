#include "vmm/emu/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int system_open(const char *path, int flags)
{
    return open(path, flags);
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument);
}

static const struct kvm_backend system_calls = {
    .name = "kernel",
    .open = system_open,
    .ioctl = system_ioctl,
    .mmap = mmap,
    .munmap = munmap,
    .close = close,
};

const struct kvm_backend *emu_host = &system_calls;

int host_ioctl(int fd, unsigned long request, void *argument)
{
    int rc = emu_host->ioctl(fd, request, argument);
    return rc < 0 ? -errno : rc;
}

int host_ioctl_value(int fd, unsigned long request, unsigned long argument)
{
    return host_ioctl(fd, request, (void *)(uintptr_t)argument);
}
