#include "vmm/agent/server.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct peer {
    int fd; /* -1: free */
    time_t last;
    char in[AGENT_REQUEST_MAX + 1];
    size_t in_len;
    char *out;
    size_t out_len, out_sent;
};

struct server {
    const struct agent_actions *actions;
    struct peer peers[SERVER_PEERS_MAX];
};

static time_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void drop(struct peer *p)
{
    close(p->fd);
    free(p->out);
    *p = (struct peer){.fd = -1};
}

/* Answers the first whole line that is there; a line that is too long ends the peer. */
static void take_line(struct server *s, struct peer *p)
{
    char *newline = memchr(p->in, '\n', p->in_len);
    if (!newline) {
        if (p->in_len > AGENT_REQUEST_MAX)
            drop(p);
        return;
    }
    size_t len = (size_t)(newline - p->in);
    p->out = agent_answer(s->actions, p->in, len);
    if (!p->out) {
        drop(p);
        return;
    }
    p->out_len = strlen(p->out);
    p->out_sent = 0;
    p->in_len -= len + 1;
    memmove(p->in, newline + 1, p->in_len);
}

static void receive(struct peer *p)
{
    ssize_t n = recv(p->fd, p->in + p->in_len, sizeof p->in - p->in_len, MSG_DONTWAIT);
    if (n > 0) {
        p->in_len += (size_t)n;
        p->last = now();
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        drop(p);
    }
}

static void transmit(struct peer *p)
{
    ssize_t n = send(p->fd, p->out + p->out_sent, p->out_len - p->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop(p);
        return;
    }
    p->last = now();
    p->out_sent += (size_t)n;
    if (p->out_sent == p->out_len) {
        free(p->out);
        p->out = NULL;
    }
}

/* While an answer waits to be read no further request of that peer is taken. */
static void serve_peer(struct server *s, struct peer *p, short ready)
{
    if (p->out) {
        if (ready & (POLLOUT | POLLERR | POLLHUP))
            transmit(p);
    } else if (ready & (POLLIN | POLLERR | POLLHUP)) {
        receive(p);
    }
    if (p->fd >= 0 && !p->out && p->in_len)
        take_line(s, p);
    if (p->fd >= 0 && now() - p->last > SERVER_IDLE_SECONDS)
        drop(p);
}

static void welcome(struct server *s, int listener)
{
    for (size_t i = 0; i < SERVER_PEERS_MAX; i++)
        if (s->peers[i].fd < 0) {
            s->peers[i].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            s->peers[i].last = now();
            return;
        }
}

static bool has_room(const struct server *s)
{
    for (size_t i = 0; i < SERVER_PEERS_MAX; i++)
        if (s->peers[i].fd < 0)
            return true;
    return false;
}

int server_run(int listener, int stop_fd, const struct agent_actions *actions, struct cofre_err *err)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        return cofre_fail(err, COFRE_FAILED, "no memory");
    s->actions = actions;
    for (size_t i = 0; i < SERVER_PEERS_MAX; i++)
        s->peers[i].fd = -1;
    struct pollfd fds[2 + SERVER_PEERS_MAX] = {{stop_fd, POLLIN, 0}};
    int rc = 0;
    while (!(fds[0].revents & (POLLIN | POLLHUP))) {
        fds[1] = (struct pollfd){has_room(s) ? listener : -1, POLLIN, 0};
        for (size_t i = 0; i < SERVER_PEERS_MAX; i++)
            fds[2 + i] = (struct pollfd){s->peers[i].fd, s->peers[i].out ? POLLOUT : POLLIN, 0};
        if (poll(fds, 2 + SERVER_PEERS_MAX, 1000) < 0 && errno != EINTR) {
            rc = cofre_fail(err, COFRE_FAILED, "waiting for requests: %s", strerror(errno));
            break;
        }
        for (size_t i = 0; i < SERVER_PEERS_MAX; i++)
            if (s->peers[i].fd >= 0)
                serve_peer(s, &s->peers[i], fds[2 + i].revents);
        if (fds[1].revents & POLLIN)
            welcome(s, listener);
    }
    for (size_t i = 0; i < SERVER_PEERS_MAX; i++)
        if (s->peers[i].fd >= 0)
            drop(&s->peers[i]);
    free(s);
    return rc;
}
