#include "vmm/base/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"

bool unix_address(struct sockaddr_un *out, const char *path)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof out->sun_path)
        return false;
    memcpy(out->sun_path, path, len);
    return true;
}

int unix_connect(const char *path)
{
    struct sockaddr_un address;
    if (!unix_address(&address, path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    CLEAN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return TAKE_FD(fd);
}
