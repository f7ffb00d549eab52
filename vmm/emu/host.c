#include "vmm/emu/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By number: under a program of others the C library's names are the emulation's own (vmm/emulate/descriptors.c). */
static int system_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

static int system_ioctl(int fd, unsigned long request, void *argument)
{
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static void *system_mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, offset);
}

static int system_munmap(void *address, size_t len)
{
    return (int)syscall(SYS_munmap, address, len);
}

static int system_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

static const struct kvm_backend system_calls = {
    .name = "kernel",
    .open = system_open,
    .ioctl = system_ioctl,
    .mmap = system_mmap,
    .munmap = system_munmap,
    .close = system_close,
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
