#include "vmm/host/cofred/ground.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/unix_socket.h"

/* Listening */

static int listen_unix(const char *path, unsigned mode, struct cofre_err *err)
{
    struct sockaddr_un address;
    CLEAN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path); /* of one that ended: the lock says that it is gone */
    if (fd < 0 || !unix_address(&address, path) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, mode) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be listened at: %s", path, strerror(errno));
    return TAKE_FD(fd);
}

static int bind_to(const struct addrinfo *at)
{
    const int on = 1;
    CLEAN_FD fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (at->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
        bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
        return -1;
    return TAKE_FD(fd);
}

/* "127.0.0.1:8443", "[::1]:8443", ":8443" */
static int listen_tcp(const char *text, struct cofre_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[256];
    const char *colon = strrchr(text, ':');
    (void)snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - text) : 0, text);
    const size_t len = strlen(host);
    const bool bracketed = len > 1 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed)
        host[len - 1] = 0;
    const char *bare = bracketed ? host + 1 : host;
    if (!colon || getaddrinfo(*bare ? bare : NULL, colon + 1, &hints, &found) != 0)
        return cofre_fail(err, COFRE_USAGE,
                          "listen: \"%s\" is no numeric address with a port, as 127.0.0.1:8443", text);
    const int fd = bind_to(found), error = errno;
    freeaddrinfo(found);
    return fd >= 0 ? fd
                   : cofre_fail(err, COFRE_LACKING, "%s cannot be listened at: %s", text, strerror(error));
}

/* Directories */

/* In a directory (AT_FDCWD) that need not be root's: what is given away is what was made, or what is there already of that user. */
static int keep_directory(int in, const char *name, const struct config_user *owner, mode_t mode,
                          struct cofre_err *err)
{
    struct stat is;
    if (mkdirat(in, name, 0700) < 0 && errno != EEXIST)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be made: %s", name, strerror(errno));
    CLEAN_FD fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &is) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be opened: %s", name, strerror(errno));
    if (is.st_uid != owner->uid && is.st_uid != 0)
        return cofre_fail(err, COFRE_LACKING, "%s is user %u's, and is to be user %u's", name, is.st_uid,
                          owner->uid);
    if (fchown(fd, owner->uid, owner->gid) < 0 || fchmod(fd, mode) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s cannot be given to its user: %s", name, strerror(errno));
    return TAKE_FD(fd);
}

/* Fetched keys are written by one user, and read by the other. */
int ground_open_state(struct ground *g, const struct config *c, struct cofre_err *err)
{
    g->state = keep_directory(AT_FDCWD, c->state, &c->decider, c->fetches ? 0711 : 0700, err);
    if (g->state < 0)
        return g->state;
    if (flock(g->state, LOCK_EX | LOCK_NB) < 0)
        return cofre_fail(err, COFRE_LACKING, "%s: another cofred has it", c->state);
    if (!c->fetches)
        return 0;
    CLEAN_FD issuers = keep_directory(g->state, "issuers", &c->gate, 0755, err);
    return issuers < 0 ? cofre_within(err, issuers, "%s", c->state) : 0;
}

void ground_init(struct ground *ground)
{
    *ground = (struct ground){.state = -1};
}

int ground_open(struct ground *g, const struct config *c, struct cofre_err *err)
{
    static const struct config_user root = {0};
    CLEAN_FD run = keep_directory(AT_FDCWD, c->run, &root, 0755, err);
    int rc = run < 0 ? run : ground_open_state(g, c, err);
    for (size_t i = 0; rc == 0 && i < c->listeners; i++) {
        const int fd = c->listener[i].unix_path
                           ? listen_unix(c->listener[i].unix_path, c->listener[i].mode, err)
                           : listen_tcp(c->listener[i].address, err);
        if (fd < 0)
            return fd;
        g->listening[g->count++] = fd;
    }
    return rc;
}

void ground_close(struct ground *g)
{
    while (g->count)
        close(g->listening[--g->count]);
    cleanup_close(&g->state);
    ground_init(g);
}
