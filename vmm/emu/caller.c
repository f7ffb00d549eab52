#include "vmm/emu/caller.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

int caller_read(void *out, const void *theirs, size_t len)
{
    struct iovec local = {out, len}, remote = {(void *)(uintptr_t)theirs, len};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int caller_write(void *theirs, const void *data, size_t len)
{
    struct iovec local = {(void *)(uintptr_t)data, len}, remote = {theirs, len};
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}
