#include "attest/channel/address.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"

#define HOST_MAX 256
#define BACKLOG  32

/* An address taken apart. */
struct place {
    char host[HOST_MAX]; /* or a path */
    const char *port;
    uint64_t number; /* of the port */
    bool is_vsock, is_path;
};

static int no_address(const char *address, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_USAGE, "\"%s\" is no address, as 192.0.2.1:4433, [::1]:4433 or vsock:3:4433",
                      address);
}

static bool is_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end == 0 && errno == 0 && *out <= max;
}

static int take_apart(struct place *p, const char *address, struct cofre_err *err)
{
    const char *colon = strrchr(address, ':');
    *p = (struct place){.is_vsock = strncmp(address, "vsock:", 6) == 0, .is_path = strchr(address, '/')};
    const char *host = p->is_vsock ? address + 6 : address;
    size_t len = colon >= host ? (size_t)(colon - host) : 0; /* 0: vsock:PORT */
    if (!colon || len >= sizeof p->host ||
        !is_number(colon + 1, p->is_vsock || p->is_path ? UINT32_MAX - 1 : UINT16_MAX, &p->number))
        return no_address(address, err);
    if (host[0] == '[' && len > 1 && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (!p->is_vsock && !p->is_path && memchr(host, ':', len)) {
        return no_address(address, err);
    }
    if (len == 0 && !p->is_vsock)
        return no_address(address, err);
    memcpy(p->host, host, len);
    p->port = colon + 1;
    return 0;
}

static int cannot(const char *address, const char *what, struct cofre_err *err)
{
    return cofre_fail(err, COFRE_FAILED, "%s: %s: %s", address, what, strerror(errno));
}

/* Connects within the time; an interrupted or slow connect goes on by itself. */
static int connect_in_time(int fd, const struct sockaddr *to, socklen_t len, unsigned seconds)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, to, len) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -1;
    struct pollfd wait = {fd, POLLOUT, 0};
    if (poll(&wait, 1, (int)seconds * 1000) != 1) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
        return 0;
    errno = error ? error : errno;
    return -1;
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int connect_to(const struct sockaddr *to, socklen_t len, unsigned seconds)
{
    CLEAN_FD fd = open_socket(to->sa_family);
    if (fd < 0 || connect_in_time(fd, to, len, seconds) < 0)
        return -1;
    if (to->sa_family != AF_VSOCK)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return TAKE_FD(fd);
}

static int resolve(struct addrinfo **out, const struct place *p, int flags, const char *address,
                   struct cofre_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    int error = getaddrinfo(p->host, p->port, &hints, out);
    return error == 0 ? 0 : cofre_fail(err, COFRE_USAGE, "%s: %s", address, gai_strerror(error));
}

static int connect_tcp(const struct place *p, const char *address, bool names, unsigned seconds,
                       struct cofre_err *err)
{
    struct addrinfo *found;
    int rc = resolve(&found, p, names ? 0 : AI_NUMERICHOST, address, err), fd = -1;
    if (rc < 0)
        return rc;
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
        fd = connect_to(a->ai_addr, a->ai_addrlen, seconds);
    freeaddrinfo(found);
    return fd >= 0 ? fd : cannot(address, "no connection", err);
}

static int connect_vsock(const struct place *p, const char *address, unsigned seconds, struct cofre_err *err)
{
    uint64_t cid;
    if (!is_number(p->host, UINT32_MAX, &cid))
        return no_address(address, err);
    const struct sockaddr_vm to = {
        .svm_family = AF_VSOCK, .svm_cid = (unsigned)cid, .svm_port = (unsigned)p->number};
    int fd = connect_to((const struct sockaddr *)&to, sizeof to, seconds);
    return fd >= 0 ? fd : cannot(address, "no connection", err);
}

/* The greeting is read byte by byte: what follows it is the guest's stream. */
static int greet(int fd, const struct place *p, const char *address, struct cofre_err *err)
{
    char line[256];
    size_t len = 0;
    int n = snprintf(line, sizeof line, "CONNECT %u\n", (unsigned)p->number);
    if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
        return cannot(address, "no connection", err);
    while (len < sizeof line - 1 && recv(fd, line + len, 1, 0) == 1 && line[len] != '\n')
        len++;
    line[len] = 0;
    return strncmp(line, "OK ", 3) == 0
               ? 0
               : cofre_fail(err, COFRE_FAILED, "%s: %s", address, len ? line : "no answer");
}

static int connect_path(const struct place *p, const char *address, unsigned seconds, struct cofre_err *err)
{
    const struct timeval limit = {.tv_sec = seconds};
    struct sockaddr_un to;
    if (!unix_address(&to, p->host))
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long for a socket", p->host);
    CLEAN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        return cannot(address, "no connection", err);
    int rc = greet(fd, p, address, err);
    return rc < 0 ? rc : TAKE_FD(fd);
}

int address_connect(const char *address, bool names, unsigned seconds, struct cofre_err *err)
{
    struct place p;
    int rc = take_apart(&p, address, err);
    if (rc < 0)
        return rc;
    if (p.is_path)
        return connect_path(&p, address, seconds, err);
    return p.is_vsock ? connect_vsock(&p, address, seconds, err)
                      : connect_tcp(&p, address, names, seconds, err);
}

static int listen_at(const struct sockaddr *at, socklen_t len, const char *address, struct cofre_err *err)
{
    CLEAN_FD fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return cannot(address, "no socket", err);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, at, len) < 0 || listen(fd, BACKLOG) < 0)
        return cannot(address, "cannot be listened on", err);
    return TAKE_FD(fd);
}

int address_listen(const char *address, struct cofre_err *err)
{
    struct place p;
    struct addrinfo *found;
    int rc = take_apart(&p, address, err);
    if (rc == 0 && (p.is_path || (p.is_vsock && *p.host)))
        rc = no_address(address, err);
    if (rc < 0)
        return rc;
    if (p.is_vsock) {
        const struct sockaddr_vm at = {
            .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = (unsigned)p.number};
        return listen_at((const struct sockaddr *)&at, sizeof at, address, err);
    }
    rc = resolve(&found, &p, AI_NUMERICHOST | AI_PASSIVE, address, err);
    if (rc < 0)
        return rc;
    rc = listen_at(found->ai_addr, found->ai_addrlen, address, err);
    freeaddrinfo(found);
    return rc;
}
