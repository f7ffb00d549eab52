#include "vmm/agent/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "attest/channel/address.h"
#include "vmm/base/cleanup.h"

#define CONNECT_SECONDS 10
#define PIECE           16384

/* What one end said goes to the other; its end, too. False: the connection is over. */
static bool carry(int from, int to, short *open)
{
    char piece[PIECE];
    ssize_t n = read(from, piece, sizeof piece);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0) {
        *open = 0;
        return shutdown(to, SHUT_WR) == 0;
    }
    for (ssize_t done = 0, m; done < n; done += m)
        if ((m = send(to, piece + done, (size_t)(n - done), MSG_NOSIGNAL)) < 0)
            return false;
    return true;
}

static void carry_all(int here, int there)
{
    struct pollfd ends[] = {{here, POLLIN, 0}, {there, POLLIN, 0}};
    while (ends[0].events || ends[1].events) {
        if (poll(ends, 2, -1) < 0 && errno != EINTR)
            return;
        for (int i = 0; i < 2; i++) {
            if (!ends[i].events)
                ends[i].fd = -1; /* its hanging up is no news */
            else if (ends[i].revents && !carry(ends[i].fd, i ? here : there, &ends[i].events))
                return;
        }
    }
}

/* One connection at a time, as the client makes them. */
_Noreturn static void serve(int listener, const char *address)
{
    struct cofre_err err;
    for (;;) {
        CLEAN_FD here = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (here < 0)
            continue;
        CLEAN_FD there = address_connect(address, false, CONNECT_SECONDS, &err);
        if (there < 0)
            fprintf(stderr, "cofre-agent: %s\n", err.text);
        else
            carry_all(here, there);
    }
}

static int listen_here(uint16_t *port, struct cofre_err *err)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    CLEAN_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof in) < 0 || listen(fd, 4) < 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) < 0)
        return cofre_fail(err, COFRE_FAILED, "the loopback interface: %s", strerror(errno));
    *port = ntohs(in.sin_port);
    return TAKE_FD(fd);
}

int relay_start(struct relay *out, const char *address, struct cofre_err *err)
{
    const pid_t parent = getpid();
    *out = (struct relay){0};
    CLEAN_FD listener = listen_here(&out->port, err);
    if (listener < 0)
        return listener;
    pid_t pid = fork();
    if (pid < 0)
        return cofre_fail(err, COFRE_FAILED, "a relay: fork: %s", strerror(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        serve(listener, address);
    }
    out->process = pid;
    return 0;
}

void relay_stop(struct relay *relay)
{
    if (!relay->process)
        return;
    (void)kill(relay->process, SIGKILL);
    while (waitpid(relay->process, NULL, 0) < 0 && errno == EINTR)
        ;
    relay->process = 0;
}
