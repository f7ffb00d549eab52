#include "vmm/machine/shutdown.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <stdio.h>

#include "vmm/agent/request.h"
#include "vmm/base/cleanup.h"

#define ANSWER_SECONDS 2

static int failed(struct cofre_err *err, const char *path)
{
    return cofre_fail(err, COFRE_FAILED, "%s: no agent answers in the guest: %s", path,
                      errno == EAGAIN ? "not in time" : strerror(errno));
}

/* Reads the rest of the greeting's line; what it says is of no interest unless it is "OK". */
static int read_greeting(int fd)
{
    char line[64];
    for (size_t n = 0; n < sizeof line; n++) {
        if (recv(fd, line + n, 1, 0) != 1)
            return -1;
        if (line[n] == '\n')
            return n >= 2 && memcmp(line, "OK", 2) == 0 ? 0 : -1;
    }
    return -1;
}

int shutdown_ask(const char *socket_path, struct cofre_err *err)
{
    static const char request[] = "{\"op\": \"poweroff\"}\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    char hello[32];
    int len = snprintf(hello, sizeof hello, "CONNECT %d\n", AGENT_PORT);
    if (strlen(socket_path) >= sizeof address.sun_path)
        return cofre_fail(err, COFRE_USAGE, "%s: the name is too long for a socket", socket_path);
    strcpy(address.sun_path, socket_path);
    CLEAN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    errno = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        send(fd, hello, (size_t)len, MSG_NOSIGNAL) != len || read_greeting(fd) < 0 ||
        send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return failed(err, socket_path);
    char answer; /* the agent has understood: only now may the stream end */
    return recv(fd, &answer, 1, 0) == 1 ? 0 : failed(err, socket_path);
}
