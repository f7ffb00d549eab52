/* The kernel under the emulation: by the system calls themselves, since the C library's names are taken (descriptors.c). */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/emu/host.h"
#include "vmm/emulate/emulate.h"

static int host_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0);
}

static int host_call(int fd, unsigned long request, void *argument)
{
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

static void *host_mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, offset);
}

static int host_munmap(void *address, size_t len)
{
    return (int)syscall(SYS_munmap, address, len);
}

static int host_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

const struct kvm_backend emulate_host = {
    .name = "kernel",
    .open = host_open,
    .ioctl = host_call,
    .mmap = host_mmap,
    .munmap = host_munmap,
    .close = host_close,
};
