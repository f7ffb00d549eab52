#include "attest/service/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

/* "host:port", "[host]:port", ":port" */
static int split(const char *address, char host[static 256], char port[static 16], struct cofre_err *err)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    const bool bracketed = len > 1 && address[0] == '[' && colon[-1] == ']';
    if (!colon || len > 255 || strlen(colon + 1) == 0 || strlen(colon + 1) > 15)
        return cofre_fail(err, COFRE_USAGE,
                          "\"%s\" is no address with a port, as 127.0.0.1:8443 or [::1]:8443", address);
    (void)snprintf(host, 256, "%.*s", (int)(bracketed ? len - 2 : len), bracketed ? address + 1 : address);
    (void)snprintf(port, 16, "%s", colon + 1);
    return 0;
}

static int open_one(const struct addrinfo *at)
{
    CLEAN_FD fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    const int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (at->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
        bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
        return -1;
    return TAKE_FD(fd);
}

static int open_address(int *fd, const char *address, struct cofre_err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[256], port[16];
    int rc = split(address, host, port, err);
    if (rc < 0)
        return rc;
    int why = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (why)
        return cofre_fail(err, COFRE_LACKING, "%s: %s", address, gai_strerror(why));
    *fd = open_one(found);
    int error = errno;
    freeaddrinfo(found);
    return *fd >= 0
               ? 0
               : cofre_fail(err, COFRE_LACKING, "%s cannot be listened at: %s", address, strerror(error));
}

int listen_open(int *fd, size_t max, size_t *count, char *const *address, size_t addresses,
                struct cofre_err *err)
{
    const int handed = sd_listen_fds(1);
    *count = 0;
    if (handed < 0 || (size_t)handed > max)
        return cofre_fail(err, COFRE_USAGE, "systemd hands over %d sockets, where 1 to %zu are due", handed,
                          max);
    for (int i = 0; i < handed; i++)
        fd[(*count)++] = SD_LISTEN_FDS_START + i;
    if (handed > 0)
        return 0;
    if (addresses == 0)
        return cofre_fail(err, COFRE_USAGE,
                          "there is nothing to listen at: neither \"listen\" nor a socket of systemd's");
    for (size_t i = 0; i < addresses; i++) {
        int rc = open_address(&fd[i], address[i], err);
        if (rc < 0) {
            while (*count)
                close(fd[--*count]);
            return rc;
        }
        ++*count;
    }
    return 0;
}
