/* The real backend: the kernel's own system calls, and the quote generation service that a TDX host runs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/kvm/backend.h"

static int kernel_open(const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC);
}

static int kernel_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument);
}

struct service_address {
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_vm vsock;
    };
    socklen_t len;
};

static bool read_unix_address(struct service_address *out, const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof out->local.sun_path)
        return false;
    out->local = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->local.sun_path, path, len);
    out->len = sizeof out->local;
    return true;
}

/* The decimal number that text begins with; NULL, or where it ends. */
static const char *read_u32(unsigned *out, const char *text)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || errno || value > UINT32_MAX)
        return NULL;
    *out = (unsigned)value;
    return end;
}

static bool read_vsock_address(struct service_address *out, const char *text)
{
    unsigned cid, port;
    const char *end = read_u32(&cid, text);
    if (!end || *end != ':' || !(end = read_u32(&port, end + 1)) || *end)
        return false;
    out->vsock = (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
    out->len = sizeof out->vsock;
    return true;
}

static bool read_address(struct service_address *out, const char *text)
{
    if (strncmp(text, "unix:", 5) == 0)
        return read_unix_address(out, text + 5);
    return strncmp(text, "vsock:", 6) == 0 && read_vsock_address(out, text + 6);
}

static int kernel_quote_service(const char *text)
{
    struct service_address address;
    if (!read_address(&address, text ? text : KVM_QUOTE_SERVICE)) {
        errno = EINVAL;
        return -1;
    }
    CLEAN_FD fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, &address.any, address.len) < 0 && errno != EINPROGRESS))
        return -1;
    return TAKE_FD(fd);
}

const struct kvm_backend kvm_backend_kernel = {
    .name = "kernel",
    .open = kernel_open,
    .ioctl = kernel_ioctl,
    .mmap = mmap,
    .munmap = munmap,
    .close = close,
    .quote_service = kernel_quote_service,
};
