/* The real backend: the kernel's own system calls. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/kvm/backend.h"

static int kernel_open(const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC);
}

static int kernel_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument);
}

const struct kvm_backend kvm_backend_kernel = {
    .name = "kernel",
    .open = kernel_open,
    .ioctl = kernel_ioctl,
    .mmap = mmap,
    .munmap = munmap,
    .close = close,
};
