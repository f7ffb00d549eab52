#include "vmm/host/cofred/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/number.h"
#include "vmm/base/unix_socket.h"

bool notify(const char *what)
{
    struct sockaddr_un address;
    const char *name = getenv("NOTIFY_SOCKET");
    if (!name || (*name != '/' && *name != '@') || !unix_address(&address, name))
        return false;
    const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (*name == '@') /* of no file system */
        address.sun_path[0] = 0;
    CLEAN_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && sendto(fd, what, strlen(what), MSG_NOSIGNAL, (struct sockaddr *)&address, len) >= 0;
}

uint64_t notify_watchdog(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    uint64_t microseconds, pid;
    if (!interval || number_parse(&microseconds, interval, "WATCHDOG_USEC", 1, INT64_MAX, NULL) < 0)
        return 0;
    if (process &&
        (number_parse(&pid, process, "WATCHDOG_PID", 1, INT32_MAX, NULL) < 0 || (pid_t)pid != getpid()))
        return 0;
    return microseconds;
}
